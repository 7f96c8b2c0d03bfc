"""Whole slides: which reader takes them, and openslide's view of them."""

import numpy as np
import pytest
import tifffile

from organscope.errors import ImageReadError
from organscope.io import open_image
from organscope.io.openslide import SlideSource, is_slide
from organscope.io.selection import Choice
from organscope.io.tiff.reader import TiffSource

DESCRIPTION = "Aperio Image Library v11.2.1\n512x512 [0,0 512x512] (128x128)|AppMag = 20|MPP = 0.4990"
OPTIONS = {"photometric": "rgb", "metadata": None, "description": DESCRIPTION}


def write_aperio(path, pixels, *, missing=()):
    """A slide as the scanner lays it out: pixels, thumbnail in strips, smaller levels in tiles."""
    tiles = [
        None if (y, x) in missing else pixels[y : y + 128, x : x + 128]
        for y in range(0, 512, 128)
        for x in range(0, 512, 128)
    ]
    options = {**OPTIONS, "tile": (128, 128), "compression": "jpeg", "compressionargs": {"level": 95}}
    with tifffile.TiffWriter(path) as writer:
        writer.write(iter(tiles), shape=pixels.shape, dtype=np.uint8, **options)
        writer.write(pixels[::8, ::8], **OPTIONS)
        writer.write(pixels[::4, ::4], **options)


def first_bytes(path):
    return path.read_bytes()[:512]


def test_aperio_is_read_as_tiff(tmp_path, colon):
    path = tmp_path / "a.svs"
    write_aperio(path, colon)
    with open_image(path) as image:
        assert isinstance(image._source, TiffSource)
        assert [level.width_px for level in image.levels] == [512, 128]
        assert image.um_per_px == (0.499, 0.499)


def test_openslide_and_tifffile_agree(tmp_path, colon):
    path = tmp_path / "a.svs"
    write_aperio(path, colon)
    slide = SlideSource(path, Choice())
    with open_image(path) as image:
        assert (slide.levels, slide.um_per_px) == (image.levels, image.um_per_px)
        for level, region in enumerate([(37, 201, 150, 222), (11, 17, 90, 100)]):
            np.testing.assert_array_equal(slide.read(level, *region), image.read(*region, level=level))
    slide.choose_channel(1)
    assert slide.read(0, 0, 0, 8, 9).shape == (8, 9, 1)
    slide.close()


def test_aperio_with_missing_tiles_goes_to_openslide_and_is_white_there(tmp_path, colon):
    path = tmp_path / "a.svs"
    write_aperio(path, colon, missing=[(0, 128)])
    assert is_slide(path, first_bytes(path))
    with open_image(path) as image:
        assert isinstance(image._source, SlideSource)
        assert image.read(0, 0, 128, 128).mean() < 250
        assert (image.read(0, 128, 128, 128) == 255).all()
        image.close()


def test_ordinary_images_are_no_slides(tmp_path, colon):
    tifffile.imwrite(tmp_path / "a.tif", colon, tile=(128, 128))
    assert not is_slide(tmp_path / "a.tif", first_bytes(tmp_path / "a.tif"))
    (tmp_path / "b.mrxs").write_bytes(b"no slide")
    assert not is_slide(tmp_path / "b.mrxs", b"no slide")
    with pytest.raises(ImageReadError, match="no known format"):
        open_image(tmp_path / "b.mrxs")


def test_truncated_slide(tmp_path, colon):
    path = tmp_path / "a.svs"
    write_aperio(path, colon, missing=[(0, 128)])
    path.write_bytes(path.read_bytes()[:2_000])
    with pytest.raises(ImageReadError), open_image(path) as image:
        image.read_whole()
