"""Where in an image there is anything to look at, from as few pixels as possible."""

import math

import numpy as np
from jaxtyping import Num

from organscope.images import Image
from organscope.images.sampling import block_mean
from organscope.ops.glass import BLOCK_PX, is_glass

_LEVEL_SLACK = 1.01
"""Sizes of pyramid levels are rounded, so one that is meant to be 16 is a little more or less."""


class Tissue:
    """Tells tissue from glass in one image.

    Judged are the means of blocks of about 16 x 16 pixels (`organscope.ops.glass`), taken from the smallest level of
    the pyramid that still shows as much; of an image without levels, from its pixels.
    """

    def __init__(self, image: Image) -> None:
        self._image = image
        fine_enough = [i for i, level in enumerate(image.levels) if level.downsample <= BLOCK_PX * _LEVEL_SLACK]
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
        step = max(1, round(BLOCK_PX / level.downsample))
        return pixels if step == 1 else block_mean(pixels, step)


def _inside(start: int, stop: int, downsample: float, length: int) -> tuple[int, int]:
    first = min(max(0, math.floor(start / downsample)), length - 1)
    return first, max(first + 1, min(length, math.ceil(stop / downsample)))
