"""Polygons to pixels.

Coordinates are those of QuPath, ImageScope, ImageJ and COCO: (0, 0) is the top left corner of the top left
pixel, so that pixel (row r, column c) has its center at x = c + 0.5, y = r + 0.5. A pixel belongs to a polygon
if its center lies inside. Polygons that share an edge neither overlap nor leave a gap.

Cells as small masks, and how they become one label image.

Pixels to polygons, along the edges of the pixels: filling an outline gives back exactly its pixels.

Regions among cells: outlines that a person or a tool drew around many cells, or around the tissue.

A region that was painted as a cell would teach a network that the background between its cells is a cell.

Drawn shapes of XML annotations, and how they become cells: holes are cut out of the region that they lie in.
"""

import math
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from typing import Literal

import numpy as np
import shapely
from jaxtyping import Bool, Float64, Int32, Int64, Num
from numpy.typing import ArrayLike
from scipy import ndimage
from shapely.geometry.base import BaseGeometry

from organscope.errors import AnnotationError
from organscope.ops._kernels.regionprops import sum_crossings
from organscope.ops.regionprops import cell_outlines, label_numbers


@dataclass(frozen=True)
class CellMask:
    """The pixels of one cell, as a mask with its place in the image.

    Attributes:
        top_px: Row of the mask's first pixel in the image.
        left_px: Column of the mask's first pixel in the image.
        mask: True inside the cell.
        class_name: Class of the cell as the annotation names it; "" without one.
        color: Color of the class as `#rrggbb`; "" where the annotation gives none.
    """

    top_px: int
    left_px: int
    mask: Bool[np.ndarray, "h w"]
    class_name: str = ""
    color: str = ""

    @property
    def area_px(self) -> int:
        """Number of pixels of the cell."""
        return int(np.count_nonzero(self.mask))


@dataclass
class Cells:
    """What an annotation file says about one image.

    Attributes:
        masks: One a cell, in the order of the file.
        problems: Sentences about parts that could not be used, one a part.
        left_out: Sentences about parts that are no cells, such as regions, with their number.
        notes: Sentences about how parts were read that are cells.
        points: y, x in pixels and class of cells of which only a point is known.
    """

    masks: list[CellMask] = field(default_factory=list)
    problems: list[str] = field(default_factory=list)
    left_out: list[str] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    points: list[tuple[float, float, str]] = field(default_factory=list)

    @property
    def says_nothing(self) -> bool:
        """Whether there are parts, and none of them is a cell: then nobody said that the image shows no cell."""
        return not self.masks and bool(self.problems or self.left_out or self.points)


@dataclass(frozen=True)
class PaintedCells:
    """A label image, and how many cells have no pixel in it.

    Attributes:
        labels: 0 = background, then 1..n without gaps in the order of the cells.
        n_dropped: Cells without a pixel: too thin to hold a pixel center, outside of the image, or covered.
        cells: For each label from 1 on, the place of its cell among those that were painted.
    """

    labels: Int32[np.ndarray, "y x"]
    n_dropped: int
    cells: Int64[np.ndarray, " n"]


def paint_cells(cells: Sequence[CellMask], height_px: int, width_px: int) -> PaintedCells:
    """Draw cells into one label image.

    A pixel that several cells claim goes to the smallest of them, and of equally large ones to the later:
    a large outline never hides a small cell that lies in it.
    """
    labels = np.zeros((height_px, width_px), np.int32)
    areas = np.array([cell.area_px for cell in cells], np.int64)
    for number in np.argsort(-areas, kind="stable"):
        cell = cells[number]
        height, width = cell.mask.shape
        part = labels[cell.top_px : cell.top_px + height, cell.left_px : cell.left_px + width]
        part[cell.mask] = number + 1
    return close_gaps(labels, len(cells), len(cells))


def close_gaps(labels: Int32[np.ndarray, "y x"], n_cells: int, highest: int) -> PaintedCells:
    """Renumber labels of 0..`highest` to 1..n in rising order and count which of `n_cells` are missing."""
    present = np.bincount(labels.reshape(-1), minlength=highest + 1) > 0
    present[0] = False
    n_present = int(present.sum())
    number = np.where(present, np.cumsum(present), 0).astype(np.int32)
    return PaintedCells(number[labels], n_cells - n_present, np.flatnonzero(present) - 1)


