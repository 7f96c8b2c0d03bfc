"""Cells from maps that come band by band, the same as from the whole maps at once.

A cell depends on nothing but its own connected piece of foreground (see `organscope.ops.instances`). So a
piece that a band does not cut can be decoded at once, and a piece that goes on below waits, with its rows
alone, for the bands that complete it.

Cells of an image that is decoded window by window, the same as from the maps of the whole at once.

A cell depends on nothing but its own connected piece of foreground (see `organscope.ops.instances`). A piece that
does not reach a side where the image goes on is decoded with its window. The pixels of the others, the open pieces,
are kept with their maps; those that touch across a side are one piece of the image and are decoded together.

Which open pieces of which windows are one piece of the image, and which of these are decoded together.

Held at a time are a few numbers a piece and the borders of one row of windows, so that slides of any size can be
joined.
"""

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace

import numpy as np
from jaxtyping import Bool, Float32, Int32, Int64, UInt8
from scipy import ndimage
from shapely import STRtree
from shapely import box as rectangle

from organscope.ops._kernels.labels import fill_holes, number_in_raster_order
from organscope.ops.instances import HEAD_MAPS, Decoder, cell_probability, decode_cells, decode_with_faint

_CHUNK_PX = 1 << 20
"""Pixels that are decoded at a time; decoding needs about 50 bytes for each."""

_Maps = Float32[np.ndarray, "y x k"]


def decode_bands(
    bands: Iterable[_Maps], shape: tuple[int, int], decoder: Decoder, *, faint_threshold: float | None = None
) -> tuple[Int32[np.ndarray, "y x"], Float32[np.ndarray, " n"]]:
    """Label the cells of an image whose maps come from top to bottom.

    Args:
        bands: Foreground probability and the head's maps, in bands of full width.
        shape: Height and width of the image.
        decoder: Thresholds.
        faint_threshold: Also give the cells that only this lower threshold shows.

    Returns:
        The labels that `decode_cells` (`decode_with_faint`) gives for all bands put together, in raster order, and
        the mean foreground probability of each cell 1..n.
    """
    lowest = decoder.foreground_threshold if faint_threshold is None else faint_threshold
    labels = np.zeros(shape, dtype=np.int32)
    held = np.zeros((0, shape[1], len(HEAD_MAPS[decoder.head])), dtype=np.float32)
    probability: list[Float32[np.ndarray, " n"]] = []
    n_cells = bottom = 0
    for chunk in _chunks(bands):
        bottom += len(chunk)
        maps = np.concatenate([held, chunk]) if len(held) else chunk
        maps, held = _hold_back(maps, lowest) if bottom < shape[0] else (maps, held)
        top = bottom - len(maps)
        found = _decode(maps, decoder, faint_threshold)
        probability.append(cell_probability(found, maps[:, :, 0]))
        # Pieces held back earlier lie in rows where others are done, so only their own pixels are written.
        np.copyto(labels[top:bottom], found + np.int32(n_cells), where=found > 0)
        n_cells += len(probability[-1])
    if faint_threshold is not None and decoder.fill_holes:
        fill_holes(labels, np.zeros(shape, dtype=bool))
    order = number_in_raster_order(labels, n_cells)
    return labels, np.concatenate([np.zeros(0, np.float32), *probability])[order]


def _decode(maps: _Maps, decoder: Decoder, faint_threshold: float | None) -> Int32[np.ndarray, "y x"]:
    return decode_cells(maps, decoder) if faint_threshold is None else decode_with_faint(maps, decoder, faint_threshold)


