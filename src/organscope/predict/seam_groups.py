"""Which open pieces of which windows are one piece of the image, and which of these are decoded together.

Held at a time are a few numbers a piece and the borders of one row of windows, so that slides of any size can be
joined.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Int32, Int64
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components
from shapely import STRtree
from shapely import box as rectangle

from organscope.predict.open_pieces import Box

MAX_PIECE_PX = 1 << 23
"""Largest box of a piece that is decoded at once, at about 60 bytes a pixel. No tissue has cells that touch over 3000
px; where a fold or ink does, the piece is cut at the seams, and said to be."""

BATCH_PX = 1 << 18
"""Pieces along a seam are decoded together up to this size of their common box: thousands of calls would cost more."""


@dataclass(frozen=True)
class OpenEdges:
    """What joining needs of the open pieces of one window; see `organscope.predict.open_pieces.OpenPieces`."""

    boxes: Int32[np.ndarray, "n 4"]
    top: Int32[np.ndarray, " _"]
    bottom: Int32[np.ndarray, " _"]
    left: Int32[np.ndarray, " _"]
    right: Int32[np.ndarray, " _"]


@dataclass(frozen=True)
class SeamBatch:
    """Pieces of the image that are decoded together.

    Attributes:
        members: Window and number of every open piece that is part of one of them.
        box: Encloses them, in pixels of the image.
    """

    members: tuple[tuple[int, int], ...]
    box: Box


@dataclass(frozen=True)
class Seams:
    """All open pieces of an image.

    Attributes:
        batches: By the first window that has part in them, in rising order.
        n_cut: Pieces that were too large to be decoded at once, and were cut at the seams.
    """

    batches: dict[int, tuple[SeamBatch, ...]]
    n_cut: int


def join_seams(grid: tuple[int, int], edges_of: Callable[[int], OpenEdges | None], *, nested: bool) -> Seams:
    """Put the open pieces of all windows together.

    Args:
        grid: Rows and columns of windows, which are counted in raster order.
        edges_of: Asked once for each window, in order; None where it has no open piece.
        nested: Decode pieces together whose boxes meet, because one may lie in a hole of the other.
    """
    boxes, window, piece, pairs = _collect(grid, edges_of)
    if len(boxes) == 0:
        return Seams({}, 0)
    group = _components(pairs, len(boxes))
    large = _areas(_boxes_of(boxes, group)) > MAX_PIECE_PX
    group = _apart(group, large)
    if nested:
        group = _with_nested(boxes, group)
    return Seams(_batches(boxes, window, piece, group, grid[1]), int(large.sum()))


def _collect(
    grid: tuple[int, int], edges_of: Callable[[int], OpenEdges | None]
) -> tuple[Int32[np.ndarray, "n 4"], Int64[np.ndarray, " n"], Int64[np.ndarray, " n"], Int64[np.ndarray, "m 2"]]:
    """Box, window and number in the window of every piece, and which of them touch."""
    boxes, window, piece, pairs = [np.zeros((0, 4), np.int32)], [], [], [np.zeros((0, 2), np.int64)]
    n_pieces = 0
    above: dict[int, Int64[np.ndarray, " _"]] = {}
    beside = np.zeros(0, np.int64)
    for number in range(grid[0] * grid[1]):
        column = number % grid[1]
        edges = edges_of(number)
        if edges is None:
            above.pop(column, None)
            beside = np.zeros(0, np.int64)
            continue
        top, bottom, left, right = (
            np.where(side >= 0, side.astype(np.int64) + n_pieces, -1)
            for side in (edges.top, edges.bottom, edges.left, edges.right)
        )
        if column in above:
            pairs.append(_touching(above[column], top))
        if column > 0 and beside.size:
            pairs.append(_touching(beside, left))
        above[column], beside = bottom, right
        boxes.append(edges.boxes)
        window.append(np.full(len(edges.boxes), number, np.int64))
        piece.append(np.arange(len(edges.boxes), dtype=np.int64))
        n_pieces += len(edges.boxes)
    none = np.zeros(0, np.int64)
    return np.concatenate(boxes), np.concatenate([none, *window]), np.concatenate([none, *piece]), np.concatenate(pairs)


def _touching(one: Int64[np.ndarray, " n"], other: Int64[np.ndarray, " n"]) -> Int64[np.ndarray, "m 2"]:
    both = (one >= 0) & (other >= 0)
    return np.unique(np.stack([one[both], other[both]], axis=1), axis=0)


def _components(pairs: Int64[np.ndarray, "m 2"], n: int) -> Int64[np.ndarray, " n"]:
    graph = coo_array((np.ones(len(pairs), np.int8), (pairs[:, 0], pairs[:, 1])), shape=(n, n))
    return connected_components(graph, directed=False)[1].astype(np.int64)


def _boxes_of(boxes: Int32[np.ndarray, "n 4"], group: Int64[np.ndarray, " n"]) -> Int64[np.ndarray, "g 4"]:
    """The box around each group."""
    found = np.zeros((int(group.max()) + 1, 4), np.int64)
    found[:, (0, 2)] = np.iinfo(np.int64).max
    for side in range(4):
        (np.minimum if side % 2 == 0 else np.maximum).at(found[:, side], group, boxes[:, side])
    return found


def _areas(boxes: Int64[np.ndarray, "g 4"]) -> Int64[np.ndarray, " g"]:
    return (boxes[:, 1] - boxes[:, 0]) * (boxes[:, 3] - boxes[:, 2])


def _apart(group: Int64[np.ndarray, " n"], large: np.ndarray) -> Int64[np.ndarray, " n"]:
    """Each piece of the groups that are too large becomes a group of its own."""
    alone = np.flatnonzero(large[group])
    group = group.copy()
    group[alone] = len(large) + np.arange(alone.size)
    return np.unique(group, return_inverse=True)[1]


def _with_nested(boxes: Int32[np.ndarray, "n 4"], group: Int64[np.ndarray, " n"]) -> Int64[np.ndarray, " n"]:
    """Groups whose boxes meet become one, as long as that does not become too large."""
    while True:
        around = _boxes_of(boxes, group)
        rectangles = rectangle(around[:, 2], around[:, 0], around[:, 3], around[:, 1])
        meeting = STRtree(rectangles).query(rectangles, predicate="intersects").T
        merged = _components(meeting, len(around))
        too_large = _areas(_boxes_of(around, merged)) > MAX_PIECE_PX
        merged = _apart(merged, too_large)
        if merged.max() + 1 == len(around):
            return group
        group = merged[group]


def _batches(
    boxes: Int32[np.ndarray, "n 4"],
    window: Int64[np.ndarray, " n"],
    piece: Int64[np.ndarray, " n"],
    group: Int64[np.ndarray, " n"],
    n_columns: int,
) -> dict[int, tuple[SeamBatch, ...]]:
    around = _boxes_of(boxes, group)
    order = np.argsort(group, kind="stable")
    members = np.split(order, np.flatnonzero(np.diff(group[order])) + 1)
    first = np.array([window[part[0]] for part in members])
    across = np.array([np.ptp(window[part] // n_columns) > 0 for part in members])
    along = np.where(across, around[:, 2], around[:, 0])
    by_window: dict[int, list[list[int]]] = {}
    for number in np.lexsort((along, across, first)).tolist():
        batches = by_window.setdefault(int(first[number]), [])
        if not batches or _areas(_joined(around[[*batches[-1], number]])[None])[0] > BATCH_PX:
            batches.append([])
        batches[-1].append(number)
    return {
        owner: tuple(_batch([members[number] for number in batch], around[batch], window, piece) for batch in batches)
        for owner, batches in sorted(by_window.items())
    }


def _batch(
    members: Sequence[Int64[np.ndarray, " m"]],
    around: Int64[np.ndarray, "g 4"],
    window: Int64[np.ndarray, " n"],
    piece: Int64[np.ndarray, " n"],
) -> SeamBatch:
    all_members = np.sort(np.concatenate(members))
    pairs = tuple(zip(window[all_members].tolist(), piece[all_members].tolist(), strict=True))
    return SeamBatch(pairs, tuple(_joined(around).tolist()))


def _joined(boxes: Int64[np.ndarray, "g 4"]) -> Int64[np.ndarray, " 4"]:
    lowest, highest = boxes.min(axis=0), boxes.max(axis=0)
    return np.array([lowest[0], highest[1], lowest[2], highest[3]])
