"""Tiling: tiles with halo, square patches, crops.

A convolutional network with zero padding sees zeros beyond the edge of whatever it is given. For a pixel of
a tile that is harmless in two cases: the edge of the tile is the edge of the image, or it is further away
than the receptive field reaches. So a tile carries a halo of true image on every side, except where the image
ends, and there it ends too. All edges lie on multiples of the network's stride, so that its strided layers
sample the same positions in a tile and in the whole.

Where the square fields lie that a classifier sees of an image.

Square crops around cells, cut in the same way for training and for prediction.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float64, Int32, Int64, Shaped, UInt8

from organscope.errors import ShapeError, ValueRangeError
from organscope.ops._kernels.regionprops import sum_pixels
from organscope.ops.regionprops import label_numbers


@dataclass(frozen=True)
class Span:
    """One tile along one axis, in pixels of the image.

    Attributes:
        start: Of what the network sees, halo included.
        stop: Of what the network sees; may lie beyond the image, which is mirrored there.
        core_start: Of what is kept of its answer; the cores of an axis cover the image once.
        core_stop: Of what is kept of its answer.
    """

    start: int
    stop: int
    core_start: int
    core_stop: int

    @property
    def core(self) -> slice:
        """The core's place in the image."""
        return slice(self.core_start, self.core_stop)

    @property
    def inner(self) -> slice:
        """The core's place in the tile."""
        return slice(self.core_start - self.start, self.core_stop - self.start)


@dataclass(frozen=True)
class Grid:
    """Tiles of an image: every row span with every column span."""

    rows: tuple[Span, ...]
    columns: tuple[Span, ...]

    def __iter__(self) -> Iterator[tuple[Span, Span]]:
        return ((row, column) for row in self.rows for column in self.columns)

    def __len__(self) -> int:
        return len(self.rows) * len(self.columns)