def _chunks(bands: Iterable[_Maps]) -> Iterator[_Maps]:
    """The same rows in pieces of about `CHUNK_PX`."""
    for band in bands:
        rows = max(1, _CHUNK_PX // band.shape[1])
        n = max(1, round(band.shape[0] / rows))
        yield from np.array_split(band, n)


def _hold_back(maps: _Maps, threshold: float) -> tuple[_Maps, _Maps]:
    """Part the foreground into pieces that are complete and pieces that reach the lowest row.

    Returns:
        The maps without the foreground of unfinished pieces, and the rows of these without all other
        foreground; -1 says where it was, so that no hole is filled over it.
    """
    foreground = maps[:, :, 0] >= threshold
    pieces, n_pieces = ndimage.label(foreground, output=np.int32)
    unfinished = np.zeros(n_pieces + 1, dtype=bool)
    unfinished[pieces[-1]] = True
    unfinished[0] = False
    if not unfinished.any():
        return maps, maps[:0]
    waits = unfinished[pieces]
    first = int(np.argmax(waits.any(axis=1)))
    held = maps[first:].copy()
    held[:, :, 0][(foreground & ~waits)[first:]] = -1
    complete = maps.copy()
    complete[:, :, 0][waits] = -1
    return complete, held


SIDES = ("top", "bottom", "left", "right")

Box = tuple[int, int, int, int]
"""First row, end row, first column, end column."""


@dataclass(frozen=True)
class OpenPieces:
    """The pieces of foreground of one window that go on in a window beside it, in pixels of the image.

    Attributes:
        y: Row of each pixel, in raster order.
        x: Its column.
        piece: Its piece, from 0.
        maps: Its maps.
        boxes: First row, end row, first column and end column of each piece.
        near_y: Rows of the background in these boxes, where holes are filled; else empty.
        near_x: Its columns.
        near_foreground: Its foreground probability, which counts where it turns out to be a hole.
        top: Piece of each pixel of the first row, -1 for none; so for `bottom`, `left` and `right`. Empty where the
            image ends there.
    """

    y: Int32[np.ndarray, " p"]
    x: Int32[np.ndarray, " p"]
    piece: Int32[np.ndarray, " p"]
    maps: Float32[np.ndarray, "p k"]
    boxes: Int32[np.ndarray, "n 4"]
    near_y: Int32[np.ndarray, " q"]
    near_x: Int32[np.ndarray, " q"]
    near_foreground: Float32[np.ndarray, " q"]
    top: Int32[np.ndarray, " _"]
    bottom: Int32[np.ndarray, " _"]
    left: Int32[np.ndarray, " _"]
    right: Int32[np.ndarray, " _"]


@dataclass(frozen=True)
class _WindowCells:
    """What one window says about cells.

    Attributes:
        labels: Cells that lie in the window entirely: 0 for background, then 1..n without gaps, in raster order.
        probability: Mean foreground probability of each.
        open: The pieces that go on beside the window.
        others: Packed bits over the window: where holes of open pieces end, see `decode_open`. Empty where no
            holes are filled.
    """

    labels: Int32[np.ndarray, "y x"]
    probability: Float32[np.ndarray, " n"]
    open: OpenPieces
    others: UInt8[np.ndarray, " _"]


def decode_window(
    maps: _Maps,
    corner_px: tuple[int, int],
    image_px: tuple[int, int],
    decoder: Decoder,
    *,
    faint_threshold: float | None = None,
) -> _WindowCells:
    """Label the cells of a window that are complete in it, and keep what is not.

    Args:
        maps: Of the window; changed in place.
        corner_px: First row and column of the window in the image.
        image_px: Height and width of the image.
        decoder: Thresholds.
        faint_threshold: Also give the cells that only this lower threshold shows.
    """
    foreground = maps[:, :, 0] >= lowest_threshold(decoder, faint_threshold)
    pieces, n_pieces = ndimage.label(foreground, output=np.int32)
    borders = _borders(pieces, corner_px, image_px)
    number = np.full(n_pieces + 1, -1, np.int32)
    crossing = np.unique(np.concatenate([border[border > 0] for border in borders]))
    number[crossing] = np.arange(crossing.size, dtype=np.int32)
    of_pixel = number[pieces]
    is_open = of_pixel >= 0
    found = _open_pieces(maps, of_pixel, corner_px, [number[border] for border in borders])
    if decoder.fill_holes:
        found = _with_surroundings(found, maps, foreground, corner_px)
    maps[:, :, 0][is_open] = -1
    labels, probability = decode_bands([maps], maps.shape[:2], decoder, faint_threshold=faint_threshold)
    others = np.zeros(0, np.uint8)
    if decoder.fill_holes:
        others = np.packbits(labels > 0 if faint_threshold is not None else foreground & ~is_open)
    return _WindowCells(labels, probability, found, others)


def decode_open(
    parts: Sequence[OpenPieces],
    chosen: Sequence[Bool[np.ndarray, " n"]],
    box: Box,
    ends: Bool[np.ndarray, "y x"] | None,
    decoder: Decoder,
    *,
    faint_threshold: float | None = None,
) -> tuple[Int32[np.ndarray, "y x"], Float32[np.ndarray, " n"]]:
    """Label the cells of pieces that several windows hold parts of.

    Args:
        parts: Open pieces of the windows.
        chosen: Which pieces of each window are wanted; all parts of a piece of the image are.
        box: Encloses the wanted pieces, in pixels of the image.
        ends: Where in the box there is other foreground, or in the faint mode another cell, so that a hole
            around it is not filled; None where no holes are filled.
        decoder: Thresholds.
        faint_threshold: Also give the cells that only this lower threshold shows.

    Returns:
        Labels over the box, 1..n without gaps in raster order, and the mean foreground probability of each cell.
    """
    top, bottom, left, right = box
    maps = np.zeros((bottom - top, right - left, len(HEAD_MAPS[decoder.head])), np.float32)
    if ends is not None and faint_threshold is None:
        maps[:, :, 0][ends] = -1
    for part in parts:
        inside = (part.near_y >= top) & (part.near_y < bottom) & (part.near_x >= left) & (part.near_x < right)
        maps[part.near_y[inside] - top, part.near_x[inside] - left, 0] = part.near_foreground[inside]
    for part, wanted in zip(parts, chosen, strict=True):
        mine = wanted[part.piece]
        maps[part.y[mine] - top, part.x[mine] - left] = part.maps[mine]
    if faint_threshold is None:
        labels = decode_cells(maps, decoder)
        return labels, cell_probability(labels, maps[:, :, 0])
    labels = decode_with_faint(maps, decoder, faint_threshold)
    probability = cell_probability(labels, maps[:, :, 0])
    if ends is not None:
        fill_holes(labels, ends)
    return labels, probability[number_in_raster_order(labels, len(probability))]


def lowest_threshold(decoder: Decoder, faint_threshold: float | None) -> float:
    """What counts as foreground at all."""
    return decoder.foreground_threshold if faint_threshold is None else faint_threshold


def _borders(
    pieces: Int32[np.ndarray, "y x"], corner_px: tuple[int, int], image_px: tuple[int, int]
) -> list[Int32[np.ndarray, " _"]]:
    """The pieces along each of `SIDES`; nothing where the image ends there."""
    (top, left), (height, width) = corner_px, image_px
    nothing = np.zeros(0, np.int32)
    return [
        pieces[0] if top > 0 else nothing,
        pieces[-1] if top + pieces.shape[0] < height else nothing,
        pieces[:, 0] if left > 0 else nothing,
        pieces[:, -1] if left + pieces.shape[1] < width else nothing,
    ]


def _open_pieces(
    maps: _Maps,
    of_pixel: Int32[np.ndarray, "y x"],
    corner_px: tuple[int, int],
    borders: list[Int32[np.ndarray, " _"]],
) -> OpenPieces:
    row, column = np.nonzero(of_pixel >= 0)
    piece, values = of_pixel[row, column], maps[row, column]
    y, x = ((axis + start).astype(np.int32) for axis, start in zip((row, column), corner_px, strict=True))
    boxes = np.empty((int(piece.max(initial=-1)) + 1, 4), np.int32)
    for first, axis in ((0, y), (2, x)):
        boxes[:, first], boxes[:, first + 1] = np.iinfo(np.int32).max, 0
        np.minimum.at(boxes[:, first], piece, axis)
        np.maximum.at(boxes[:, first + 1], piece, axis + 1)
    none = np.zeros(0, np.int32)
    return OpenPieces(y, x, piece, values, boxes, none, none, np.zeros(0, np.float32), *borders)


def _with_surroundings(
    found: OpenPieces, maps: _Maps, foreground: Bool[np.ndarray, "y x"], corner_px: tuple[int, int]
) -> OpenPieces:
    """The same pieces with the background in their boxes, of which some may be a hole."""
    near = np.zeros(foreground.shape, bool)
    for top, bottom, left, right in (found.boxes - np.repeat(corner_px, 2)).tolist():
        near[top:bottom, left:right] = True
    y, x = np.nonzero(near & ~foreground)
    rows, columns = ((axis + start).astype(np.int32) for axis, start in zip((y, x), corner_px, strict=True))
    return replace(found, near_y=rows, near_x=columns, near_foreground=maps[y, x, 0])


_MAX_PIECE_PX = 1 << 23
"""Largest box of a piece that is decoded at once, at about 60 bytes a pixel. No tissue has cells that touch over 3000
px; where a fold or ink does, the piece is cut at the seams, and said to be."""

_BATCH_PX = 1 << 18
"""Pieces along a seam are decoded together up to this size of their common box: thousands of calls would cost more."""


@dataclass(frozen=True)
class OpenEdges:
    """What joining needs of the open pieces of one window; see `organscope.inference.stitching.OpenPieces`."""

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
    large = _areas(_boxes_of(boxes, group)) > _MAX_PIECE_PX
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
    # Imported here because only slides need it: it loads 150 modules.
    from scipy.sparse import coo_array
    from scipy.sparse.csgraph import connected_components

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
        too_large = _areas(_boxes_of(around, merged)) > _MAX_PIECE_PX
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
        if not batches or _areas(_joined(around[[*batches[-1], number]])[None])[0] > _BATCH_PX:
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
