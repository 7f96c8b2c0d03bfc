"""Where in an image there is anything to look at, from as few pixels as possible.

Where a slide shows nothing but glass.

Only what is certainly empty counts: a network is spared there, so a cell that was taken for glass would be lost.
"""

import math

import numpy as np
import shapely
from jaxtyping import Num
from scipy import ndimage
from shapely.geometry.base import BaseGeometry
from skimage.morphology import remove_small_holes, remove_small_objects

from organscope.errors import InputError
from organscope.io import Image
from organscope.io.image import block_mean
from organscope.ops.polygons import cell_polygons

_BLOCK_PX = 16
"""Side of the blocks, in pixels of full resolution, whose mean color is judged. A nucleus of 8 px across, half as
bright as glass, darkens a block of which it covers an eighth by 6 %."""

_BRIGHT = 0.85
"""Glass is at least this bright in every color, of the range from black to white."""

_EVEN = 0.04
"""The blocks of a region of glass differ by at most this much of the range, in every color."""

_COLORLESS = 0.05
"""The colors of glass differ by at most this much of that range."""


def is_glass(blocks: Num[np.ndarray, "y x c"], value_range: tuple[float, float]) -> bool:
    """Whether all of a region is glass, or was never scanned.

    A region is glass if its blocks are bright, colorless and alike: only of RGB, because bright gray can be a cell
    under fluorescence. A region of one single value was never scanned, whatever its channels.

    Args:
        blocks: Mean of each block of about `BLOCK_PX` x `BLOCK_PX` pixels.
        value_range: What black and white mean in this image.
    """
    low, high = value_range
    if blocks.min() == blocks.max():
        return True
    if blocks.shape[2] not in (3, 4):
        return False
    colors = (blocks[:, :, :3].astype(np.float32) - low) / (high - low)
    uneven = float((colors.max(axis=(0, 1)) - colors.min(axis=(0, 1))).max())
    if float(colors.min()) < _BRIGHT or uneven > _EVEN:
        return False
    return float((colors.max(axis=2) - colors.min(axis=2)).max()) <= _COLORLESS


_VIEW_PX, _SEEN_PX = 2048, 8
"""Longest side of the view that tissue is outlined in; and pixels of the image, at least, that one of it stands for, so
that gaps between cells are no glass."""

_SMALLEST = 2e-4
"""Share of the image that a piece of tissue covers at least, and a hole in it."""

_SMALL_PART = 0.01
"""The same as a share of the largest piece."""


def tissue_outlines(image: Image) -> list[BaseGeometry]:
    """Outlines of the pieces of tissue on a slide, x and y in pixels of full resolution, the largest first.

    Judged are the pixels of a view of at most 2048 px, each the mean of at least 8 x 8 px: glass is bright and without
    color. Pieces and holes of less than 0.02 % of the image or 1 % of the largest piece do not count.

    Raises:
        InputError: The image is damaged, or has no colors to tell tissue from glass by.
    """
    side = max(image.height_px, image.width_px)
    pixels = image.visible(image.thumbnail(min(_VIEW_PX, max(1, side // _SEEN_PX))))
    if pixels.shape[2] != 3:
        raise InputError(f"Expected a color image to find tissue in, found one channel in {image.path}.")
    low, high = image.value_range
    colors = ndimage.uniform_filter((pixels.astype(np.float32) - low) / (high - low), (3, 3, 0))
    is_tissue = (colors.min(axis=2) < _BRIGHT) | (colors.max(axis=2) - colors.min(axis=2) > _COLORLESS)
    largest = np.bincount(ndimage.label(is_tissue)[0].ravel())[1:].max(initial=0)
    smallest = max(1, round(_SMALLEST * is_tissue.size), round(_SMALL_PART * largest))
    is_tissue = remove_small_objects(is_tissue, max_size=smallest)
    is_tissue = remove_small_holes(is_tissue, max_size=smallest)
    pieces, _ = ndimage.label(is_tissue)
    across, down = image.width_px / pixels.shape[1], image.height_px / pixels.shape[0]
    outlines = shapely.transform(
        np.array(cell_polygons(pieces.astype(np.int32)), object), lambda xy: xy * (across, down)
    )
    return sorted(outlines.tolist(), key=lambda outline: -outline.area)


_LEVEL_SLACK = 1.01
"""Sizes of pyramid levels are rounded, so one that is meant to be 16 is a little more or less."""


class Tissue:
    """Tells tissue from glass in one image.

    Judged are the means of blocks of about 16 x 16 pixels (`organscope.inference.tissue`), taken from the smallest
    level of the pyramid that still shows as much; of an image without levels, from its pixels.
    """

    def __init__(self, image: Image) -> None:
        self._image = image
        fine_enough = [i for i, level in enumerate(image.levels) if level.downsample <= _BLOCK_PX * _LEVEL_SLACK]
        self._level = max(fine_enough)

    def found_in(self, top: int, bottom: int, left: int, right: int) -> bool:
        """Whether a rectangle of the image, in pixels of full resolution, is more than glass.

        What lies beyond the image does not count.

        Raises:
            ImageReadError: The image is damaged there.
        """
        return not is_glass(self._blocks(top, bottom, left, right), self._image.value_range)

    def _blocks(self, top: int, bottom: int, left: int, right: int) -> Num[np.ndarray, "y x c"]:
        level = self._image.levels[self._level]
        y, y_end = _inside(top, bottom, level.downsample, level.height_px)
        x, x_end = _inside(left, right, level.downsample, level.width_px)
        pixels = self._image.visible(self._image.read(y, x, y_end - y, x_end - x, level=self._level))
        step = max(1, round(_BLOCK_PX / level.downsample))
        return pixels if step == 1 else block_mean(pixels, step)


def _inside(start: int, stop: int, downsample: float, length: int) -> tuple[int, int]:
    first = min(max(0, math.floor(start / downsample)), length - 1)
    return first, max(first + 1, min(length, math.ceil(stop / downsample)))
