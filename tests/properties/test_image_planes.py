"""Whatever is written in any format, axis order, type and size is read back, plane by plane, with its pixel size."""

import itertools
from dataclasses import dataclass

import imagecodecs
import numpy as np
import pytest
import tifffile
import zarr
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from organscope.io import Image, open_image

# The folder is made once for all examples; each overwrites its file.
relaxed = settings(max_examples=120, derandomize=True, suppress_health_check=[HealthCheck.function_scoped_fixture])

TYPES = {
    "ome": ["u1", "i1", "u2", "i2", "u4", "i4", "f4", "f8"],
    "imagej": ["u1", "u2", "f4"],
    "named": ["u1", "i1", "u2", "i2", "u4", "i8", "u8", "f2", "f4", "f8"],
    "pages": ["u1", "u2", "i2", "f2", "f4", "f8"],
    "zarr": ["b1", "u1", "i1", "u2", "i2", "u4", "i8", "f2", "f4", "f8"],
    "png": ["u1", "u2"],
}
ORDERS = {
    "ome": ["".join(order) for order in itertools.permutations("TZC")],
    "imagej": ["TZC"],
    "named": ["".join(order) for order in itertools.permutations("TZC")],
    "pages": ["Q"],
    "zarr": ["".join(order) for order in itertools.permutations("TZC")],
    "png": [""],
}


@dataclass
class Written:
    """What a file holds.

    Attributes:
        format: How it is written.
        axes: Of the pixels; those of length 1 may be left out.
        pixels: In this order.
        um_per_px: Height and width of a pixel; None where it is not written.
        tiled: In tiles and compressed.
        byteorder: Of the values.
    """

    format: str
    axes: str
    pixels: np.ndarray
    um_per_px: tuple[float, float] | None
    tiled: bool
    byteorder: str

    def size(self, axis: str) -> int:
        return self.pixels.shape[self.axes.index(axis)] if axis in self.axes else 1

    def plane(self, **places: int) -> np.ndarray:
        """One plane as it should be read."""
        index = tuple(slice(None) if axis in "YX" else places.get(axis, 0) for axis in self.axes)
        plane = self.pixels[index]
        return plane.astype(np.uint8) * np.uint8(255) if plane.dtype.kind == "b" else plane


@st.composite
def files(draw):
    kind = draw(st.sampled_from(sorted(TYPES)))
    dtype = np.dtype(draw(st.sampled_from(TYPES[kind])))
    order = draw(st.sampled_from(ORDERS[kind]))
    lengths = [draw(st.integers(1, 4)) for _ in order] + [draw(st.integers(2, 45)), draw(st.integers(2, 45))]
    if kind == "zarr":
        kept = [k for k, n in enumerate(lengths) if n > 1]
        order, lengths = "".join(order[k] for k in kept if k < len(order)), [lengths[k] for k in kept]
    noise = np.random.default_rng(draw(st.integers(0, 2**32 - 1))).random(lengths)
    pixels = noise > 0.5 if dtype.kind == "b" else (noise * 120).astype(dtype)
    um_per_px = draw(st.sampled_from([None, (0.25, 0.25), (2.0, 2.0), (1.0, 0.5), (0.5, 2.0)]))
    tiled = draw(st.booleans()) and kind != "imagej"
    return Written(kind, order + "YX", pixels, um_per_px, tiled, draw(st.sampled_from("<>")))


def write(folder, file: Written):
    path = folder / ("a.zarr" if file.format == "zarr" else "a.png" if file.format == "png" else "a.tif")
    if file.format == "zarr":
        _write_zarr(path, file)
    elif file.format == "png":
        path.write_bytes(imagecodecs.png_encode(file.pixels))
    else:
        _write_tiff(path, file)
    return path


def _write_tiff(path, file: Written) -> None:
    options = {"photometric": "minisblack", "byteorder": ">" if file.format == "imagej" else file.byteorder}
    if file.tiled:
        options |= {"tile": (16, 32), "compression": "zlib"}
    metadata = {"axes": file.axes}
    if file.um_per_px is not None and file.format == "ome":
        metadata |= {f"PhysicalSize{axis}": side for axis, side in zip("YX", file.um_per_px, strict=True)}
    elif file.um_per_px is not None:
        height, width = file.um_per_px
        options |= {"resolution": (1 / width, 1 / height)}
        if file.format == "imagej":
            metadata |= {"unit": "um"}
        else:
            options |= {"resolution": (1e4 / width, 1e4 / height), "resolutionunit": "CENTIMETER"}
    options["metadata"] = None if file.format == "pages" else metadata
    if file.format in ("ome", "imagej"):
        options[file.format] = True
    tifffile.imwrite(path, file.pixels, **options)


