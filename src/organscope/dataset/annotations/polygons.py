"""Polygons to pixels.

Coordinates are those of QuPath, ImageScope, ImageJ and COCO: (0, 0) is the top left corner of the top left
pixel, so that pixel (row r, column c) has its centre at x = c + 0.5, y = r + 0.5. A pixel belongs to a polygon
if its centre lies inside. Polygons that share an edge neither overlap nor leave a gap.
"""

import math
from collections.abc import Sequence
from typing import Literal

import numpy as np
from jaxtyping import Float64, Int64, Num
from numpy.typing import ArrayLike

from organscope.dataset.annotations.cells import CellMask, join_cells
from organscope.errors import AnnotationError

Ring = Float64[np.ndarray, "_ 2"]
N_ELLIPSE_CORNERS = 360


def polygon_cell(
    exterior: Sequence[ArrayLike],
    height_px: int,
    width_px: int,
    holes: Sequence[ArrayLike] = (),
    *,
    rule: Literal["nonzero", "even_odd"] = "nonzero",
) -> CellMask | None:
    """The pixels of a cell that is drawn with one or several polygons.

    A polygon that crosses itself keeps every part that it goes round (`nonzero`), as a person means who drew
    a loop too many.

    Args:
        exterior: Polygons as x, y in pixels; joined, need not be closed.
        height_px: Rows of the image; what lies beyond is cut off.
        width_px: Columns of the image.
        holes: Polygons that are cut out.
        rule: `even_odd` makes overlapping parts a hole, as composite ImageJ selections mean it.

    Returns:
        None where no pixel centre lies inside.

    Raises:
        AnnotationError: A polygon has fewer than 3 corners or a coordinate that is not a finite number.
    """
    rings = [check_ring(ring) for ring in exterior]
    points = np.concatenate(rings)
    left, top = (max(0, math.floor(value)) for value in points.min(axis=0))
    right, bottom = np.ceil(points.max(axis=0))
    right, bottom = int(min(width_px, right)), int(min(height_px, bottom))
    if right <= left or bottom <= top:
        return None
    box = (top, left, bottom, right)
    if rule == "even_odd":
        mask = np.sum([_winding(ring, box) for ring in rings], axis=0) % 2 == 1
    else:
        mask = np.any([_winding(ring, box) != 0 for ring in rings], axis=0)
    for hole in holes:
        mask &= _winding(check_ring(hole), box) == 0
    return CellMask(top, left, mask) if mask.any() else None


def multipolygon_cell(polygons: Sequence[Sequence[ArrayLike]], height_px: int, width_px: int) -> CellMask | None:
    """The pixels of a cell in several polygons, each with its own holes: an island in a hole stays.

    Args:
        polygons: Rings of each polygon as x, y in pixels: the outline, then its holes; in any direction and order.
        height_px: Rows of the image; what lies beyond is cut off.
        width_px: Columns of the image.

    Returns:
        None where no pixel center lies inside.

    Raises:
        AnnotationError: A ring has fewer than 3 corners or a coordinate that is not a finite number.
    """
    parts = [polygon_cell(rings[:1], height_px, width_px, rings[1:]) for rings in polygons]
    return join_cells([part for part in parts if part is not None])


def check_ring(ring: ArrayLike) -> Ring:
    """Return a ring as float64.

    Raises:
        AnnotationError: It is not a list of at least 3 finite x, y pairs.
    """
    try:
        ring = np.asarray(ring, np.float64)
    except (TypeError, ValueError) as error:
        raise AnnotationError(f"Expected x, y pairs as corners of a polygon ({error}).") from error
    if ring.ndim != 2 or ring.shape[1] < 2 or len(ring) < 3:
        raise AnnotationError(f"Expected at least 3 corners with x and y, found an array of {ring.shape}.")
    if not np.isfinite(ring).all():
        raise AnnotationError("Expected finite coordinates, found a corner at not-a-number or infinity.")
    return ring[:, :2]


def _winding(ring: Ring, box: tuple[int, int, int, int]) -> Int64[np.ndarray, "h w"]:
    """How often the ring goes round each pixel centre of a box (top, left, bottom, right).

    Each edge crosses some rows of pixel centres; right of the crossing the winding number changes by one.
    """
    top, left, bottom, right = box
    x0, y0 = ring.T
    x1, y1 = np.roll(ring, -1, axis=0).T
    first = np.clip(np.ceil(np.minimum(y0, y1) - 0.5), top, bottom).astype(np.int64)
    last = np.clip(np.ceil(np.maximum(y0, y1) - 0.5), top, bottom).astype(np.int64)
    n_rows = last - first
    edge = np.repeat(np.arange(len(ring)), n_rows)
    row = np.arange(len(edge)) - np.repeat(np.cumsum(n_rows) - n_rows, n_rows) + first[edge]
    along = (row + 0.5 - y0[edge]) / (y1 - y0)[edge]
    crossing = x0[edge] + along * (x1 - x0)[edge]
    column = np.clip(np.ceil(crossing - 0.5), left, right).astype(np.int64)
    change = np.zeros((bottom - top, right - left + 1), np.int64)
    np.add.at(change, (row - top, column - left), np.where(y1 > y0, 1, -1)[edge])
    return np.cumsum(change, axis=1)[:, :-1]


def ellipse_ring(low: Num[np.ndarray, "2"], high: Num[np.ndarray, "2"]) -> Ring:
    """The ellipse in the box between two corners (x, y), as a polygon."""
    angle = np.linspace(0, 2 * np.pi, N_ELLIPSE_CORNERS, endpoint=False)
    return (low + high) / 2 + (high - low) / 2 * np.stack([np.cos(angle), np.sin(angle)], axis=1)
