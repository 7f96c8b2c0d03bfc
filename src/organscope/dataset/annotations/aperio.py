"""Aperio ImageScope XML: regions with vertices in level-0 pixels.

The file is read as a stream of tags; a document type or an entity, which could expand without end or read other
files, is refused.
"""

from dataclasses import dataclass, field
from pathlib import Path
from xml.parsers import expat

import numpy as np

from organscope.dataset.annotations.cells import CellMask, Cells
from organscope.dataset.annotations.polygons import ellipse_ring, polygon_cell
from organscope.errors import AnnotationError

SUFFIXES = (".xml",)
POLYGON_TYPES = ("0", "1")
ELLIPSE_TYPE = "2"


@dataclass
class Region:
    """One region of the file: its kind, whether it cuts out, and its corners x, y in pixels."""

    name: str
    kind: str
    negative: bool
    corners: list[tuple[float, float]] = field(default_factory=list)


def read_aperio(path: Path, height_px: int, width_px: int) -> Cells:
    """Read polygons, rectangles and ellipses; a negative region is cut out of the larger cells below it.

    Raises:
        AnnotationError: The file is no ImageScope XML, or holds a document type or entities.
    """
    cells = Cells()
    for region in _parse_regions(path):
        try:
            cell = _region_cell(region, height_px, width_px)
        except AnnotationError as error:
            cells.problems.append(f"region {region.name}: {error}")
            continue
        if cell is None:
            cells.problems.append(f"region {region.name}: no pixel centre of the image lies inside")
        else:
            cells.masks.append(CellMask(cell.top_px, cell.left_px, cell.mask, erases=region.negative))
    return cells


def _parse_regions(path: Path) -> list[Region]:
    parser = expat.ParserCreate()
    tags: set[str] = set()
    regions: list[Region] = []

    def refuse(*_):
        raise AnnotationError(f"{path}: expected plain ImageScope XML, found a document type. Export it again.")

    def start(tag: str, attributes: dict[str, str]) -> None:
        tags.add(tag)
        if tag == "Region":
            kind, negative = attributes.get("Type", "0"), attributes.get("NegativeROA", "0") == "1"
            regions.append(Region(attributes.get("Id", str(len(regions) + 1)), kind, negative))
        elif tag == "Vertex" and regions:
            regions[-1].corners.append((_number(attributes, "X"), _number(attributes, "Y")))

    parser.StartDoctypeDeclHandler = refuse
    parser.EntityDeclHandler = refuse
    parser.StartElementHandler = start
    try:
        with path.open("rb") as stream:
            parser.ParseFile(stream)
    except (expat.ExpatError, OSError) as error:
        raise AnnotationError(f"{path}: expected ImageScope XML, found something else ({error}).") from error
    if "Annotations" not in tags:
        raise AnnotationError(f"{path}: expected ImageScope XML with <Annotations>, found <{min(tags)}>.")
    return regions


def _number(attributes: dict[str, str], name: str) -> float:
    try:
        return float(attributes[name])
    except (KeyError, ValueError):
        return float("nan")


def _region_cell(region: Region, height_px: int, width_px: int) -> CellMask | None:
    corners = np.array(region.corners, np.float64).reshape(-1, 2)
    if region.kind == ELLIPSE_TYPE and len(corners) >= 2:
        corners = ellipse_ring(corners.min(axis=0), corners.max(axis=0))
    elif region.kind not in POLYGON_TYPES:
        raise AnnotationError(f"Expected a polygon, rectangle or ellipse, found type {region.kind} (left out).")
    return polygon_cell([corners], height_px, width_px)
