"""An image as a lazy, region-readable object; sampling; an in-memory image source.

The whole of an image at a glance: a small view of it, and a sample of its pixels.

An image whose file is read once, however many bundles look at it, unless it is too large to hold.

An image from an array in memory, with the same rules as for files.
"""

import math
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Num

from organscope.errors import ShapeError, UsageError, ValueRangeError
from organscope.io.selection import RGB, Channels, Selection
from organscope.io.source import Level, Source, dtype_range
from organscope.ops.pixel_size import PixelSize, given_pixel_size, is_square, pixel_size_text

#: Pixels held at once while a view is averaged; their sums take up to six times as much.
BAND_BYTES = 16 * 2**20
#: Side of the blocks that a sample of a large image consists of.
_BLOCK_PX = 512


def _shrink_image(image: "Image", max_side_px: int) -> Num[np.ndarray, "y x c"]:
    """The image with its longer side at most `max_side_px`: see `Image.thumbnail`."""
    fitting = [i for i, level in enumerate(image.levels) if max(level.height_px, level.width_px) >= max_side_px]
    level = fitting[-1] if fitting else 0
    height, width = image.levels[level].height_px, image.levels[level].width_px
    step = math.ceil(max(height, width) / max_side_px)
    if step == 1:
        return image.read_whole(level)
    row_bytes = width * image.n_channels * image.dtype.itemsize
    rows = max(BAND_BYTES // row_bytes // step, 1) * step
    tops = range(0, height, rows)
    bands = (image.read(top, 0, min(rows, height - top), width, level=level) for top in tops)
    return np.concatenate([block_mean(band, step) for band in bands])


def block_mean(pixels: Num[np.ndarray, "y x c"], step: int) -> Num[np.ndarray, "y x c"]:
    """Mean of every step x step block (less at the right and bottom edge), in the type of the pixels."""
    starts = [np.arange(0, size, step) for size in pixels.shape[:2]]
    counts = [np.diff(np.append(start, size)) for start, size in zip(starts, pixels.shape[:2], strict=True)]
    # Infinite pixels make a mean without a value; that is no reason to warn.
    with np.errstate(invalid="ignore", over="ignore"):
        # Row by row of the result: a reduction of all at once would first copy all pixels as float64.
        sums = np.stack([pixels[start : start + step].sum(axis=0, dtype=np.float64) for start in starts[0]])
        means = np.add.reduceat(sums, starts[1], axis=1) / np.outer(*counts)[:, :, None]
    return (np.rint(means) if pixels.dtype.kind in "ui" else means).astype(pixels.dtype)


def _sample_image(image: "Image", max_pixels: int) -> Num[np.ndarray, "y x c"]:
    """Pixels from all over the image: see `Image.sample`."""
    if image.height_px * image.width_px <= max_pixels:
        return image.read_whole()
    return np.concatenate([block.reshape(-1, 1, image.n_channels) for block in _blocks(image, max_pixels)])


def _blocks(image: "Image", max_pixels: int) -> Iterator[Num[np.ndarray, "y x c"]]:
    height, width = min(_BLOCK_PX, image.height_px), min(_BLOCK_PX, image.width_px)
    n_blocks = max(max_pixels // (height * width), 1)
    n_down = round(math.sqrt(n_blocks * image.height_px / image.width_px))
    n_down = min(max(n_down, 1), n_blocks, math.ceil(image.height_px / height))
    n_across = min(max(n_blocks // n_down, 1), math.ceil(image.width_px / width))
    for y in np.linspace(0, image.height_px - height, n_down, dtype=int).tolist():
        for x in np.linspace(0, image.width_px - width, n_across, dtype=int).tolist():
            yield image.read(y, x, height, width)


class Image:
    """A microscope image that is read region by region; made by `open_image`.

    Arrays are y x c in the pixel type of the file, native byte order, with at least one channel.

    Attributes:
        path: The file or folder.
        levels: Resolutions, full one first; at least one.
        um_per_px: Height and width (y, x) of a level-0 pixel in micrometers, None where unknown.
        size_is_given: Whether a person said it, rather than the file.
        value_range: What black and white are: the full range of the integer type or of the bits that the file
            says are used; (0, 1) for floats. Never derived from the pixels.
        n_channels: 1 where a channel was chosen.
        channels: Which of them are colors, and their names where the file gives them.
        selection: Which image, page, z plane, time point and channel of the file is read, and of how many.
        notes: Full sentences on choices that were made because nobody made them, and on the pixel size.
    """

    def __init__(
        self,
        path: Path,
        source: Source,
        options: dict[str, Any],
        *,
        channels: Channels | None = None,
        channel: int | None = None,
    ) -> None:
        """Describe an open source.

        Args:
            path: The file or folder.
            source: What reads it.
            options: With which `open_image` opens it again.
            channels: Those that are read, where they are not those of the source.
            channel: The number of the only one that is read, where one was chosen.
        """
        self.path = path
        self.levels: tuple[Level, ...] = source.levels
        self.dtype: np.dtype = source.dtype
        self.value_range = source.value_range
        self._source = source
        self._options = options
        given = options["um_per_px"]
        self.size_is_given: bool = given is not None
        self.um_per_px: PixelSize | None = source.um_per_px if given is None else given_pixel_size(given)
        self.n_channels = source.n_channels
        self.channels = channels or source.channels
        shown = self.channels.shown
        seen = channel if channel is not None else shown[0] if len(shown) == 1 else None
        self.selection: Selection = replace(source.selection, channel=seen)
        sentence = self.channels.sentence()
        on_size = (*(source.pixel_notes if given is None else ()), *_note_on_shape(self.um_per_px))
        self.notes: tuple[str, ...] = (*source.notes, *([sentence] if sentence else []), *on_size)

    @classmethod
    def from_array(
        cls,
        pixels: Any,
        *,
        um_per_px: Any = None,
        channel: int | str | None = None,
        value_range: tuple[float, float] | None = None,
        name: str = "image",
    ) -> "Image":
        """An image from an array; the pixels are copied.

        Black and white follow the type, as in files: the full range of 8, 16 or 32-bit integers, 0 to 1 for floats,
        false and true. 64-bit integers, which are Python's own, are taken as the fewest of 8, 16 or 32 bits that hold
        them. Floats beyond 0 to 1 are taken as 0 to 255 or 0 to 65535 where they fit, else from their least to their
        greatest value; `notes` says so.

        Args:
            pixels: (y, x) or (y, x, channels) of any whole numbers, floats or truth values. Three or four channels are
                colors (the fourth is opacity); of more than four one has to be chosen.
            um_per_px: Side of a pixel in micrometers.
            channel: Take only this one, counted from 0.
            value_range: Values that are black and white, in place of those above.
            name: What its results are called.

        Raises:
            UsageError: It is no array of numbers, or an argument is impossible.
            ShapeError: It has another number of dimensions, or no pixels.
            ValueRangeError: A pixel is not finite.
        """

        return image_from_array(pixels, um_per_px=um_per_px, channel=channel, value_range=value_range, name=name)

    @property
    def name(self) -> str:
        """File name with its suffix."""
        return self.path.name

    @property
    def height_px(self) -> int:
        """Rows at full resolution."""
        return self.levels[0].height_px

    @property
    def width_px(self) -> int:
        """Columns at full resolution."""
        return self.levels[0].width_px

    def read(self, y_px: int, x_px: int, height_px: int, width_px: int, *, level: int = 0) -> Num[np.ndarray, "y x c"]:
        """Pixels of one region.

        Args:
            y_px: First row, in pixels of the level.
            x_px: First column, in pixels of the level.
            height_px: Rows, at least 1.
            width_px: Columns, at least 1.
            level: Index into `levels`.

        Raises:
            ShapeError: There is no such level, or the region is empty or leaves it.
            ImageReadError: The file is damaged there.
        """
        self._require_inside(y_px, x_px, height_px, width_px, level)
        return self._source.read(level, y_px, x_px, height_px, width_px)

    def read_whole(self, level: int = 0) -> Num[np.ndarray, "y x c"]:
        """All pixels of one level.

        Raises:
            ShapeError: There is no such level.
            ImageReadError: The file is damaged.
        """
        self._require_inside(0, 0, 1, 1, level)
        return self.read(0, 0, self.levels[level].height_px, self.levels[level].width_px, level=level)

    def visible(self, pixels: Num[np.ndarray, "y x c"]) -> Num[np.ndarray, "y x k"]:
        """Of pixels of this image the channels that networks and viewers see: three colors, or one.

        Raises:
            ShapeError: The image has several channels that are no colors, and none was chosen.
        """
        shown = self.channels.require_shown(self.path)
        return pixels if len(shown) == pixels.shape[2] else pixels[:, :, shown[0] : shown[-1] + 1]

    def displayed(self, pixels: Num[np.ndarray, "y x c"]) -> Num[np.ndarray, "y x k"]:
        """As `visible`, to look at; the first channel where none was chosen."""
        return self.visible(pixels) if self.channels.shown else pixels[:, :, :1]

    def with_source(self, source: Source) -> "Image":
        """This image as another source gives it, such as from memory or at another scale."""
        copy = Image(self.path, source, {"um_per_px": None}, channels=source.channels)
        copy.size_is_given = self.size_is_given
        copy.selection, copy.notes = self.selection, self.notes
        return copy

    def thumbnail(self, max_side_px: int) -> Num[np.ndarray, "y x c"]:
        """A small view for reports: every pixel is the mean of the block of pixels that it stands for.

        Taken from the smallest level that is large enough, band by band, so that memory stays flat.

        Args:
            max_side_px: The longer side has at most this many pixels; a smaller image is not enlarged.

        Raises:
            ImageReadError: The file is damaged.
        """
        return _shrink_image(self, max_side_px)

    def sample(self, max_pixels: int = 16_000_000) -> Num[np.ndarray, "y x c"]:
        """Pixels for statistics of the whole image (percentiles), always the same ones.

        Args:
            max_pixels: An image up to this size is read whole.

        Returns:
            The image as it lies; of a larger one a column (n x 1 x c) of the pixels of blocks of 512 x 512 on
            an even grid from edge to edge.

        Raises:
            ImageReadError: The file is damaged.
        """
        return _sample_image(self, max_pixels)

    def close(self) -> None:
        """Release the file; reading afterwards is an error of the caller."""
        self._source.close()

    def _require_inside(self, y: int, x: int, height: int, width: int, level: int) -> None:
        if not 0 <= level < len(self.levels):
            raise ShapeError(f"Expected a level from 0 to {len(self.levels) - 1} of {self.path}, found {level}.")
        size = self.levels[level]
        inside = y >= 0 and x >= 0 and y + height <= size.height_px and x + width <= size.width_px
        if height < 1 or width < 1 or not inside:
            raise ShapeError(
                f"Expected a region inside {size.height_px} x {size.width_px} px of {self.path} "
                f"(level {level}), found {height} x {width} px at row {y}, column {x}. "
                "Clip the region to the image."
            )

    def __enter__(self) -> "Image":
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def __del__(self) -> None:
        if hasattr(self, "_source"):
            self.close()

    def __repr__(self) -> str:
        size = f"{self.height_px} x {self.width_px} px, {self.n_channels} x {self.dtype}"
        pixel = "pixel size unknown" if self.um_per_px is None else f"pixels {pixel_size_text(self.um_per_px)}"
        return f"Image({str(self.path)!r}, {size}, {len(self.levels)} level(s), {pixel})"


def _note_on_shape(um_per_px: PixelSize | None) -> tuple[str, ...]:
    if um_per_px is None or is_square(um_per_px):
        return ()
    return (f"Pixels are not square: {pixel_size_text(um_per_px)}. Areas and lengths in um allow for it.",)


MAX_HELD_PX = 32_000_000
"""Larger images are read by region each time: decoding again costs a few hundredths of the network's time, and
holding 100 megapixels of color would cost 300 MB."""


class _HeldSource:
    """Level 0 of an image in memory; other levels still come from the file."""

    def __init__(self, image: Image) -> None:
        self._image = image
        self._pixels = image.read_whole()
        self.levels = image.levels
        self.n_channels = image.n_channels
        self.dtype = image.dtype
        self.um_per_px = image.um_per_px
        self.pixel_notes: tuple[str, ...] = ()
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
    return image.with_source(_HeldSource(image))


_MEMORY_NAME = "image"
"""What an array without a name is called."""


def image_from_array(
    pixels: Any,
    *,
    um_per_px: Any = None,
    channel: int | str | None = None,
    value_range: tuple[float, float] | None = None,
    name: str = _MEMORY_NAME,
) -> Image:
    """An image whose pixels are in memory; see `Image.from_array`."""
    values = _as_pixels(pixels)
    black_and_white, note = _range_of(values, value_range)
    source = _ArraySource(values, black_and_white, (*_narrowing(pixels, values), *([note] if note else [])))
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


class _ArraySource:
    """Pixels in memory: the full resolution of an image, and no other."""

    def __init__(
        self, pixels: Num[np.ndarray, "y x c"], value_range: tuple[float, float], notes: tuple[str, ...]
    ) -> None:
        self._pixels = pixels
        self.value_range, self.notes = value_range, notes
        self.n_channels = pixels.shape[2]
        self.dtype = pixels.dtype
        self.um_per_px: PixelSize | None = None
        self.pixel_notes: tuple[str, ...] = ()
        self.levels: tuple[Level, ...] = (Level(pixels.shape[0], pixels.shape[1], 1.0),)
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
