"""The largest image of a file is the image: previews, pyramids in any order, masks."""

import numpy as np
import pytest
import tifffile

from organscope.io import open_image

TILES = {"tile": (64, 64), "compression": "zlib", "photometric": "rgb", "metadata": None}


def sizes(path):
    with open_image(path) as image:
        return [(level.height_px, level.width_px, level.downsample) for level in image.levels], image


@pytest.mark.parametrize("kind", ["gray", "rgb"])
@pytest.mark.parametrize("metadata", [None, {}])
def test_thumbnail_first(tmp_path, colon, kind, metadata):
    pixels = colon[:256, :256] if kind == "rgb" else colon[:256, :256, 1]
    options = {"photometric": "rgb" if kind == "rgb" else "minisblack", "metadata": metadata}
    with tifffile.TiffWriter(tmp_path / "a.tif") as writer:
        writer.write(pixels[::4, ::4], subfiletype=1, **options)
        writer.write(pixels, **options)
    found, image = sizes(tmp_path / "a.tif")
    assert found == [(256, 256, 1), (64, 64, 4)]
    assert (image.notes, image.selection.n_series) == ((), 1)
    with open_image(tmp_path / "a.tif") as image:
        np.testing.assert_array_equal(image.read_whole().squeeze(), pixels)


@pytest.mark.parametrize("order", [(2, 1, 0), (1, 0, 2), (0, 2, 1)])
@pytest.mark.parametrize("reduced", [True, False])
def test_levels_in_any_order(tmp_path, colon, order, reduced):
    with tifffile.TiffWriter(tmp_path / "a.tif") as writer:
        for power in order:
            subfiletype = 1 if reduced and power else 0
            writer.write(colon[:: 2**power, :: 2**power], subfiletype=subfiletype, **TILES)
    assert sizes(tmp_path / "a.tif")[0] == [(512, 512, 1), (256, 256, 2), (128, 128, 4)]
    with open_image(tmp_path / "a.tif") as image:
        np.testing.assert_array_equal(image.read_whole(level=2), colon[::4, ::4])
        np.testing.assert_array_equal(image.read_whole(), colon)


def test_half_as_large_image_of_another_place_is_no_level(tmp_path, colon, rng):
    other = rng.integers(0, 255, (256, 256, 3), dtype=np.uint8)
    with tifffile.TiffWriter(tmp_path / "a.tif") as writer:
        writer.write(other, **TILES)
        writer.write(colon, **TILES)
    found, image = sizes(tmp_path / "a.tif")
    assert found == [(512, 512, 1)]
    assert image.notes[0].startswith("Image 2 of 2 was read")
    with open_image(tmp_path / "a.tif", series=0) as image:
        np.testing.assert_array_equal(image.read_whole(), other)


def test_two_ome_images_of_which_one_is_half_as_large(tmp_path, colon, rng):
    with tifffile.TiffWriter(tmp_path / "a.ome.tif") as writer:
        writer.write(colon[:, :, 0], metadata={"axes": "YX"})
        writer.write(rng.integers(0, 255, (256, 256), dtype=np.uint8), metadata={"axes": "YX"})
    found, image = sizes(tmp_path / "a.ome.tif")
    assert (found, image.selection.n_series) == ([(512, 512, 1)], 2)


def test_color_preview_of_a_gray_image(tmp_path, colon, rng):
    deep = rng.integers(0, 60_000, (300, 200), dtype=np.uint16)
    with tifffile.TiffWriter(tmp_path / "a.tif") as writer:
        writer.write(colon[:75, :50], photometric="rgb", metadata=None)
        writer.write(deep, metadata=None)
    found, image = sizes(tmp_path / "a.tif")
    assert (found, image.dtype, image.n_channels) == ([(300, 200, 1)], np.uint16, 1)
    assert "Image 2 of 2" in image.notes[0]


def test_full_size_in_a_sub_ifd_below_a_preview(tmp_path, colon):
    """As raw photographs and some cameras lay it out."""
    with tifffile.TiffWriter(tmp_path / "a.tif") as writer:
        writer.write(colon[::4, ::4], photometric="rgb", metadata=None, subfiletype=1, subifds=1)
        writer.write(colon, photometric="rgb", metadata=None)
    assert sizes(tmp_path / "a.tif")[0] == [(512, 512, 1), (128, 128, 4)]


def test_transparency_mask_is_no_image(tmp_path, colon):
    with tifffile.TiffWriter(tmp_path / "a.tif") as writer:
        writer.write(colon, photometric="rgb", metadata=None)
        writer.write(np.ones((600, 600), bool), photometric="mask", subfiletype=4, metadata=None)
    found, image = sizes(tmp_path / "a.tif")
    assert (found, image.notes) == ([(512, 512, 1)], ())


def test_pages_of_two_sizes(tmp_path, colon):
    gray = colon[:, :, 0]
    with tifffile.TiffWriter(tmp_path / "a.tif") as writer:
        for pixels in (gray[:100, :90], gray[:200, :300], gray[100:300, :300]):
            writer.write(pixels, metadata=None)
    with open_image(tmp_path / "a.tif") as image:
        np.testing.assert_array_equal(image.read_whole()[:, :, 0], gray[:200, :300])
        assert [note.split(" was")[0] for note in image.notes] == ["Image 2 of 2", "Page 1 of 2"]


def test_only_a_reduced_image_is_the_image(tmp_path, colon):
    tifffile.imwrite(tmp_path / "a.tif", colon[::4, ::4], photometric="rgb", subfiletype=1, metadata=None)
    assert sizes(tmp_path / "a.tif")[0] == [(128, 128, 1)]


@pytest.mark.parametrize("n", [9, 20])
def test_one_of_many_pages_has_another_size(tmp_path, rng, n):
    pages = [rng.integers(0, 255, (40, 32 if k == 3 else 50), dtype=np.uint8) for k in range(n)]
    with tifffile.TiffWriter(tmp_path / "a.tif") as writer:
        for page in pages:
            writer.write(page, metadata=None)
    with open_image(tmp_path / "a.tif", page=n - 2) as image:
        np.testing.assert_array_equal(image.read_whole()[:, :, 0], pages[-1])
        assert (image.selection.n_series, image.selection.n_pages) == (2, n - 1)
