"""What every reader of a file format gives to `Image`."""

from dataclasses import dataclass
from typing import Protocol

import numpy as np
from jaxtyping import Num

#: Formats that must be decoded as a whole are refused above this size unless the caller raises it.
DEFAULT_MAX_PIXELS = 100_000_000


@dataclass(frozen=True)
class Level:
    """One resolution of an image; `downsample` is how many level-0 pixels one of its pixels spans."""

    height_px: int
    width_px: int
    downsample: float


class Source(Protocol):
    """An open image file.

    Attributes:
        levels: Full resolution first.
        n_channels: Channels of every region that is read.
        dtype: Pixel type, native byte order.
        um_per_px: Pixel size of level 0, None where the file does not tell.
        value_range: What black and white are.
    """

    levels: tuple[Level, ...]
    n_channels: int
    dtype: np.dtype
    um_per_px: float | None
    value_range: tuple[float, float]

    def read(self, level: int, y_px: int, x_px: int, height_px: int, width_px: int) -> Num[np.ndarray, "y x c"]:
        """Pixels of a region that lies inside the level."""
        ...

    def choose_channel(self, channel: int) -> None:
        """Read only one channel from now on; only asked before the first read."""
        ...

    def close(self) -> None:
        """Release the file."""
        ...


def dtype_range(dtype: np.dtype) -> tuple[float, float]:
    """Black and white of a pixel type: the full range of integers, (0, 1) for floats."""
    if np.issubdtype(dtype, np.integer):
        limits = np.iinfo(dtype)
        return float(max(limits.min, 0)), float(limits.max)
    return 0.0, 1.0


def plausible_um_per_px(value: float | None) -> float | None:
    """A pixel size that a microscope can have, else None.

    Resolution tags often hold the 72, 96 or 300 dots an inch of a screen or a printer; these would be 353,
    265 and 85 um a pixel. Anything above 20 um (1,270 dots an inch) or below 0.01 nm is taken as unknown.
    """
    if value is None or not np.isfinite(value) or not 1e-5 <= value <= 20:
        return None
    return float(value)
