"""Tissue is found wherever in the pyramid it is looked for."""

import numpy as np
import pytest
import tifffile

from organscope.inference.tissue import Tissue
from organscope.io import open_image


def slide(tmp_path, levels: int):
    """A white slide of 512 px with one nucleus of 8 px; each level has a quarter of the side of the one before."""
    pixels = np.random.default_rng(0).integers(236, 244, (512, 512, 3)).astype(np.uint8)
    pixels[300:308, 100:108] = (90, 60, 130)
    path = tmp_path / "slide.tif"
    with tifffile.TiffWriter(path) as file:
        file.write(pixels, tile=(64, 64), photometric="rgb", subifds=levels)
        for level in range(1, levels + 1):
            side = 512 // 4**level
            smaller = pixels.reshape(side, 4**level, side, 4**level, 3).mean(axis=(1, 3)).astype(np.uint8)
            file.write(smaller, tile=(64, 64), photometric="rgb", subfiletype=1)
    return open_image(path)


@pytest.mark.parametrize("levels", [0, 1, 2, 3])
def test_one_nucleus_on_glass_is_tissue(tmp_path, levels):
    with slide(tmp_path, levels) as image:
        tissue = Tissue(image)
        assert tissue.found_in(256, 512, 0, 256)
        assert tissue.found_in(304, 600, 100, 101)
        assert not tissue.found_in(0, 256, 0, 512)
        assert not tissue.found_in(256, 700, 256, 700)
        assert not tissue.found_in(-100, 20, -100, 20)


def test_image_of_tissue_is_tissue_everywhere(tmp_path, colon):
    tifffile.imwrite(tmp_path / "colon.tif", colon, tile=(64, 64))
    with open_image(tmp_path / "colon.tif") as image:
        tissue = Tissue(image)
        assert all(tissue.found_in(y, y + 128, x, x + 128) for y in range(0, 512, 128) for x in range(0, 512, 128))
