"""TIFF, BigTIFF and OME-TIFF, read by region."""

import logging
import math
from pathlib import Path

import numpy as np
import tifffile
from jaxtyping import Num

from organscope.errors import ImageReadError
from organscope.images.source import Level
from organscope.images.tiff_colour import Colour
from organscope.images.tiff_layout import channel_pages, cut_region, level_of, n_channels
from organscope.images.tiff_metadata import read_um_per_px, read_value_range
from organscope.images.tiff_segments import SegmentReader, segment_shape

# tifffile reports damage to its log, which ends on the terminal where nobody listens; damage is checked here.
logging.getLogger("tifffile").addHandler(logging.NullHandler())

MAGIC = (b"II*\0", b"MM\0*", b"II+\0", b"MM\0+")
#: What the parser and the codecs raise for damaged or unknown content.
DECODE_ERRORS = (ArithmeticError, AttributeError, LookupError, OSError, RuntimeError, TypeError, ValueError)


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
        try:
            self._file = tifffile.TiffFile(path)
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
        base = self._file.series[0]
        self._series = [level for level in base.levels if level.keyframe.dtype == base.keyframe.dtype]
        self.levels: tuple[Level, ...] = tuple(level_of(level, base) for level in self._series)
        _require_pixels(self._path, self.levels[0])
        self._colour = Colour(self._path, base.keyframe, as_stored)
        self._pages = [[] if _is_mapped(level) else channel_pages(level) for level in self._series]
        for series, pages in zip(self._series, self._pages, strict=True):
            _require_complete(self._path, self._file, series, pages)
            _require_small_segments(self._path, pages, max_pixels)
        self._segments = SegmentReader(self._file)
        self.dtype = self._colour.dtype
        self.n_channels = self._colour.n_channels(n_channels(base))
        self.um_per_px = read_um_per_px(self._file)
        self.value_range = self._colour.value_range(read_value_range(self._file, base.keyframe.dtype))

    def read(self, level: int, y_px: int, x_px: int, height_px: int, width_px: int) -> Num[np.ndarray, "y x c"]:
        """Pixels of a region; raises ImageReadError where the file is damaged."""
        region = (y_px, x_px, height_px, width_px)
        try:
            if _is_mapped(self._series[level]):
                pixels = self._read_mapped(self._series[level], *region)
            else:
                planes = [self._segments.read(page, *region) for page in self._pages[level]]
                pixels = planes[0] if len(planes) == 1 else np.concatenate(planes, axis=2)
        except DECODE_ERRORS as error:
            raise _damaged(self._path, error) from error
        return self._colour.apply(pixels, self.value_range)

    def close(self) -> None:
        """Close the file."""
        self._segments.close()
        self._file.close()

    def _read_mapped(
        self, series: tifffile.TiffPageSeries, y: int, x: int, height: int, width: int
    ) -> Num[np.ndarray, "y x c"]:
        # Mapped for one read only: pages of a map that stays open count as memory of the process.
        dtype = np.dtype(self._file.byteorder + series.dtype.char)
        pixels = np.memmap(self._path, dtype, "r", series.dataoffset, series.shape)
        return cut_region(pixels, series.axes, slice(y, y + height), slice(x, x + width))


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


def _require_complete(
    path: Path,
    file: tifffile.TiffFile,
    series: tifffile.TiffPageSeries,
    pages: list[tifffile.TiffPage | tifffile.TiffFrame],
) -> None:
    """Refuse files whose tables point behind their end, or to nothing: tifffile reads zeros there."""
    if any(page is None or page.parent is not file for page in pages):
        raise ImageReadError(
            f"Expected all planes in one file, found that {path} refers to other files. Export it as one OME-TIFF."
        )
    if _is_mapped(series):
        ends = [series.dataoffset + math.prod(series.shape) * series.dtype.itemsize]
    else:
        ends = [sum(one) for page in pages for one in zip(page.dataoffsets, page.databytecounts, strict=True)]
    missing = any(count == 0 for page in pages for count in page.databytecounts)
    if missing or not ends or max(ends) > file.filehandle.size:
        raise ImageReadError(
            f"Expected a whole TIFF file, found that {path} is truncated: pixels are missing in its "
            f"{file.filehandle.size} bytes. Copy or export it again."
        )


def _require_small_segments(path: Path, pages: list[tifffile.TiffPage | tifffile.TiffFrame], max_pixels: int) -> None:
    for page in pages:
        height, width = segment_shape(page.keyframe)
        if height * width > max_pixels:
            raise ImageReadError(
                f"Expected tiles or strips of at most {max_pixels / 1e6:.0f} megapixels, found "
                f"{height} x {width} px in {path}, which must be decoded as a whole. "
                "Convert it to a tiled TIFF, or allow more with --max-pixels."
            )
