"""A network's maps over any window of an image, equal to the same part of the maps of the whole image.

The windows of one image are planned together, so that all tiles have one shape: onnxruntime then works in the same
memory from the first tile to the last, and a worker elsewhere computes the same tiles.
"""

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float32

from organscope.bundle import Bundle
from organscope.images import Image
from organscope.ops.resample import Taps, axis_taps, resample
from organscope.ops.tiles import Span, padded_length, read_tile
from organscope.predict.ahead import run_ahead
from organscope.predict.maps import run_tile
from organscope.predict.prepare import Preparation, require_task
from organscope.predict.scaled import Factor, both_axes, scale_image

HasTissue = Callable[[int, int, int, int], bool]
"""Whether there is anything in a rectangle of the image: first row, end row, first column, end column."""

Window = tuple[slice, slice]
"""Rows and columns of the image; both bounds are given."""


@dataclass(frozen=True)
class Axis:
    """How one axis of an image is cut into windows, and each window into tiles.

    Attributes:
        windows: In pixels of the image; they cover it once.
        spans: The tiles of each window, in pixels that the network sees; all of one length, unless the axis is
            shorter than a tile.
        taps: From pixels of the network to those of the image; None where they are the same.
    """

    windows: tuple[slice, ...]
    spans: tuple[tuple[Span, ...], ...]
    taps: Taps | None

    @property
    def tile_px(self) -> int:
        """Length of a tile in pixels that the network sees."""
        return self.spans[0][0].stop - self.spans[0][0].start


class WindowMaps:
    """The maps of one image, window by window."""

    def __init__(
        self,
        image: Image,
        bundle: Bundle,
        *,
        factor: Factor,
        window_px: int,
        max_tile_px: int,
        has_tissue: HasTissue | None = None,
        ahead: bool = True,
    ) -> None:
        """Plan the windows, and read a sample of the image to know its black and white.

        Args:
            image: Any size from 1 x 1 px.
            bundle: For segmentation.
            factor: Pixels that the network sees for one of the image, along both axes, or along y and x.
            window_px: Longest side of a window, in pixels of the image.
            max_tile_px: Most pixels that go through the network at a time.
            has_tissue: Tiles without any are not predicted; their maps are 0. All are where it is not given.
            ahead: Read the next tile in a thread of its own while the network works on the present one.

        Raises:
            UsageError: The bundle is not for segmentation.
            InputError: The image is damaged, or of a kind that cannot be prepared.
        """
        require_task(bundle, "segmentation")
        self._bundle = bundle
        self._factors = both_axes(factor)
        self._has_tissue = has_tissue
        self._ahead = ahead
        self._seen = image if self._factors == (1.0, 1.0) else scale_image(image, factor)
        self._preparation = Preparation(image, bundle.manifest.preprocessing)
        self.rows, self.columns = plan_windows(image, self._seen, bundle, window_px, max_tile_px)

    def windows(self) -> list[Window]:
        """All windows in raster order."""
        return [(rows, columns) for rows in self.rows.windows for columns in self.columns.windows]

    def maps(self, number: int) -> Float32[np.ndarray, "y x k"] | None:
        """The maps of one window of `windows`; None where it has no tissue.

        Raises:
            InputError: The image is damaged there.
        """
        row, column = divmod(number, len(self.columns.windows))
        rows, columns = self.rows.spans[row], self.columns.spans[column]
        tiles = [(one, other) for one in rows for other in columns if self._is_wanted(one, other)]
        if not tiles:
            return None
        top, left = rows[0].core_start, columns[0].core_start
        n_maps = len(self._bundle.manifest.spec.maps)
        seen = np.zeros((rows[-1].core_stop - top, columns[-1].core_stop - left, n_maps), np.float32)
        for (one, other), pixels in zip(tiles, self._read(tiles), strict=True):
            maps = run_tile(self._bundle, pixels)[one.inner, other.inner]
            seen[one.core_start - top : one.core_stop - top, other.core_start - left : other.core_stop - left] = maps
        if self.rows.taps is None:
            return seen
        wanted = self.rows.windows[row], self.columns.windows[column]
        taps = (
            axis.taps.part(cut.start, cut.stop) for axis, cut in zip((self.rows, self.columns), wanted, strict=True)
        )
        return resample(seen, *taps, top=top, left=left)

    def _is_wanted(self, row: Span, column: Span) -> bool:
        if self._has_tissue is None:
            return True
        down, across = self._factors
        top, bottom, left, right = row.start / down, row.stop / down, column.start / across, column.stop / across
        return self._has_tissue(math.floor(top), math.ceil(bottom), math.floor(left), math.ceil(right))

    def _read(self, tiles: Sequence[tuple[Span, Span]]) -> Iterator[Float32[np.ndarray, "h w 3"]]:
        shape = (self._seen.height_px, self._seen.width_px)
        prepared = (self._preparation.network_input(read_tile(self._seen.read, shape, *tile)) for tile in tiles)
        return run_ahead(prepared) if self._ahead and len(tiles) > 1 else prepared


