"""An image whose file is read once, however many bundles look at it."""

import numpy as np
from jaxtyping import Num

from organscope.images import Image


class HeldSource:
    """Level 0 of an image in memory; other levels still come from the file."""

    def __init__(self, image: Image) -> None:
        self._image = image
        self._pixels = image.read_whole()
        self.levels = image.levels
        self.n_channels = image.n_channels
        self.dtype = image.dtype
        self.um_per_px = image.um_per_px
        self.value_range = image.value_range

    def read(self, level: int, y_px: int, x_px: int, height_px: int, width_px: int) -> Num[np.ndarray, "y x c"]:
        """A view of the held pixels, or a region of a smaller level."""
        if level > 0:
            return self._image.read(y_px, x_px, height_px, width_px, level=level)
        return self._pixels[y_px : y_px + height_px, x_px : x_px + width_px]

    def close(self) -> None:
        """The file belongs to the image that was given."""


def hold_image(image: Image) -> Image:
    """The same image with its full resolution read now, once.

    Raises:
        ImageReadError: The file is damaged.
    """
    return Image(image.path, HeldSource(image), {"um_per_px": None, "channel": None})
