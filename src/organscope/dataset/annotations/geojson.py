"""QuPath GeoJSON: a FeatureCollection, a list of features, or one feature; polygons in level-0 pixels."""

import json
from collections.abc import Iterator
from io import TextIOBase
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Int32

from organscope.dataset.annotations.cells import Cells
from organscope.dataset.annotations.outlines import Outline, cell_regions, trace_cell
from organscope.dataset.annotations.polygons import polygon_cell
from organscope.errors import AnnotationError

SUFFIXES = (".geojson", ".json")
#: What QuPath calls a found object, as opposed to a region that a person drew around many.
CELL_TYPES = ("cell", "detection", "tile")


def read_geojson(path: Path, height_px: int, width_px: int) -> Cells:
    """Read the polygons and multipolygons of a file; a multipolygon is one cell.

    Where a file has both detections and annotations, only the detections are cells: the annotations then are
    the regions in which they were found.

    Raises:
        AnnotationError: The file is no GeoJSON.
    """
    features = list(_features(_load(path), path))
    kinds = [(feature.get("properties") or {}).get("objectType") for feature in features]
    cells = Cells()
    if any(kind in CELL_TYPES for kind in kinds):
        features = [f for f, kind in zip(features, kinds, strict=True) if kind in CELL_TYPES]
    skipped: dict[str, int] = {}
    for number, feature in enumerate(features, start=1):
        geometry = feature.get("geometry") or {}
        polygons = _polygons(geometry)
        if polygons is None:
            kind = str(geometry.get("type"))
            skipped[kind] = skipped.get(kind, 0) + 1
            continue
        _add_cell(cells, polygons, f"feature {feature.get('id', number)}", height_px, width_px)
    cells.problems += [f"{n} of type {kind} have no area and were left out" for kind, n in skipped.items()]
    return cells


def _load(path: Path) -> Any:
    try:
        return json.loads(path.read_bytes())
    except (OSError, ValueError, RecursionError) as error:
        raise AnnotationError(f"{path}: expected GeoJSON, found something else ({error}).") from error


def _features(content: Any, path: Path) -> Iterator[dict]:
    if isinstance(content, dict) and content.get("type") == "Feature":
        content = [content]
    elif isinstance(content, dict) and content.get("type") == "FeatureCollection":
        content = content.get("features")
    if not isinstance(content, list) or not all(isinstance(item, dict) for item in content):
        raise AnnotationError(f"{path}: expected a GeoJSON FeatureCollection as QuPath exports it.")
    return iter(content)


def _polygons(geometry: dict) -> list | None:
    kind = geometry.get("type")
    if kind == "Polygon":
        return [geometry.get("coordinates")]
    if kind == "MultiPolygon":
        return geometry.get("coordinates")
    return None


def _add_cell(cells: Cells, polygons: list, name: str, height_px: int, width_px: int) -> None:
    try:
        exterior = [rings[0] for rings in polygons]
        holes = [hole for rings in polygons for hole in rings[1:]]
        cell = polygon_cell(exterior, height_px, width_px, holes)
    except (AnnotationError, TypeError, IndexError, ValueError, KeyError) as error:
        cells.problems.append(f"{name}: {error}")
        return
    if cell is None:
        cells.problems.append(f"{name}: no pixel centre lies inside the polygon, or it is outside of the image")
    else:
        cells.masks.append(cell)


def write_geojson_cells(stream: TextIOBase, labels: Int32[np.ndarray, "y x"]) -> int:
    """Write one feature a cell (a cell in pieces is a MultiPolygon); returns the number of cells."""
    stream.write('{"type": "FeatureCollection", "features": [\n')
    n_cells = 0
    for number, top, left, mask in cell_regions(labels):
        feature = {
            "type": "Feature",
            "id": str(number),
            "geometry": outline_geometry(trace_cell(mask, top, left)),
            "properties": {"objectType": "detection", "name": str(number)},
        }
        stream.write((",\n" if n_cells else "") + json.dumps(feature))
        n_cells += 1
    stream.write("\n]}\n")
    return n_cells


def outline_geometry(outlines: list[Outline]) -> dict:
    """GeoJSON geometry of a cell: a Polygon, or a MultiPolygon where it is in pieces."""
    polygons = [[_closed(outline.exterior), *map(_closed, outline.holes)] for outline in outlines]
    if len(polygons) == 1:
        return {"type": "Polygon", "coordinates": polygons[0]}
    return {"type": "MultiPolygon", "coordinates": polygons}


def _closed(ring: np.ndarray) -> list[list[int]]:
    return [*ring.tolist(), ring[0].tolist()]