def crop_to_cell(mask: Bool[np.ndarray, "y x"], top_px: int = 0, left_px: int = 0) -> CellMask | None:
    """Cut a mask to the pixels that are set; None where there is none."""
    rows = np.flatnonzero(mask.any(axis=1))
    columns = np.flatnonzero(mask.any(axis=0))
    if not len(rows):
        return None
    part = mask[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1]
    return CellMask(top_px + int(rows[0]), left_px + int(columns[0]), part)


def _join_cells(parts: Sequence[CellMask]) -> CellMask | None:
    """One cell from several parts; None where there is none."""
    if len(parts) < 2:
        return parts[0] if parts else None
    top = min(part.top_px for part in parts)
    left = min(part.left_px for part in parts)
    bottom = max(part.top_px + part.mask.shape[0] for part in parts)
    right = max(part.left_px + part.mask.shape[1] for part in parts)
    mask = np.zeros((bottom - top, right - left), bool)
    for part in parts:
        height, width = part.mask.shape
        y, x = part.top_px - top, part.left_px - left
        mask[y : y + height, x : x + width] |= part.mask
    return CellMask(top, left, mask)


def _shared_part(cell: CellMask, other: CellMask) -> tuple[Bool[np.ndarray, "h w"], Bool[np.ndarray, "h w"]] | None:
    """The masks of two cells within the box that both share, as views; None where their boxes are apart."""
    top, left = max(cell.top_px, other.top_px), max(cell.left_px, other.left_px)
    bottom = min(cell.top_px + cell.mask.shape[0], other.top_px + other.mask.shape[0])
    right = min(cell.left_px + cell.mask.shape[1], other.left_px + other.mask.shape[1])
    if bottom <= top or right <= left:
        return None

    def part(of: CellMask) -> Bool[np.ndarray, "h w"]:
        return of.mask[top - of.top_px : bottom - of.top_px, left - of.left_px : right - of.left_px]

    return part(cell), part(other)


def _overlap_px(cell: CellMask, other: CellMask) -> int:
    """Number of pixels that two cells share."""
    shared = _shared_part(cell, other)
    return 0 if shared is None else int(np.count_nonzero(shared[0] & shared[1]))


_Ring = Float64[np.ndarray, "_ 2"]
_N_ELLIPSE_CORNERS = 360


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
        None where no pixel center lies inside.

    Raises:
        AnnotationError: A polygon has fewer than 3 corners or a coordinate that is not a finite number.
    """
    rings = [_check_ring(ring) for ring in exterior]
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
        mask &= _winding(_check_ring(hole), box) == 0
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
    return _join_cells([part for part in parts if part is not None])


def _check_ring(ring: ArrayLike) -> _Ring:
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


def _winding(ring: _Ring, box: tuple[int, int, int, int]) -> Int64[np.ndarray, "h w"]:
    """How often the ring goes round each pixel center of a box (top, left, bottom, right).

    Each edge crosses some rows of pixel centers; right of the crossing the winding number changes by one.
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


def ellipse_ring(low: Num[np.ndarray, "2"], high: Num[np.ndarray, "2"]) -> _Ring:
    """The ellipse in the box between two corners (x, y), as a polygon."""
    angle = np.linspace(0, 2 * np.pi, _N_ELLIPSE_CORNERS, endpoint=False)
    return (low + high) / 2 + (high - low) / 2 * np.stack([np.cos(angle), np.sin(angle)], axis=1)


