"""OME-Zarr of both versions: axes, levels, pixel size, damage."""

import json

import numpy as np
import pytest
import zarr

from organscope.errors import ImageReadError
from organscope.io import open_image

STACK = (2, 3, 4, 70, 90)


def write_ome_zarr(folder, pixels, axes="tczyx", version="0.5", unit="micrometer", steps=(1, 2)):
    """A multiscale image as NGFF 0.4 (Zarr 2) or 0.5 (Zarr 3) lays it out."""
    group = zarr.open_group(folder, mode="w", zarr_format=2 if version == "0.4" else 3)
    for number, step in enumerate(steps):
        level = pixels[..., ::step, ::step]
        array = group.create_array(str(number), shape=level.shape, chunks=(*[1] * (level.ndim - 2), 32, 32), dtype="u2")
        array[...] = level
    spatial = {"type": "space", **({"unit": unit} if unit else {})}
    datasets = [
        {
            "path": str(number),
            "coordinateTransformations": [{"type": "scale", "scale": [1] * (pixels.ndim - 2) + [0.25 * step] * 2}],
        }
        for number, step in enumerate(steps)
    ]
    multiscale = {
        "axes": [{"name": axis, **(spatial if axis in "zyx" else {})} for axis in axes],
        "datasets": datasets,
        "coordinateTransformations": [{"type": "scale", "scale": [1] * (pixels.ndim - 2) + [2, 2]}],
    }
    content = {"multiscales": [{"version": version, **multiscale}]}
    group.attrs.update(content if version == "0.4" else {"ome": {"version": version, **content}})
    return group


@pytest.mark.parametrize("version", ["0.4", "0.5"])
def test_first_plane_of_all_channels_and_levels(tmp_path, rng, version):
    path = tmp_path / "slide one.ome.zarr"
    pixels = rng.integers(0, 65_536, STACK, dtype=np.uint16)
    write_ome_zarr(path, pixels, version=version)
    first = pixels[0, :, 0].transpose(1, 2, 0)
    with open_image(path) as image:
        np.testing.assert_array_equal(image.read_whole(), first)
        np.testing.assert_array_equal(image.read(3, 4, 20, 30, level=1), first[::2, ::2][3:23, 4:34])
        assert [level.downsample for level in image.levels] == [1, 2]
        assert (image.um_per_px, image.value_range) == ((0.5, 0.5), (0, 65_535))
    with open_image(path, channel=2) as image:
        np.testing.assert_array_equal(image.read(1, 2, 60, 70), first[1:61, 2:72, 2:])


@pytest.mark.parametrize("axes", ["yx", "cyx", "zyx", "tyx"])
def test_fewer_axes(tmp_path, rng, axes):
    pixels = rng.integers(0, 9, STACK[-len(axes) :], dtype=np.uint16)
    write_ome_zarr(tmp_path / "a.zarr", pixels, axes=axes)
    expected = pixels.transpose(1, 2, 0) if axes == "cyx" else pixels.reshape(-1, 70, 90)[0, :, :, None]
    with open_image(tmp_path / "a.zarr") as image:
        np.testing.assert_array_equal(image.read_whole(), expected)


def test_scale_without_a_unit_is_no_pixel_size(tmp_path, rng):
    write_ome_zarr(tmp_path / "a.zarr", rng.integers(0, 9, STACK, dtype=np.uint16), unit=None)
    with open_image(tmp_path / "a.zarr") as image:
        assert image.um_per_px is None


def test_image_inside_the_layout_of_bioformats2raw(tmp_path, rng):
    pixels = rng.integers(0, 9, STACK, dtype=np.uint16)
    outer = zarr.open_group(tmp_path / "a.zarr", mode="w", zarr_format=2)
    outer.attrs["bioformats2raw.layout"] = 3
    write_ome_zarr(tmp_path / "a.zarr" / "0", pixels, version="0.4")
    with open_image(tmp_path / "a.zarr") as image:
        assert image.n_channels == 3


def test_plain_zarr_group_and_plate(tmp_path):
    group = zarr.open_group(tmp_path / "a.zarr", mode="w")
    with pytest.raises(ImageReadError, match="without multiscales"):
        open_image(tmp_path / "a.zarr")
    group.attrs["ome"] = {"plate": {}}
    with pytest.raises(ImageReadError, match="fields one by one"):
        open_image(tmp_path / "a.zarr")


def test_damaged_metadata_and_chunks(tmp_path, rng):
    path = tmp_path / "a.zarr"
    write_ome_zarr(path, rng.integers(0, 65_536, STACK, dtype=np.uint16))
    chunk = path / "0" / "c" / "0" / "1" / "0" / "1" / "1"
    chunk.write_bytes(chunk.read_bytes()[:20])
    with open_image(path) as image:
        image.read(0, 0, 32, 32)
        with pytest.raises(ImageReadError, match="cannot be read"):
            image.read_whole()
    metadata = path / "zarr.json"
    metadata.write_text(json.dumps(json.loads(metadata.read_text()))[:-9])
    with pytest.raises(ImageReadError, match="OME-Zarr"):
        open_image(path)