def plan_windows(image: Image, seen: Image, bundle: Bundle, window_px: int, max_tile_px: int) -> tuple[Axis, Axis]:
    """Cut both axes of an image.

    Args:
        image: As it is.
        seen: As the network sees it.
        bundle: Says how tiles must lie.
        window_px: Longest side of a window.
        max_tile_px: Most pixels of a tile; no core becomes narrower than its halo.
    """
    spec = bundle.manifest.spec
    halo = padded_length(spec.halo_px, spec.stride_px)
    side = max(math.isqrt(max_tile_px), 3 * halo + spec.stride_px)
    core = max(spec.stride_px, (side - 2 * halo) // spec.stride_px * spec.stride_px)
    return (
        _plan_axis(image.height_px, seen.height_px, window_px, core, spec.stride_px, halo),
        _plan_axis(image.width_px, seen.width_px, window_px, core, spec.stride_px, halo),
    )


def _plan_axis(length: int, seen_length: int, window_px: int, core: int, stride: int, halo: int) -> Axis:
    taps = None if seen_length == length else axis_taps(seen_length, length)
    windows = cut_windows(length, window_px, stride)
    needed = [(cut.start, cut.stop) if taps is None else _bounds(taps.part(cut.start, cut.stop)) for cut in windows]
    cores = [_cores(start, stop, core, stride) for start, stop in needed]
    padded = padded_length(seen_length, stride)
    tile = max(padded_length(stop, stride) - start // stride * stride for cut in cores for start, stop in cut)
    tile = min(tile + 2 * halo, padded)
    spans = tuple(tuple(_span(start, stop, tile, padded, stride, halo) for start, stop in cut) for cut in cores)
    return Axis(windows, spans, taps)


def cut_windows(length: int, window_px: int, stride: int) -> tuple[slice, ...]:
    """Even parts of an axis, of at most `window_px` rounded up to the stride."""
    n_windows = -(-length // window_px)
    step = padded_length(-(-length // n_windows), stride)
    return tuple(slice(start, min(start + step, length)) for start in range(0, length, step))


def _bounds(taps: Taps) -> tuple[int, int]:
    return int(taps.index.min()), int(taps.index.max()) + 1


def _cores(start: int, stop: int, core: int, stride: int) -> list[tuple[int, int]]:
    """Even parts of a stretch that are about as long as the core of a tile, or shorter."""
    n_parts = -(-(stop - start) // core)
    step = padded_length(-(-(stop - start) // n_parts), stride)
    return [(first, min(first + step, stop)) for first in range(start, stop, step)]


def _span(start: int, stop: int, tile: int, padded: int, stride: int, halo: int) -> Span:
    """A tile of the common length that sees at least a halo around its core, or the edge of the image."""
    first = max(0, min(start // stride * stride - halo, padded - tile))
    return Span(first, first + tile, start, stop)
