"""TIFF, BigTIFF and OME-TIFF, read by region."""

import logging
import struct
from pathlib import Path

import numpy as np
import tifffile
from jaxtyping import Num

from organscope.errors import ImageReadError
from organscope.images.ranges import RangedArray
from organscope.images.source import Level
from organscope.images.tiff_colour import Colour
from organscope.images.tiff_integrity import require_all_pages, require_contiguous_pixels, require_segments
from organscope.images.tiff_layout import channel_pages, cut_region, level_of, n_channels
from organscope.images.tiff_metadata import read_um_per_px, read_value_range
from organscope.images.tiff_segments import Page, SegmentReader
from organscope.images.urls import UrlFile, is_url

# tifffile reports damage to its log, which ends on the terminal where nobody listens; damage is checked here.
logging.getLogger("tifffile").addHandler(logging.NullHandler())

MAGIC = (b"II*\0", b"MM\0*", b"II+\0", b"MM\0+")
#: What the parser and the codecs raise for damaged or unknown content.
DECODE_ERRORS = (
    ArithmeticError,
    AttributeError,
    LookupError,
    OSError,
    RuntimeError,
    TypeError,
    ValueError,
    struct.error,
)


def is_tiff(path: Path, head: bytes) -> bool:
    """Whether the first bytes are those of a TIFF file."""
    return head.startswith(MAGIC)


class TiffSource:
    """A TIFF file: its first image, with the levels of its pyramid.

    Channels are the axes C and S (samples, planar or interleaved) and unnamed axes; of z and time the first
    plane is read. Contiguous pixels are mapped, else only the tiles or strips of a region are decoded. The
    orientation tag is not applied, as in other scientific readers.
    """

    def __init__(self, path: Path, max_pixels: int, as_stored: bool = False) -> None:
        self._path = path
        self._channel: int | None = None
        try:
            # Kept, because tifffile closes only what it has opened itself.
            self._remote = UrlFile(path) if is_url(path) else None
            self._file = tifffile.TiffFile(path if self._remote is None else self._remote)
        except DECODE_ERRORS as error:
            raise _damaged(path, error) from error
        try:
            self._describe(max_pixels, as_stored)
        except DECODE_ERRORS as error:
            self._file.close()
            raise _damaged(path, error) from error
        except ImageReadError:
            self._file.close()
            raise

    def _describe(self, max_pixels: int, as_stored: bool) -> None:
        require_all_pages(self._path, self._file)
        base = self._file.series[0]
        self._series = [level for level in base.levels if level.keyframe.dtype == base.keyframe.dtype]
        self.levels: tuple[Level, ...] = tuple(level_of(level, base) for level in self._series)
        _require_pixels(self._path, self.levels[0])
        self._colour = Colour(self._path, base.keyframe, as_stored)
        self._pages = [self._checked_pages(level, max_pixels) for level in self._series]
        self._segments = SegmentReader(self._file)
        self.dtype = self._colour.dtype
        self.n_channels = self._colour.n_channels(n_channels(base))
        self.um_per_px = read_um_per_px(self._file)
        self.value_range = self._colour.value_range(read_value_range(self._file, base.keyframe.dtype))

    def _checked_pages(self, series: tifffile.TiffPageSeries, max_pixels: int) -> list[Page]:
        """The pages whose tiles or strips are to be decoded; none where the pixels can be mapped."""
        if _is_mapped(series):
            require_contiguous_pixels(self._path, self._file, series)
            return []
        pages = channel_pages(series)
        require_segments(self._path, self._file, pages, max_pixels)
        return pages

    def choose_channel(self, channel: int) -> None:
        """Read only one channel from now on."""
        self._channel, self._n_stored, self.n_channels = channel, self.n_channels, 1

    def read(self, level: int, y_px: int, x_px: int, height_px: int, width_px: int) -> Num[np.ndarray, "y x c"]:
        """Pixels of a region; raises ImageReadError where the file is damaged."""
        region = (y_px, x_px, height_px, width_px)
        # A palette makes the channels, so that they can only be told apart afterwards.
        stored = None if self._colour.has_palette else self._channel
        try:
            if _is_mapped(self._series[level]):
                pixels = self._read_mapped(self._series[level], stored, *region)
            else:
                pixels = self._read_segments(self._pages[level], stored, *region)
        except DECODE_ERRORS as error:
            raise _damaged(self._path, error) from error
        pixels = self._colour.apply(pixels, self.value_range)
        return pixels if stored == self._channel else pixels[:, :, self._channel, None]

    def close(self) -> None:
        """Close the file."""
        self._segments.close()
        self._file.close()
        if self._remote is not None:
            self._remote.close()

    def _read_mapped(
        self, series: tifffile.TiffPageSeries, channel: int | None, y: int, x: int, height: int, width: int
    ) -> Num[np.ndarray, "y x c"]:
        dtype = np.dtype(self._file.byteorder + series.dtype.char)
        if self._remote is not None:
            pixels = RangedArray(self._remote.read_at, dtype, series.dataoffset, series.shape, series.axes.index("Y"))
        else:
            # Mapped for one read only: pages of a map that stays open count as memory of the process.
            pixels = np.memmap(self._path, dtype, "r", series.dataoffset, series.shape)
        return cut_region(pixels, series.axes, slice(y, y + height), slice(x, x + width), channel)

    def _read_segments(
        self, pages: list[Page], channel: int | None, y: int, x: int, height: int, width: int
    ) -> Num[np.ndarray, "y x c"]:
        region = (y, x, height, width)
        if channel is None:
            planes = [self._segments.read(page, *region) for page in pages]
            return planes[0] if len(planes) == 1 else np.concatenate(planes, axis=2)
        page, sample = divmod(channel, self._n_stored // len(pages))
        return self._segments.read(pages[page], *region, sample=sample)


def _is_mapped(series: tifffile.TiffPageSeries) -> bool:
    whole_bytes = series.keyframe.bitspersample == 8 * series.dtype.itemsize
    return series.dataoffset is not None and whole_bytes


def _damaged(path: Path, error: Exception) -> ImageReadError:
    reason = str(error) or type(error).__name__
    return ImageReadError(
        f"Expected a whole TIFF file of a known kind, found that {path} cannot be read ({reason}). "
        "Copy or export it again; where the compression is the cause, export with LZW or Deflate."
    )


def _require_pixels(path: Path, level: Level) -> None:
    if min(level.height_px, level.width_px) < 1:
        raise ImageReadError(
            f"Expected an image with pixels, found {level.height_px} x {level.width_px} px in {path}. Export it again."
        )
