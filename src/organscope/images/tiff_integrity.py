"""Refuse TIFF files whose pixels are not all there.

tifffile gives zeros for tiles that are missing and leaves out pages that cannot be reached; both would look like
an image.
"""

import math
import struct
from collections.abc import Sequence
from pathlib import Path

import tifffile

from organscope.errors import ImageReadError
from organscope.images.tiff_segments import Page, segment_shape


def require_all_pages(path: Path, file: tifffile.TiffFile) -> None:
    """Every page names the next one; the last one names none.

    Raises:
        ImageReadError: The chain of pages breaks off.
    """
    if len(file.pages) == 0:
        raise _truncated(path, file)
    kind, handle = file.tiff, file.filehandle
    handle.seek(file.pages[-1].offset)
    (n_tags,) = struct.unpack(kind.tagnoformat, handle.read(kind.tagnosize))
    handle.seek(n_tags * kind.tagsize, 1)
    (following,) = struct.unpack(kind.offsetformat, handle.read(kind.offsetsize))
    if following:
        raise _truncated(path, file)


def require_contiguous_pixels(path: Path, file: tifffile.TiffFile, series: tifffile.TiffPageSeries) -> None:
    """All pixels of a contiguous series lie inside the file.

    Raises:
        ImageReadError: They reach beyond its end.
    """
    n_bytes = math.prod(series.shape) * series.dtype.itemsize
    if series.dataoffset + n_bytes > file.filehandle.size:
        raise _truncated(path, file)


def require_segments(path: Path, file: tifffile.TiffFile, pages: Sequence[Page | None], max_pixels: int) -> None:
    """All tiles or strips of some pages lie inside the file and are small enough to decode one by one.

    Raises:
        ImageReadError: A page is in another file, a tile or strip is missing, beyond the end or too large.
    """
    for page in pages:
        if page is None or page.parent is not file:
            raise ImageReadError(
                f"Expected all planes in one file, found that {path} refers to other files. Export it as one OME-TIFF."
            )
        extents = list(zip(page.dataoffsets, page.databytecounts, strict=True))
        is_short = len(extents) < math.prod(page.keyframe.chunked)
        if is_short or any(n == 0 or start + n > file.filehandle.size for start, n in extents):
            raise _truncated(path, file)
        height, width = segment_shape(page.keyframe)
        if height * width > max_pixels:
            raise ImageReadError(
                f"Expected tiles or strips of at most {max_pixels / 1e6:.0f} megapixels, found "
                f"{height} x {width} px in {path}, which must be decoded as a whole. "
                "Convert it to a tiled TIFF, or allow more where a command has --max-megapixels."
            )


def _truncated(path: Path, file: tifffile.TiffFile) -> ImageReadError:
    return ImageReadError(
        f"Expected a whole TIFF file, found that {path} is truncated: pixels or pages are missing in its "
        f"{file.filehandle.size} bytes. Copy or export it again."
    )