#: (dx, dy) of a step along a pixel edge: right, down, left, up.
_STEPS = ((1, 0), (0, 1), (-1, 0), (0, -1))


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
    numbers, ids = label_numbers(labels)
    if not ids.size:
        return []
    rings = cell_outlines(numbers)
    cell_of_corner = np.repeat(np.arange(ids.size), [len(ring) for ring in rings])
    polygons = shapely.polygons(shapely.linearrings(np.concatenate(rings), indices=cell_of_corner))
    # A ring that touches itself, or does not run along all edges of the cell, is traced again with all its parts.
    n_edges = sum_crossings(numbers, ids.size)[1:, :2].sum(axis=1)
    plain = shapely.is_valid(polygons) & (shapely.length(polygons) == n_edges)
    if not plain.all():
        boxes = ndimage.find_objects(numbers)
        for cell in np.flatnonzero(~plain).tolist():
            rows, columns = boxes[cell]
            outlines = trace_cell(numbers[rows, columns] == cell + 1, rows.start, columns.start)
            polygons[cell] = _geometry(outlines)
    return polygons.tolist()


def _geometry(outlines: list[Outline]) -> BaseGeometry:
    """Of several parts the largest comes first."""
    parts = [shapely.Polygon(outline.exterior, outline.holes) for outline in outlines]
    return parts[0] if len(parts) == 1 else shapely.MultiPolygon(sorted(parts, key=lambda part: -part.area))


def move_polygons(polygons: Sequence[BaseGeometry], down_px: int, right_px: int) -> list[BaseGeometry]:
    """The polygons of a region of an image, where they lie in the whole image."""
    return shapely.transform(
        np.array(polygons, object), lambda corners: corners + np.array([right_px, down_px])
    ).tolist()


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
    step_x, step_y = _STEPS[direction]
    turns = ((x + step_x, y + step_y, (direction + turn) % 4) for turn in (3, 0, 1))
    return next(following for following in turns if following in edges)


def _directed_edges(mask: Bool[np.ndarray, "h w"]) -> Int64[np.ndarray, "_ 3"]:
    """Start x, y and direction of every pixel edge between inside and outside, inside on the right hand."""
    padded = np.pad(mask, 1)
    inside = padded[1:-1, 1:-1]
    edges = []
    for direction, (neighbor, offset) in enumerate(
        [
            (padded[:-2, 1:-1], (0, 0)),
            (padded[1:-1, 2:], (1, 0)),
            (padded[2:, 1:-1], (1, 1)),
            (padded[1:-1, :-2], (0, 1)),
        ]
    ):
        y, x = np.nonzero(inside & ~neighbor)
        edges.append(np.stack([x + offset[0], y + offset[1], np.full(len(x), direction)], axis=1))
    return np.concatenate(edges)


def _signed_area(ring: Int64[np.ndarray, "_ 2"]) -> float:
    """Shoelace formula; positive for clockwise on screen, where y points down."""
    x, y = ring.T
    return float(np.sum(x * np.roll(y, -1) - np.roll(x, -1) * y)) / 2


#: Names of classes that say that an outline is no cell. QuPath ignores every class that ends in `*`.
_REGION_NAME = re.compile(
    r"(\*|(^|[\s_-])(roi|rois|region|regions|tissue|background|ignore|ignored|exclude|exclusion|tma[\s_-]?core))[\s_-]*\d*$",
    re.IGNORECASE,
)
#: A cell that covers more than this share of the image and holds another one is a region.
_COVERS = 0.5
#: An outline that covers so much of the image is a region in any case.
_FILLS = 0.95
#: A cell with this many others in it is a region: one may be its nucleus, two those of a cell that divides.
_HOLDS = 3
#: One with two others in it is a region where it is so many times as large as they are.
_TIMES_AS_LARGE = 10
#: A cell is held by another one if so much of it lies inside.
_INSIDE = 0.95
_N_NAMED = 3


def is_region_class(name: str) -> bool:
    """Whether the name of a class says that its outlines are no cells (`Region*`, `Ignore*`, `tissue region`)."""
    return bool(_REGION_NAME.search(name.strip()))


