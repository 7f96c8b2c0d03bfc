"""A copy of an image without colour, to see what a model knows beyond the stain."""

import numpy as np
from jaxtyping import Num

from organscope.images import Image
from organscope.images.selection import Channels
from organscope.ops.preprocess import gray_range, scale_intensity, to_rgb


class GraySource:
    """The mean of red, green and blue of an image, held in memory."""

    n_channels = 1
    dtype = np.dtype(np.uint8)
    value_range = (0.0, 255.0)
    channels = Channels.unnamed(1)

    def __init__(self, image: Image) -> None:
        rgb = to_rgb(image.visible(image.read_whole()))
        scaled = scale_intensity(rgb.mean(axis=2, keepdims=True, dtype=np.float32), *gray_range(rgb))
        self._pixels = np.rint(scaled * 255).astype(np.uint8)
        self.levels = image.levels[:1]
        self.um_per_px = image.um_per_px
        self.selection, self.notes, self.pixel_notes = image.selection, image.notes, ()

    def read(self, level: int, y_px: int, x_px: int, height_px: int, width_px: int) -> Num[np.ndarray, "y x c"]:
        """A view of the held pixels."""
        return self._pixels[y_px : y_px + height_px, x_px : x_px + width_px]

    def close(self) -> None:
        """Nothing is open."""


def gray_copy(image: Image) -> Image:
    """The image in 8-bit gray, its 1st percentile black and its 99.8th white, so that neither tells the stain.

    Raises:
        ImageReadError: The file is damaged.
        ShapeError: The image has several channels that are no colors, and none was chosen.
        ValueRangeError: No pixel is finite.
    """
    return image.with_source(GraySource(image))
