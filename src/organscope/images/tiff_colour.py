"""From stored samples to intensities: palettes, bilevel images and inverted gray."""

from pathlib import Path

import numpy as np
import tifffile
from jaxtyping import Num

from organscope.errors import ImageReadError
from organscope.images.source import as_pixels, pixel_dtype

WHITE_IS_ZERO, BLACK_IS_ZERO, RGB, PALETTE, MASK, YCBCR = 0, 1, 2, 3, 4, 6
#: Compressions whose decoders give RGB for YCbCr.
CONVERTING = {6, 7, 22610, 33007, 34892, 34712, 50001, 50002}


class Colour:
    """What has to be done to the samples of one file.

    Palettes become 8-bit RGB; one bit becomes 0 and 255; where white is zero the samples are inverted, so
    that larger always means brighter.
    """

    def __init__(self, path: Path, page: tifffile.TiffPage, as_stored: bool) -> None:
        known = page.photometric in (WHITE_IS_ZERO, BLACK_IS_ZERO, RGB, PALETTE, MASK)
        converted = page.photometric == YCBCR and page.compression in CONVERTING
        if (not known and not converted) or page.dtype is None:
            raise ImageReadError(
                f"Expected gray or RGB samples in {path}, found {page.dtype or page.bitspersample}, "
                f"colour space {page.photometric}. Export it as RGB or gray with 8 or 16 bits."
            )
        pixels = pixel_dtype(page.dtype, path)
        self._is_inverted = not as_stored and page.photometric == WHITE_IS_ZERO and page.dtype.kind in "bu"
        self._palette = None
        if page.photometric == PALETTE and page.colormap is not None and not as_stored:
            self._palette = (page.colormap >> 8).astype(np.uint8).T
        self.dtype = pixels if self._palette is None else np.dtype(np.uint8)
        self._is_bilevel = page.dtype.kind == "b"

    @property
    def has_palette(self) -> bool:
        """Whether one stored sample becomes three channels."""
        return self._palette is not None

    def n_channels(self, n_stored: int) -> int:
        """Channels after `apply`, from those of the file."""
        return n_stored if self._palette is None else 3 * n_stored

    def value_range(self, stored: tuple[float, float]) -> tuple[float, float]:
        """Black and white after `apply`, from those of the file."""
        return stored if self._palette is None and not self._is_bilevel else (0.0, 255.0)

    def apply(self, samples: Num[np.ndarray, "y x c"], value_range: tuple[float, float]) -> Num[np.ndarray, "y x c"]:
        """Intensities from samples."""
        if self._palette is not None:
            colours = self._palette[samples.astype(np.intp)]
            return colours.reshape(*samples.shape[:2], -1)
        samples = as_pixels(samples, self.dtype)
        return self.dtype.type(value_range[1]) - samples if self._is_inverted else samples
