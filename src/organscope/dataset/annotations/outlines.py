"""Pixels to polygons, along the edges of the pixels: filling an outline gives back exactly its pixels."""

from collections.abc import Iterator
from dataclasses import dataclass, field

import numpy as np
import shapely
from jaxtyping import Bool, Int32, Int64
from scipy import ndimage
from shapely.geometry.base import BaseGeometry

from organscope.ops.measure import cell_outlines, label_numbers

#: (dx, dy) of a step along a pixel edge: right, down, left, up.
STEPS = ((1, 0), (0, 1), (-1, 0), (0, -1))


@dataclass(frozen=True)
class Outline:
    """One connected piece of a cell.

    Attributes:
        exterior: Corners x, y in pixels of the image, clockwise on screen, not closed.
        holes: The same for every hole, counter-clockwise.
    """

    exterior: Int64[np.ndarray, "_ 2"]
    holes: list[Int64[np.ndarray, "_ 2"]] = field(default_factory=list)


def cell_regions(
    labels: Int32[np.ndarray, "y x"],
) -> Iterator[tuple[int, int, int, Bool[np.ndarray, "h w"]]]:
    """Yield label, top row, left column and mask of every cell, in order of label."""
    for number, region in enumerate(ndimage.find_objects(labels), start=1):
        if region is not None:
            yield number, region[0].start, region[1].start, labels[region] == number


def cell_polygons(labels: Int32[np.ndarray, "y x"]) -> list[BaseGeometry]:
    """One valid polygon with its holes for every cell, in order of label; a MultiPolygon for a cell in several parts.

    The pixel in row y and column x covers the square from (x, y) to (x + 1, y + 1).

    Raises:
        ValueRangeError: A label is negative.
    """
    rings = [shapely.Polygon(ring) for ring in cell_outlines(labels)]
    # A ring that touches itself, or encloses other pixels than those of the cell, is traced again with all its parts.
    plain = shapely.is_valid(rings) & (shapely.area(rings) == _areas(labels))
    cells = cell_regions(np.ascontiguousarray(label_numbers(labels)[0]))
    return [
        ring if good else _geometry(trace_cell(mask, top, left))
        for ring, good, (_, top, left, mask) in zip(rings, plain.tolist(), cells, strict=True)
    ]


def _areas(labels: Int32[np.ndarray, "y x"]) -> Int64[np.ndarray, " n"]:
    numbers, ids = label_numbers(labels)
    return np.bincount(numbers.ravel(), minlength=ids.size + 1)[1:]


def _geometry(outlines: list[Outline]) -> BaseGeometry:
    parts = [shapely.Polygon(outline.exterior, outline.holes) for outline in outlines]
    return parts[0] if len(parts) == 1 else shapely.MultiPolygon(parts)


def trace_cell(mask: Bool[np.ndarray, "h w"], top_px: int = 0, left_px: int = 0) -> list[Outline]:
    """Outline every 4-connected piece of a mask.

    Pixels that touch only at a corner are separate pieces, and a hole that touches the outside at a corner
    stays a hole: so every outline is a valid polygon in the sense of the OGC (and of QuPath).

    Args:
        mask: True inside the cell.
        top_px: Row of the mask in its image.
        left_px: Column of the mask in its image.
    """
    pieces, _ = ndimage.label(mask)
    outlines = []
    for _, top, left, piece in cell_regions(pieces):
        place = np.array([left + left_px, top + top_px])
        rings = [ring + place for ring in _trace_piece(piece)]
        rings.sort(key=_signed_area, reverse=True)
        outlines.append(Outline(rings[0], rings[1:]))
    return outlines


def _trace_piece(mask: Bool[np.ndarray, "h w"]) -> list[Int64[np.ndarray, "_ 2"]]:
    """All rings around one 4-connected piece, the piece on the right hand of every step."""
    edges = dict.fromkeys(map(tuple, _directed_edges(mask).tolist()))
    followed = set()
    rings = []
    for edge in edges:
        corners = []
        while edge not in followed:
            followed.add(edge)
            following = _next_edge(edge, edges)
            if following[2] != edge[2]:
                corners.append(following[:2])
            edge = following
        if corners:
            rings.append(np.array(corners, np.int64))
    return rings


def _next_edge(edge: tuple[int, int, int], edges: dict[tuple[int, int, int], None]) -> tuple[int, int, int]:
    """The edge that goes on where this one ends.

    Left comes first: where two pixels touch at a corner the ring then crosses to the other one, and a hole
    that touches the outside there stays a ring of its own.
    """
    x, y, direction = edge
    step_x, step_y = STEPS[direction]
    turns = ((x + step_x, y + step_y, (direction + turn) % 4) for turn in (3, 0, 1))
    return next(following for following in turns if following in edges)


def _directed_edges(mask: Bool[np.ndarray, "h w"]) -> Int64[np.ndarray, "_ 3"]:
    """Start x, y and direction of every pixel edge between inside and outside, inside on the right hand."""
    padded = np.pad(mask, 1)
    inside = padded[1:-1, 1:-1]
    edges = []
    for direction, (neighbour, offset) in enumerate(
        [
            (padded[:-2, 1:-1], (0, 0)),
            (padded[1:-1, 2:], (1, 0)),
            (padded[2:, 1:-1], (1, 1)),
            (padded[1:-1, :-2], (0, 1)),
        ]
    ):
        y, x = np.nonzero(inside & ~neighbour)
        edges.append(np.stack([x + offset[0], y + offset[1], np.full(len(x), direction)], axis=1))
    return np.concatenate(edges)


def _signed_area(ring: Int64[np.ndarray, "_ 2"]) -> float:
    """Shoelace formula; positive for clockwise on screen, where y points down."""
    x, y = ring.T
    return float(np.sum(x * np.roll(y, -1) - np.roll(x, -1) * y)) / 2