def leave_out_regions(cells: Cells, height_px: int, width_px: int) -> Cells:
    """The cells without outlines that are regions; every doubtful one is named.

    An outline is a region if its class says so, if it covers 95 % of the image, if it covers half of it and holds
    another cell, or if it holds three others (two, where it is ten times as large as they are).

    Args:
        cells: What an annotation says.
        height_px: Rows of the image.
        width_px: Columns of the image.
    """
    masks, left_out = _without_region_classes(cells.masks)
    areas = np.array([cell.area_px for cell in masks], np.int64)
    held = _held_cells(masks, areas)
    kept, regions, doubtful = [], [], []
    for number, cell in enumerate(masks):
        share = float(areas[number]) / (height_px * width_px)
        if _is_region(int(areas[number]), areas[held[number]], share):
            regions.append(f"{_named(cell)}, {_reason(len(held[number]), share)}")
            continue
        kept.append(cell)
        is_large = areas[number] > _TIMES_AS_LARGE * np.median(areas)
        if share > _COVERS or held[number] or is_large:
            doubtful.append(f"{_named(cell)}, {_reason(len(held[number]), share) or 'far larger than the others'}")
    if regions:
        left_out.append(f"{len(regions)} outlines were left out as regions, not cells: {_some(regions)}")
    notes = list(cells.notes)
    if doubtful:
        notes.append(
            f"{len(doubtful)} outlines were kept as cells that may be regions (they hold others, cover half the image "
            f"or are ten times as large as the median): {_some(doubtful)}"
        )
    return replace(cells, masks=kept, left_out=[*cells.left_out, *left_out], notes=notes)


def _without_region_classes(masks: Sequence[CellMask]) -> tuple[list[CellMask], list[str]]:
    kept = [cell for cell in masks if not is_region_class(cell.class_name)]
    counts: dict[str, int] = {}
    for cell in masks:
        if is_region_class(cell.class_name):
            counts[cell.class_name] = counts.get(cell.class_name, 0) + 1
    sentences = [f"{n} outlines of class {name!r} were left out as regions, not cells" for name, n in counts.items()]
    return kept, sentences


def _is_region(area: int, held_areas: np.ndarray, share: float) -> bool:
    if share >= _FILLS or len(held_areas) >= _HOLDS:
        return True
    if len(held_areas) and share > _COVERS:
        return True
    return len(held_areas) == _HOLDS - 1 and area > _TIMES_AS_LARGE * float(np.median(held_areas))


def _held_cells(masks: Sequence[CellMask], areas: np.ndarray) -> list[list[int]]:
    """For each cell the numbers of the smaller ones inside it."""
    tops = np.array([cell.top_px for cell in masks], np.int64)
    lefts = np.array([cell.left_px for cell in masks], np.int64)
    order = np.argsort(tops, kind="stable")
    sorted_tops = tops[order]
    held: list[list[int]] = []
    for number, cell in enumerate(masks):
        first, last = np.searchsorted(sorted_tops, [tops[number] - 1, tops[number] + cell.mask.shape[0]])
        near = order[first:last]
        right = lefts[number] + cell.mask.shape[1]
        near = near[(lefts[near] >= lefts[number] - 1) & (lefts[near] < right) & (areas[near] < areas[number])]
        held.append([int(n) for n in near if _overlap_px(cell, masks[n]) >= _INSIDE * areas[n]])
    return held


def _named(cell: CellMask) -> str:
    named = f" of class {cell.class_name!r}" if cell.class_name else ""
    return f"the one{named} at row {cell.top_px}, column {cell.left_px} ({cell.area_px} px)"


def _reason(n_held: int, share: float) -> str:
    holds = f"holds {n_held} other{'s' if n_held > 1 else ''}" if n_held else ""
    covers = f"covers {share:.0%} of the image" if share > _COVERS else ""
    return " and ".join(part for part in (holds, covers) if part)


def _some(texts: list[str]) -> str:
    return "; ".join(texts[:_N_NAMED]) + ("; ..." if len(texts) > _N_NAMED else "")


#: Kinds of shapes that have an area.
_AREA_KINDS = ("polygon", "rectangle", "ellipse", "mask")
#: So much of a hole lies in the region that it is cut out of.
_INSIDE_ELLIPSE = 0.5


