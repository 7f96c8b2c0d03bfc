"""Decode only the tiles or strips of a TIFF page that a region touches."""

import math
import threading
from collections import OrderedDict
from collections.abc import Callable, Iterator, Sequence

import numpy as np
import tifffile
from jaxtyping import Num

#: A page, or what tifffile keeps of a page that is like the first one.
Page = tifffile.TiffPage | tifffile.TiffFrame

#: Decoded tiles and strips that are kept: neighbouring regions share them.
CACHE_BYTES = 64 * 2**20


class SegmentCache:
    """The decoded segments that were used last, up to a number of bytes; safe between threads."""

    def __init__(self, max_bytes: int = CACHE_BYTES) -> None:
        self._max_bytes = max_bytes
        self._n_bytes = 0
        self._kept: OrderedDict[tuple[int, int], np.ndarray] = OrderedDict()
        self._lock = threading.Lock()

    def get(self, key: tuple[int, int], decode: Callable[[], np.ndarray]) -> np.ndarray:
        """The segment of that key, decoded now if it is not kept."""
        with self._lock:
            if key in self._kept:
                self._kept.move_to_end(key)
                return self._kept[key]
        segment = decode()
        with self._lock:
            if key not in self._kept:
                self._kept[key] = segment
                self._n_bytes += segment.nbytes
            while self._n_bytes > self._max_bytes and len(self._kept) > 1:
                self._n_bytes -= self._kept.popitem(last=False)[1].nbytes
        return segment

    def clear(self) -> None:
        """Let all segments go."""
        with self._lock:
            self._kept.clear()
            self._n_bytes = 0


class SegmentReader:
    """Reads regions of the pages of one file."""

    def __init__(self, file: tifffile.TiffFile) -> None:
        self._file = file.filehandle
        self._file_lock = threading.Lock()
        self._cache = SegmentCache()

    def read(
        self,
        page: Page,
        y: int,
        x: int,
        height: int,
        width: int,
        *,
        samples: Sequence[int] | None = None,
        depth: int = 0,
    ) -> Num[np.ndarray, "y x c"]:
        """A region of one depth plane of a page: all samples, or some that follow each other.

        Raises:
            ValueError, RuntimeError: A segment is missing or cannot be decoded.
        """
        n_separate, _, _, _, n_contiguous = page.keyframe.shaped
        samples = range(n_separate * n_contiguous) if samples is None else samples
        region = np.empty((height, width, len(samples)), page.dtype)
        inside = depth % page.keyframe.tiledepth if page.keyframe.is_tiled else 0
        for plane, index, top, left in _segments_touched(page.keyframe, y, x, height, width, depth):
            if n_separate > 1 and plane not in samples:
                continue
            segment = self._cache.get((page.offset, index), lambda i=index: self._decode(page, i))[inside]
            target_y, source_y = _overlap(top, segment.shape[0], y, height)
            target_x, source_x = _overlap(left, segment.shape[1], x, width)
            if n_separate > 1:
                region[target_y, target_x, plane - samples[0]] = segment[source_y, source_x, 0]
            else:
                region[target_y, target_x] = segment[source_y, source_x, samples[0] : samples[-1] + 1]
        return region

    def close(self) -> None:
        """Let the decoded segments go."""
        self._cache.clear()

    def _decode(self, page: Page, index: int) -> Num[np.ndarray, "z y x c"]:
        offset, n_bytes = page.dataoffsets[index], page.databytecounts[index]
        if n_bytes == 0:
            raise ValueError(f"tile or strip {index} was never written")
        with self._file_lock:
            self._file.seek(offset)
            encoded = self._file.read(n_bytes)
        if len(encoded) != n_bytes:
            raise ValueError(f"tile or strip {index} ends after {len(encoded)} of {n_bytes} bytes")
        tables = {"jpegtables": page.jpegtables, "jpegheader": page.keyframe.jpegheader}
        return page.keyframe.decode(encoded, index, **tables)[0]


def segment_shape(page: tifffile.TiffPage) -> tuple[int, int]:
    """Height and width of the tiles or strips of a page."""
    if page.is_tiled:
        return page.tilelength, page.tilewidth
    return min(page.rowsperstrip, page.imagelength), page.imagewidth


def _segments_touched(
    page: tifffile.TiffPage, y: int, x: int, height: int, width: int, depth_plane: int
) -> Iterator[tuple[int, int, int, int]]:
    """Sample plane, index in the file's tables, top row and left column of each segment of a region."""
    n_separate, depth, length, breadth, _ = page.shaped
    rows, columns = segment_shape(page)
    n_down, n_across = math.ceil(length / rows), math.ceil(breadth / columns)
    tile_depth = page.tiledepth if page.is_tiled else 1
    n_depth = math.ceil(depth / tile_depth)
    for sample in range(n_separate):
        first = (sample * n_depth + depth_plane // tile_depth) * n_down * n_across
        for down in range(y // rows, (y + height - 1) // rows + 1):
            for across in range(x // columns, (x + width - 1) // columns + 1):
                yield sample, first + down * n_across + across, down * rows, across * columns


def _overlap(start: int, length: int, wanted: int, wanted_length: int) -> tuple[slice, slice]:
    """Where a segment lands in a region along one axis, and which part of it does."""
    low, high = max(start, wanted), min(start + length, wanted + wanted_length)
    return slice(low - wanted, high - wanted), slice(low - start, high - start)
