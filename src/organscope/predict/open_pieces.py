"""Cells of an image that is decoded window by window, the same as from the maps of the whole at once.

A cell depends on nothing but its own connected piece of foreground (see `organscope.ops.instances`). A piece that
does not reach a side where the image goes on is decoded with its window. The pixels of the others, the open pieces,
are kept with their maps; those that touch across a side are one piece of the image and are decoded together.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from jaxtyping import Bool, Float32, Int32, UInt8
from scipy import ndimage

from organscope.ops.faint import decode_with_faint
from organscope.ops.hole_kernels import fill_holes
from organscope.ops.instances import HEAD_MAPS, Decoder, cell_probability, decode_cells
from organscope.predict.stitch import decode_bands
from organscope.predict.stitch_kernels import number_in_raster_order

SIDES = ("top", "bottom", "left", "right")

Maps = Float32[np.ndarray, "y x k"]
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
class WindowCells:
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
    maps: Maps,
    corner_px: tuple[int, int],
    image_px: tuple[int, int],
    decoder: Decoder,
    *,
    faint_threshold: float | None = None,
) -> WindowCells:
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
    return WindowCells(labels, probability, found, others)


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
    maps: Maps,
    of_pixel: Int32[np.ndarray, "y x"],
    corner_px: tuple[int, int],
    borders: list[Int32[np.ndarray, " _"]],
) -> OpenPieces:
    y, x = np.nonzero(of_pixel >= 0)
    piece, values = of_pixel[y, x], maps[y, x]
    y, x = ((axis + start).astype(np.int32) for axis, start in zip((y, x), corner_px, strict=True))
    boxes = np.empty((int(piece.max(initial=-1)) + 1, 4), np.int32)
    for first, axis in ((0, y), (2, x)):
        boxes[:, first], boxes[:, first + 1] = np.iinfo(np.int32).max, 0
        np.minimum.at(boxes[:, first], piece, axis)
        np.maximum.at(boxes[:, first + 1], piece, axis + 1)
    none = np.zeros(0, np.int32)
    return OpenPieces(y, x, piece, values, boxes, none, none, np.zeros(0, np.float32), *borders)


def _with_surroundings(
    found: OpenPieces, maps: Maps, foreground: Bool[np.ndarray, "y x"], corner_px: tuple[int, int]
) -> OpenPieces:
    """The same pieces with the background in their boxes, of which some may be a hole."""
    near = np.zeros(foreground.shape, bool)
    for top, bottom, left, right in (found.boxes - np.repeat(corner_px, 2)).tolist():
        near[top:bottom, left:right] = True
    y, x = np.nonzero(near & ~foreground)
    rows, columns = ((axis + start).astype(np.int32) for axis, start in zip((y, x), corner_px, strict=True))
    return replace(found, near_y=rows, near_x=columns, near_foreground=maps[y, x, 0])
