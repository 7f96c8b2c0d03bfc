"""An image from an array in memory, with the same rules as for files."""

from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Num

from organscope.errors import ShapeError, UsageError, ValueRangeError
from organscope.images.image import Image
from organscope.images.selection import RGB, Channels, Selection
from organscope.images.source import Level, dtype_range

MEMORY_NAME = "image"
"""What an array without a name is called."""


def image_from_array(
    pixels: Any,
    *,
    um_per_px: Any = None,
    channel: int | str | None = None,
    value_range: tuple[float, float] | None = None,
    name: str = MEMORY_NAME,
) -> Image:
    """An image whose pixels are in memory; see `Image.from_array`."""
    values = _as_pixels(pixels)
    black_and_white, note = _range_of(values, value_range)
    source = ArraySource(values, black_and_white, (*_narrowing(pixels, values), *([note] if note else [])))
    channels, number = source.channels, None
    where = Path(_checked_name(name))
    if isinstance(channel, str) and channel.casefold() == RGB:
        channels = channels.as_color(where)
    elif channel is not None:
        number = channels.number(channel, where)
        channels = channels.only(number)
        source.choose_channel(number)
    given = {"um_per_px": um_per_px, "channel": channel, "value_range": value_range, "name": name}
    return Image(where, source, {"pixels": values, **given}, channels=channels, channel=number)


class ArraySource:
    """Pixels in memory: the full resolution of an image, and no other."""

    def __init__(
        self, pixels: Num[np.ndarray, "y x c"], value_range: tuple[float, float], notes: tuple[str, ...]
    ) -> None:
        self._pixels = pixels
        self.value_range, self.notes = value_range, notes
        self.n_channels = pixels.shape[2]
        self.dtype = pixels.dtype
        self.um_per_px = None
        self.pixel_notes = ()
        self.levels = (Level(pixels.shape[0], pixels.shape[1], 1.0),)
        self.channels = Channels.unnamed(
            self.n_channels, is_color=self.n_channels in (3, 4), has_alpha=self.n_channels in (2, 4)
        )
        self.selection = Selection(n_channels=self.n_channels)

    def read(self, level: int, y_px: int, x_px: int, height_px: int, width_px: int) -> Num[np.ndarray, "y x c"]:
        """A view of a region."""
        return self._pixels[y_px : y_px + height_px, x_px : x_px + width_px]

    def choose_channel(self, channel: int) -> None:
        """Give only one channel from now on."""
        self._pixels, self.n_channels = self._pixels[:, :, channel : channel + 1], 1

    def close(self) -> None:
        """Nothing is open."""


def _checked_name(name: str) -> str:
    if not isinstance(name, str) or not name or name in (".", "..") or any(sign in name for sign in "/\\\0"):
        raise UsageError(f"Expected a plain name for the image, found {name!r}. It becomes that of its results.")
    return name


def _as_pixels(given: Any) -> Num[np.ndarray, "y x c"]:
    """The array as y x c in a type that files have; a copy, so that later changes of the caller's do not matter."""
    if isinstance(given, np.ma.MaskedArray):
        raise UsageError("Expected an array of pixels, found a masked array. Fill it first: array.filled(0).")
    values = np.asarray(given)
    if values.dtype.kind not in "buif":
        raise UsageError(
            f"Expected an array of whole numbers, floats or truth values, found {values.dtype}. "
            "Convert it to intensities, such as array.astype('float32')."
        )
    if values.ndim not in (2, 3):
        raise ShapeError(
            f"Expected an array (y, x) or (y, x, channels), found {values.ndim} dimensions {values.shape}. Give one "
            "plane at a time, such as array[0]; several images go through organscope.run."
        )
    values = values if values.ndim == 3 else values[:, :, None]
    if values.size == 0:
        raise ShapeError(f"Expected an array with pixels, found none: its shape is {values.shape}.")
    if values.shape[2] > 4 and values.shape[0] <= 4:
        raise ShapeError(
            f"Expected an array (y, x, channels), found {values.shape}, whose channels seem to come first. Move them: "
            "numpy.moveaxis(array, 0, -1)."
        )
    if values.dtype.kind == "f" and not np.isfinite(values).all():
        n_bad = int((~np.isfinite(values)).sum())
        raise ValueRangeError(
            f"Expected finite pixels, found {n_bad:,} that are not a number or infinite. Replace them first: "
            "numpy.nan_to_num(array)."
        )
    return np.array(_in_file_type(values), order="C")


def _in_file_type(values: np.ndarray) -> np.ndarray:
    if values.dtype.kind == "b":
        return values.astype(np.uint8) * np.uint8(255)
    if values.dtype.kind == "f" and values.dtype.itemsize not in (4, 8):
        return values.astype(np.float32 if values.dtype.itemsize < 4 else np.float64)
    if values.dtype.kind in "iu" and values.dtype.itemsize == 8:
        return _narrowed(values)
    return values.astype(values.dtype.newbyteorder("="), copy=False)


def _narrowed(values: np.ndarray) -> np.ndarray:
    """Python's integers in the fewest of 8, 16 or 32 bits: no camera has 64, and black and white follow the type."""
    low, high = int(values.min()), int(values.max())
    for dtype in (np.uint8, np.uint16, np.uint32, np.int8, np.int16, np.int32):
        if np.iinfo(dtype).min <= low and high <= np.iinfo(dtype).max:
            return values.astype(dtype)
    return values.astype(np.float64)


def _narrowing(given: Any, values: np.ndarray) -> tuple[str, ...]:
    stored = np.asarray(given).dtype
    if stored.kind not in "iu" or stored.itemsize < 8 or values.dtype.kind == "f":
        return ()
    bits = values.dtype.itemsize * 8
    return (
        f"Whole numbers of 64 bits, up to {int(values.max()):,}, were taken as {bits}-bit pixels, whose white is "
        f"{dtype_range(values.dtype)[1]:,.0f}. Choose others with value_range.",
    )


def _range_of(values: np.ndarray, given: tuple[float, float] | None) -> tuple[tuple[float, float], str]:
    """Black and white, and how they were chosen where the type does not say it."""
    if given is not None:
        try:
            low, high = (float(value) for value in given)
        except (TypeError, ValueError):
            raise UsageError(f"Expected value_range as (black, white), found {given!r}.") from None
        if not (np.isfinite([low, high]).all() and low < high):
            raise UsageError(f"Expected black below white in value_range, found {given!r}.")
        return (low, high), ""
    low, high = float(values.min()), float(values.max())
    if values.dtype.kind != "f" or (low >= 0 and high <= 1):
        return dtype_range(values.dtype), ""
    known = next((white for white in (255.0, 65535.0) if low >= 0 and high <= white), None)
    taken = (low, high if high > low else low + 1.0) if known is None else (0.0, known)
    note = (
        f"Floats are expected from 0 to 1; this array holds {low:g} to {high:g}, so {taken[0]:g} was taken as black "
        f"and {taken[1]:g} as white. Choose others with value_range."
    )
    return taken, note