def _write_zarr(path, file: Written) -> None:
    group = zarr.open_group(path, mode="w", zarr_format=2 if file.byteorder == "<" else 3)
    chunks = tuple(min(17, n) for n in file.pixels.shape)
    array = group.create_array("0", shape=file.pixels.shape, chunks=chunks, dtype=file.pixels.dtype)
    array[...] = file.pixels
    unit = {} if file.um_per_px is None else {"unit": "micrometer"}
    axes = [{"name": axis.lower(), **(unit if axis in "YX" else {})} for axis in file.axes]
    sides = dict(zip("YX", file.um_per_px or (1.0, 1.0), strict=True))
    scale = [sides.get(axis, 1.0) for axis in file.axes]
    dataset = {"path": "0", "coordinateTransformations": [{"type": "scale", "scale": scale}]}
    content = {"multiscales": [{"version": "0.4", "axes": axes, "datasets": [dataset]}]}
    group.attrs.update(content if file.byteorder == "<" else {"ome": content})


def require_same(image: Image, expected: np.ndarray, data) -> None:
    height, width = expected.shape
    assert (image.height_px, image.width_px, image.n_channels) == (height, width, 1)
    y, x = data.draw(st.integers(0, height - 1)), data.draw(st.integers(0, width - 1))
    whole = image.read_whole()[:, :, 0]
    np.testing.assert_array_equal(whole, expected)
    np.testing.assert_array_equal(image.read(y, x, height - y, width - x)[:, :, 0], expected[y:, x:])
    assert whole.dtype == image.dtype
    assert whole.dtype.isnative


@relaxed
@given(data=st.data(), file=files())
def test_every_plane_is_read_back(tmp_path, data, file):
    path = write(tmp_path, file)
    counts = {axis: file.size(axis) for axis in "TZCQ"}
    places = {axis: data.draw(st.integers(0, n - 1), label=axis) for axis, n in counts.items()}
    options = {"t": places["T"], "z": places["Z"], "channel": places["C"], "page": places["Q"]}
    with open_image(path, **options) as image:
        require_same(image, file.plane(**places), data)
        found = image.selection
        assert (found.n_t, found.n_z, found.n_channels, found.n_pages) == tuple(counts.values())
        assert (found.t, found.z, found.channel, found.page) == tuple(places.values())
        is_square = file.um_per_px is None or len(set(file.um_per_px)) == 1 or file.format == "png"
        assert [note for note in image.notes if is_square or "not square" not in note] == []
        if file.format != "png":
            assert image.um_per_px == (None if file.um_per_px is None else pytest.approx(file.um_per_px, rel=1e-4))


@relaxed
@given(data=st.data(), file=files())
def test_the_first_plane_is_taken_and_said(tmp_path, data, file):
    path = write(tmp_path, file)
    with open_image(path) as image:
        stacked = np.stack([file.plane(C=c) for c in range(file.size("C"))], axis=2)
        np.testing.assert_array_equal(image.read_whole(), stacked)
        on_planes = [note for note in image.notes if "not square" not in note]
        assert len(on_planes) == sum(file.size(axis) > 1 for axis in "TZQ")
        assert image.channels.shown == ((0,) if file.size("C") == 1 else ())


@relaxed
@given(data=st.data(), file=files())
def test_projection_of_a_region_is_that_of_the_whole(tmp_path, data, file):
    path = write(tmp_path, file)
    channel, t = data.draw(st.integers(0, file.size("C") - 1)), data.draw(st.integers(0, file.size("T") - 1))
    expected = np.max([file.plane(C=channel, T=t, Z=z) for z in range(file.size("Z"))], axis=0)
    with open_image(path, channel=channel, t=t, project="max") as image:
        require_same(image, expected, data)


@relaxed
@given(
    data=st.data(),
    seed=st.integers(0, 2**32 - 1),
    n_pages=st.integers(1, 4),
    n_samples=st.sampled_from([3, 4]),
    planar=st.booleans(),
    tiled=st.booleans(),
    dtype=st.sampled_from(["u1", "u2", "f4"]),
    orientation=st.integers(1, 8),
)
@example(data=None, seed=0, n_pages=1, n_samples=3, planar=False, tiled=False, dtype="u1", orientation=1)
def test_pages_in_color(tmp_path, data, seed, n_pages, n_samples, planar, tiled, dtype, orientation):
    pixels = (np.random.default_rng(seed).random((n_pages, 33, 20, n_samples)) * 250).astype(dtype)
    stored = pixels.transpose(0, 3, 1, 2) if planar else pixels
    options = {"tile": (16, 16), "compression": "zlib"} if tiled else {}
    tifffile.imwrite(
        tmp_path / "a.tif",
        stored,
        photometric="rgb",
        planarconfig="separate" if planar else "contig",
        metadata=None,
        extratags=[(274, 3, 1, orientation, True)],
        **options,
    )
    page = 0 if data is None else data.draw(st.integers(0, n_pages - 1))
    with open_image(tmp_path / "a.tif", page=page) as image:
        upright = pixels[page].swapaxes(0, 1) if orientation >= 5 else pixels[page]
        upright = upright[::-1] if orientation in (3, 4, 7, 8) else upright
        upright = upright[:, ::-1] if orientation in (2, 3, 6, 7) else upright
        np.testing.assert_array_equal(image.read_whole(), upright)
        np.testing.assert_array_equal(image.visible(image.read_whole()), upright[:, :, :3])
        assert image.selection.n_pages == n_pages