def padded_length(length_px: int, stride_px: int) -> int:
    """The next multiple of the stride."""
    return -(-length_px // stride_px) * stride_px


def plan_tiles(height_px: int, width_px: int, *, stride_px: int, halo_px: int, max_tile_px: int | None = None) -> Grid:
    """Choose the tiles that cost the network least.

    Args:
        height_px: Of the image.
        width_px: Of the image.
        stride_px: Every tile starts and ends on a multiple of it.
        halo_px: At least the receptive field's radius; rounded up to the stride.
        max_tile_px: Most pixels of one tile, halo included; `None` makes one tile of the whole. No core
            becomes narrower than its halo, so a limit below nine halos squared cannot be kept.

    Returns:
        Tiles of about one size, whose area with halos is the smallest under that limit.

    Raises:
        ShapeError: The image has no pixels.
        ValueRangeError: The stride is below 1 or the halo below 0.
    """
    if height_px < 1 or width_px < 1:
        raise ShapeError(f"Expected an image of at least 1 x 1 px, found {height_px} x {width_px}.")
    if stride_px < 1 or halo_px < 0:
        raise ValueRangeError(f"Expected stride >= 1 and halo >= 0, found {stride_px} and {halo_px} px.")
    halo_px = padded_length(halo_px, stride_px)
    rows, columns = (_cores(length, stride_px, halo_px) for length in (height_px, width_px))
    row, column = _cheapest(
        _cost(rows, height_px, stride_px, halo_px),
        _cost(columns, width_px, stride_px, halo_px),
        max_tile_px,
    )
    return Grid(
        _spans(height_px, int(rows[row]), stride_px, halo_px),
        _spans(width_px, int(columns[column]), stride_px, halo_px),
    )


def _cores(length_px: int, stride_px: int, halo_px: int) -> Int64[np.ndarray, " n"]:
    """Core lengths that cut an axis into 1, 2, 3 ... even parts, none narrower than its halo."""
    padded = padded_length(length_px, stride_px)
    narrowest = min(padded, max(stride_px, halo_px))
    parts = range(1, padded // narrowest + 1)
    return np.array([padded_length(-(-padded // n), stride_px) for n in parts], dtype=np.int64)


def _cost(
    cores: Int64[np.ndarray, " n"], length_px: int, stride_px: int, halo_px: int
) -> tuple[Int64[np.ndarray, " n"], Int64[np.ndarray, " n"]]:
    """The longest tile, and the length of all tiles together, for each core length."""
    padded = padded_length(length_px, stride_px)
    n_tiles = -(-padded // cores)
    longest = np.minimum(padded, cores + halo_px * np.minimum(n_tiles - 1, 2))
    return longest, padded + 2 * halo_px * (n_tiles - 1)


def _cheapest(
    rows: tuple[np.ndarray, np.ndarray], columns: tuple[np.ndarray, np.ndarray], max_tile_px: int | None
) -> tuple[int, int]:
    """The pair of core lengths with the least area in all among those that pass the limit least."""
    if max_tile_px is None:
        return 0, 0
    excess = np.maximum(np.outer(rows[0], columns[0]) - max_tile_px, 0)
    total = np.where(excess == excess.min(), np.outer(rows[1], columns[1]).astype(np.float64), np.inf)
    row, column = np.unravel_index(np.argmin(total), total.shape)
    return int(row), int(column)


def _spans(length_px: int, core_px: int, stride_px: int, halo_px: int) -> tuple[Span, ...]:
    padded = padded_length(length_px, stride_px)
    return tuple(
        Span(
            start=max(0, core - halo_px),
            stop=min(padded, core + core_px + halo_px),
            core_start=core,
            core_stop=min(length_px, core + core_px),
        )
        for core in range(0, padded, core_px)
    )


def mirror_indices(start: int, stop: int, length_px: int) -> Int64[np.ndarray, " n"]:
    """Where each position of [start, stop) is found on an axis that is mirrored at both its ends.

    The edge pixel is repeated (`symmetric` in `numpy.pad`), so that an axis of one pixel can be mirrored too.
    """
    position = np.arange(start, stop, dtype=np.int64) % (2 * length_px)
    return np.minimum(position, 2 * length_px - 1 - position)


def read_tile(
    read: Callable[[int, int, int, int], np.ndarray], shape: tuple[int, int], row: Span, column: Span
) -> Shaped[np.ndarray, "h w c"]:
    """The pixels of one tile, mirrored where it leaves the image.

    Args:
        read: Gives y x c pixels from first row, first column, height and width, as `Image.read` does. It is
            called once, with a region inside the image.
        shape: Height and width of the image.
        row: Of the tile.
        column: Of the tile.
    """
    height, width = shape
    if row.start >= 0 and column.start >= 0 and row.stop <= height and column.stop <= width:
        return read(row.start, column.start, row.stop - row.start, column.stop - column.start)
    rows = mirror_indices(row.start, row.stop, height)
    columns = mirror_indices(column.start, column.stop, width)
    # A mirror can reach further back than the tile itself.
    top, left = int(rows.min()), int(columns.min())
    pixels = read(top, left, int(rows.max()) + 1 - top, int(columns.max()) + 1 - left)
    return pixels[(rows - top)[:, None], (columns - left)[None, :]]


def field_starts(length_px: int, field_px: int) -> list[int]:
    """First pixels of the fewest fields that cover an axis, evenly spread.

    An axis shorter than a field has one, from 0; what it lacks is mirrored at its end.
    """
    room = max(0, length_px - field_px)
    last = -(-room // field_px)
    return [round(room * place / last) for place in range(last + 1)] if last else [0]


def cell_centers(labels: Int32[np.ndarray, "y x"]) -> Float64[np.ndarray, "n 2"]:
    """Mean row and column of the pixels of each cell, in the order of the labels; the first pixel's is 0.

    Raises:
        ValueRangeError: A label is negative.
    """
    dense, ids = label_numbers(labels)
    first, _, sums, _ = sum_pixels(dense, ids.size)
    return first[1:] + sums[1:, 1:3] / sums[1:, :1]


def group_by_tile(centers: Float64[np.ndarray, "n 2"], tile_px: int) -> list[Int64[np.ndarray, " m"]]:
    """Numbers of the cells whose centers lie in each square of `tile_px`; squares with any cell, in raster order."""
    if len(centers) == 0:
        return []
    tile = (centers // tile_px).astype(np.int64)
    code = tile[:, 0] * (tile[:, 1].max() + 1) + tile[:, 1]
    order = np.argsort(code, kind="stable")
    return np.split(order, np.flatnonzero(np.diff(code[order])) + 1)


def crop_starts(centers: Float64[np.ndarray, "n 2"], side_px: int | tuple[int, int]) -> Int64[np.ndarray, "n 2"]:
    """First row and column of the square of `side_px`, or of so many rows and columns, with each center in its middle.

    A square may begin before the image or end after it.
    """
    return np.floor(centers - (np.asarray(side_px) - 1) / 2 + 0.5).astype(np.int64)


def cut_crops(
    pixels: UInt8[np.ndarray, "y x c"], starts: Int64[np.ndarray, "n 2"], side_px: int | tuple[int, int]
) -> UInt8[np.ndarray, "n rows columns c"]:
    """Copy squares, or rectangles of so many rows and columns, out of an image.

    Raises:
        ShapeError: A square leaves the image.
    """
    height, width, n_channels = pixels.shape
    rows, columns = np.broadcast_to(side_px, 2).tolist()
    if len(starts) and (starts.min() < 0 or np.any(starts.max(axis=0) > (height - rows, width - columns))):
        raise ShapeError(
            f"Expected crops of {rows} x {columns} px inside {height} x {width} px, found one that leaves them."
        )
    crops = np.empty((len(starts), rows, columns, n_channels), pixels.dtype)
    for crop, (y, x) in zip(crops, starts.tolist(), strict=True):
        crop[:] = pixels[y : y + rows, x : x + columns]
    return crops