@dataclass
class Shape:
    """One drawn shape of a file.

    Attributes:
        name: For messages.
        kind: One of `AREA_KINDS`, or what the file calls a shape without an area.
        corners: x, y in pixels of a polygon; opposite or all corners of a box; of a mask its first pixel.
        class_name: Layer, group or label of the shape; "" without.
        color: Of the class, `#rrggbb`; "" without.
        negative: It is a hole in the region that it lies in.
        mask: The pixels of a mask.
    """

    name: str
    kind: str
    corners: list[tuple[float, float]] = field(default_factory=list)
    class_name: str = ""
    color: str = ""
    negative: bool = False
    mask: Bool[np.ndarray, "h w"] | None = None


def number_of(attributes: dict[str, str], name: str) -> float:
    """An attribute as a number, not-a-number where it is none; some tools write a decimal comma."""
    try:
        return float(attributes[name].replace(",", "."))
    except (KeyError, ValueError):
        return float("nan")


def shapes_to_cells(shapes: Sequence[Shape], height_px: int, width_px: int) -> Cells:
    """Draw every shape with an area; a hole is cut out of the smallest region that holds it."""
    cells = Cells()
    holes: list[tuple[Shape, CellMask]] = []
    without_area: dict[str, int] = {}
    for shape in shapes:
        if shape.kind not in _AREA_KINDS:
            without_area[shape.kind] = without_area.get(shape.kind, 0) + 1
            continue
        cell = _draw(shape, cells, height_px, width_px)
        if cell is not None and shape.negative:
            holes.append((shape, cell))
        elif cell is not None:
            cells.masks.append(replace(cell, class_name=shape.class_name, color=shape.color))
    cells.problems += [f"{n} of {kind}: no outline of a cell, left out" for kind, n in without_area.items()]
    _cut_holes(cells, holes)
    return cells


def _draw(shape: Shape, cells: Cells, height_px: int, width_px: int) -> CellMask | None:
    try:
        cell = _shape_cell(shape, height_px, width_px)
    except AnnotationError as error:
        cells.problems.append(f"{shape.name}: {error}")
        return None
    if cell is None:
        cells.problems.append(f"{shape.name}: no pixel center of the image lies inside")
    return cell


def _shape_cell(shape: Shape, height_px: int, width_px: int) -> CellMask | None:
    corners = np.array(shape.corners, np.float64).reshape(-1, 2)
    if shape.mask is not None:
        return _placed(shape.mask, corners, height_px, width_px)
    if shape.kind == "ellipse" and len(corners) >= 2:
        corners = ellipse_ring(corners.min(axis=0), corners.max(axis=0))
    elif shape.kind == "rectangle" and len(corners) == 2:
        (left, top), (right, bottom) = corners
        corners = np.array([(left, top), (right, top), (right, bottom), (left, bottom)])
    return polygon_cell([corners], height_px, width_px)


def _placed(mask: np.ndarray, corners: np.ndarray, height_px: int, width_px: int) -> CellMask | None:
    left, top = (int(value) for value in corners[0])
    rows = slice(max(0, -top), max(0, height_px - top))
    columns = slice(max(0, -left), max(0, width_px - left))
    return crop_to_cell(mask[rows, columns], max(0, top), max(0, left))


def _cut_holes(cells: Cells, holes: Sequence[tuple[Shape, CellMask]]) -> None:
    """Holes are measured against the regions as drawn, so that their order in the file does not matter."""
    whole = list(cells.masks)
    areas = [cell.area_px for cell in whole]
    for shape, hole in holes:
        area = hole.area_px
        around = [
            n for n in range(len(whole)) if areas[n] > area and _overlap_px(whole[n], hole) > _INSIDE_ELLIPSE * area
        ]
        if not around:
            cells.problems.append(f"{shape.name}: a hole that lies in no region")
            continue
        number = min(around, key=areas.__getitem__)
        cut = replace(cells.masks[number], mask=cells.masks[number].mask.copy())
        shared = _shared_part(cut, hole)
        assert shared is not None  # The hole lies in the region.
        part, other = shared
        part &= ~other
        cells.masks[number] = cut
    cells.masks = [cell for cell in cells.masks if cell.mask.any()]
