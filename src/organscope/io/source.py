"""What every reader of a file format gives to `Image`.

Images that are stored turned or mirrored, read as viewers show them.
"""

from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import numpy as np
from jaxtyping import Num

from organscope.errors import ImageReadError
from organscope.io.selection import Channels, Selection
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

    def close(self) -> None:
        """Release the file."""
        ...


class ChoosableSource(Source, Protocol):
    """An image of which one channel can be chosen."""

    def choose_channel(self, channel: int) -> None:
        """Read only one channel from now on; only asked before the first read."""
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


#: Orientation of EXIF and TIFF -> whether rows and columns change places, then the direction of rows and of columns.
_ORIENTATIONS = {
    1: (False, 1, 1),
    2: (False, 1, -1),
    3: (False, -1, -1),
    4: (False, -1, 1),
    5: (True, 1, 1),
    6: (True, 1, -1),
    7: (True, -1, -1),
    8: (True, -1, 1),
}
"""From what is stored: transposed first, then reversed."""


class _OrientedSource:
    """Another source, upright; closing it closes the other."""

    def __init__(self, source: ChoosableSource, orientation: int) -> None:
        """Describe the upright image; nothing is read.

        Args:
            source: As it is stored.
            orientation: 2 to 8, as EXIF and TIFF number them.
        """
        self._source = source
        self._swap, self._down, self._across = _ORIENTATIONS[orientation]
        self.levels = tuple(
            Level(level.width_px, level.height_px, level.downsample) if self._swap else level for level in source.levels
        )
        self.dtype = source.dtype
        size = source.um_per_px
        self.um_per_px = size[::-1] if self._swap and size is not None else size
        self.pixel_notes = source.pixel_notes
        self.value_range = source.value_range
        self.channels = source.channels
        self.selection = source.selection
        self.notes = (
            *source.notes,
            f"The image was turned upright, as its orientation tag ({orientation}) asks; rows and columns are those "
            "that viewers show.",
        )

    @property
    def n_channels(self) -> int:
        """Channels of every region that is read."""
        return self._source.n_channels

    def read(self, level: int, y_px: int, x_px: int, height_px: int, width_px: int) -> Num[np.ndarray, "y x c"]:
        """Pixels of an upright region."""
        size = self.levels[level]
        y = y_px if self._down == 1 else size.height_px - y_px - height_px
        x = x_px if self._across == 1 else size.width_px - x_px - width_px
        if self._swap:
            pixels = self._source.read(level, x, y, width_px, height_px).swapaxes(0, 1)
        else:
            pixels = self._source.read(level, y, x, height_px, width_px)
        return np.ascontiguousarray(pixels[:: self._down, :: self._across])

    def choose_channel(self, channel: int) -> None:
        """Read only one channel from now on."""
        self._source.choose_channel(channel)

    def close(self) -> None:
        """Close the other source."""
        self._source.close()


def upright(source: ChoosableSource, orientation: object) -> ChoosableSource:
    """The source as viewers show it; as it is where the orientation is the usual one or none that is known."""
    return _OrientedSource(source, orientation) if orientation in _ORIENTATIONS and orientation != 1 else source
