"""Whatever is written comes back, and a region is the same cut of the whole, in every format."""

import imagecodecs
import numpy as np
import tifffile
import zarr
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays
from PIL import Image as PillowImage

from organscope.io import open_image, read_labels, write_labels

# The folder is made once for all examples; each overwrites its file.
relaxed = settings(max_examples=40, derandomize=True, suppress_health_check=[HealthCheck.function_scoped_fixture])

INTEGERS = [np.uint8, np.uint16]
sides = st.integers(1, 70)


@st.composite
def pictures(draw, dtypes=tuple(INTEGERS), channels=(1, 2, 3, 4), smallest=1):
    """Pixels y x c; noise from a seed, because shrinking single pixels teaches nothing about layouts."""
    dtype, n_channels = draw(st.sampled_from(dtypes)), draw(st.sampled_from(channels))
    size = st.integers(smallest, 70)
    shape, seed = (draw(size), draw(size), n_channels), draw(st.integers(0, 2**32 - 1))
    noise = np.random.default_rng(seed).random(shape)
    return noise.astype(dtype) if np.dtype(dtype).kind == "f" else (noise * np.iinfo(dtype).max).astype(dtype)


@st.composite
def regions(draw, shape):
    y, x = draw(st.integers(0, shape[0] - 1)), draw(st.integers(0, shape[1] - 1))
    return y, x, draw(st.integers(1, shape[0] - y)), draw(st.integers(1, shape[1] - x))


def require_equal(path, pixels, data):
    y, x, height, width = data.draw(regions(pixels.shape))
    channel = data.draw(st.integers(0, pixels.shape[2] - 1))
    with open_image(path) as image, open_image(path, channel=channel) as one:
        np.testing.assert_array_equal(image.read(y, x, height, width), pixels[y : y + height, x : x + width])
        np.testing.assert_array_equal(
            one.read(y, x, height, width)[..., 0], pixels[y : y + height, x : x + width, channel]
        )
        whole = image.read_whole()
        np.testing.assert_array_equal(whole, pixels)
        assert whole.dtype == pixels.dtype == image.dtype
        assert whole.dtype.isnative


@relaxed
@given(
    data=st.data(),
    pixels=pictures(dtypes=(np.uint8, np.uint16, np.int16, np.uint32, np.float32, np.float64), channels=(1, 2, 3, 5)),
    interleaved=st.booleans(),
    compression=st.sampled_from([None, "zlib", "lzw", "zstd"]),
    segments=st.sampled_from([{}, {"tile": (16, 32)}, {"tile": (48, 16)}, {"rowsperstrip": 1}, {"rowsperstrip": 7}]),
    byteorder=st.sampled_from("<>"),
    predictor=st.booleans(),
)
def test_tiff(tmp_path, data, pixels, interleaved, compression, segments, byteorder, predictor):
    options = {"compression": compression, "byteorder": byteorder, "predictor": predictor and compression is not None}
    stored, layout = pixels, {"planarconfig": "contig", "metadata": {"axes": "YXC"}}
    # tifffile writes planes of one column as rows of one page, which cannot be told apart when compressed.
    if not interleaved and pixels.shape[1] > 1:
        stored, layout = pixels.transpose(2, 0, 1), {"metadata": {"axes": "CYX"}}
    if pixels.shape[2] == 1:
        stored, layout = pixels[:, :, 0], {}
    tifffile.imwrite(tmp_path / "a.tif", stored, photometric="minisblack", **layout, **options, **segments)
    require_equal(tmp_path / "a.tif", pixels, data)


@relaxed
@given(data=st.data(), pixels=pictures(dtypes=(np.uint8, np.uint16, np.float32), smallest=2), tiled=st.booleans())
def test_ome_tiff(tmp_path, data, pixels, tiled):
    # tifffile refuses to write the OME axes of one row or column.
    options = {"tile": (32, 32), "compression": "zlib"} if tiled else {}
    planes = pixels.transpose(2, 0, 1)
    tifffile.imwrite(tmp_path / "a.ome.tif", planes, photometric="minisblack", metadata={"axes": "CYX"}, **options)
    require_equal(tmp_path / "a.ome.tif", pixels, data)


@relaxed
@given(data=st.data(), pixels=pictures(dtypes=(np.uint8,), channels=(1, 3)), tiled=st.booleans())
def test_lossless_jpeg_2000(tmp_path, data, pixels, tiled):
    options = {"tile": (32, 32)} if tiled else {}
    kind = "minisblack" if pixels.shape[2] == 1 else "rgb"
    tifffile.imwrite(
        tmp_path / "a.tif",
        pixels.squeeze(2) if kind == "minisblack" else pixels,
        photometric=kind,
        compression="jpeg2000",
        **options,
    )
    require_equal(tmp_path / "a.tif", pixels, data)


@relaxed
@given(data=st.data(), pixels=pictures())
def test_png(tmp_path, data, pixels):
    (tmp_path / "a.png").write_bytes(imagecodecs.png_encode(pixels[:, :, 0] if pixels.shape[2] == 1 else pixels))
    require_equal(tmp_path / "a.png", pixels, data)


@relaxed
@given(data=st.data(), pixels=pictures(dtypes=(np.uint8,), channels=(1, 3)))
def test_jpeg_as_pillow_reads_it(tmp_path, data, pixels):
    PillowImage.fromarray(pixels[:, :, 0] if pixels.shape[2] == 1 else pixels).save(tmp_path / "a.jpg")
    with PillowImage.open(tmp_path / "a.jpg") as image:
        decoded = np.asarray(image).reshape(pixels.shape)
    require_equal(tmp_path / "a.jpg", decoded, data)


@settings(relaxed, max_examples=15)
@given(
    data=st.data(),
    pixels=pictures(dtypes=(np.uint8, np.uint16, np.float32)),
    version=st.sampled_from([2, 3]),
    axes=st.permutations("cyx"),
)
def test_ome_zarr(tmp_path, data, pixels, version, axes):
    stored = pixels.transpose(["yxc".index(axis) for axis in axes])
    group = zarr.open_group(tmp_path / "a.zarr", mode="w", zarr_format=version)
    group.create_array("0", shape=stored.shape, chunks=(32, 32, 32), dtype=stored.dtype)[...] = stored
    content = {"multiscales": [{"axes": [{"name": axis} for axis in axes], "datasets": [{"path": "0"}]}]}
    group.attrs.update(content if version == 2 else {"ome": content})
    require_equal(tmp_path / "a.zarr", pixels, data)


@relaxed
@given(labels=arrays.arrays(np.int32, st.tuples(sides, sides), elements=st.integers(0, 2**31 - 1)))
def test_labels(tmp_path, labels):
    write_labels(tmp_path / "labels.tif", labels)
    np.testing.assert_array_equal(read_labels(tmp_path / "labels.tif"), labels)
