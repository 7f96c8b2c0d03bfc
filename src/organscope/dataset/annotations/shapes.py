"""Drawn shapes of XML annotations, and how they become cells: holes are cut out of the region that they lie in."""

from collections.abc import Sequence
from dataclasses import dataclass, field, replace

import numpy as np
from jaxtyping import Bool

from organscope.dataset.annotations.cells import CellMask, Cells, crop_to_cell, overlap_px, shared_part
from organscope.dataset.annotations.polygons import ellipse_ring, polygon_cell
from organscope.errors import AnnotationError

#: Kinds of shapes that have an area.
AREA_KINDS = ("polygon", "rectangle", "ellipse", "mask")
#: So much of a hole lies in the region that it is cut out of.
_INSIDE = 0.5


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
        if shape.kind not in AREA_KINDS:
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
    if shape.kind == "mask":
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
        around = [n for n in range(len(whole)) if areas[n] > area and overlap_px(whole[n], hole) > _INSIDE * area]
        if not around:
            cells.problems.append(f"{shape.name}: a hole that lies in no region")
            continue
        number = min(around, key=areas.__getitem__)
        cut = replace(cells.masks[number], mask=cells.masks[number].mask.copy())
        part, other = shared_part(cut, hole)
        part &= ~other
        cells.masks[number] = cut
    cells.masks = [cell for cell in cells.masks if cell.mask.any()]
