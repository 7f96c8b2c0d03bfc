"""An image whose file is read once, however many bundles look at it, unless it is too large to hold."""

import numpy as np
from jaxtyping import Num

from organscope.images import Image

MAX_HELD_PX = 32_000_000
"""Larger images are read by region each time: decoding again costs a few hundredths of the network's time, and
holding 100 megapixels of colour would cost 300 MB."""


class HeldSource:
    """Level 0 of an image in memory; other levels still come from the file."""

    def __init__(self, image: Image) -> None:
        self._image = image
        self._pixels = image.read_whole()
        self.levels = image.levels
        self.n_channels = image.n_channels
        self.dtype = image.dtype
        self.um_per_px = image.um_per_px
        self.pixel_notes = ()
        self.value_range = image.value_range
        self.channels, self.selection, self.notes = image.channels, image.selection, image.notes

    def read(self, level: int, y_px: int, x_px: int, height_px: int, width_px: int) -> Num[np.ndarray, "y x c"]:
        """A view of the held pixels, or a region of a smaller level."""
        if level > 0:
            return self._image.read(y_px, x_px, height_px, width_px, level=level)
        return self._pixels[y_px : y_px + height_px, x_px : x_px + width_px]

    def close(self) -> None:
        """The file belongs to the image that was given."""


def hold_image(image: Image) -> Image:
    """The same image with its full resolution read now, once; a large image is returned as it is.

    Raises:
        ImageReadError: The file is damaged.
    """
    if image.height_px * image.width_px > MAX_HELD_PX:
        return image
    return image.with_source(HeldSource(image))
