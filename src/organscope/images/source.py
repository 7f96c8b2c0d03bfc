"""What every reader of a file format gives to `Image`."""

from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import numpy as np
from jaxtyping import Num

from organscope.errors import ImageReadError
from organscope.images.selection import Channels, Selection
from organscope.ops.pixel_size import PixelSize

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
        um_per_px: Height and width of a pixel of level 0, None where the file does not tell.
        pixel_notes: What is unusual about the pixel size that the file states, or why it was not believed.
        value_range: What black and white are.
        channels: What the channels of the file are, before one is chosen.
        selection: What of the file is read.
        notes: Sentences on choices that were made.
    """

    levels: tuple[Level, ...]
    n_channels: int
    dtype: np.dtype
    um_per_px: PixelSize | None
    pixel_notes: tuple[str, ...]
    value_range: tuple[float, float]
    channels: Channels
    selection: Selection
    notes: tuple[str, ...]

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
    """Black and white of a pixel type: the full range of integers, (0, 1) for floats, (0, 255) for truth values."""
    if dtype.kind == "b":
        return 0.0, 255.0
    if np.issubdtype(dtype, np.integer):
        limits = np.iinfo(dtype)
        return float(max(limits.min, 0)), float(limits.max)
    return 0.0, 1.0


def pixel_dtype(stored: np.dtype, where: Path) -> np.dtype:
    """The type that pixels of a stored type are given in: half floats as float32, truth values as bytes.

    Raises:
        ImageReadError: Pixels of that type are no intensities, such as complex numbers.
    """
    if stored.kind not in "buif":
        raise ImageReadError(
            f"Expected pixels that are whole numbers, floats or truth values, found {stored} in {where}. "
            "Export intensities, such as the magnitude of complex numbers."
        )
    if stored.kind == "b":
        return np.dtype(np.uint8)
    if stored.kind == "f" and stored.itemsize not in (4, 8):
        return np.dtype(np.float32 if stored.itemsize < 4 else np.float64)
    return stored.newbyteorder("=")


def as_pixels(stored: Num[np.ndarray, "..."], dtype: np.dtype) -> Num[np.ndarray, "..."]:
    """Stored values in the type from `pixel_dtype`; truth becomes 255."""
    if stored.dtype.kind == "b":
        return stored.astype(np.uint8) * np.uint8(255)
    return stored if stored.dtype == dtype else stored.astype(dtype)
