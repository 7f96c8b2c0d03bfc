"""Cells as GeoJSON for QuPath: one polygon a cell with its measurements.

QuPath GeoJSON: a FeatureCollection, a list of features, or one feature; polygons in level-0 pixels.

Which objects are cells follows QuPath: `objectType` (since 0.4), `object_type` (its previews) or the class in `id`
(0.2 and 0.3, as `PathCellObject`). Files of other tools name no kind: every outline is a cell there.
"""

import colorsys
import json
import re
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from hashlib import sha256
from io import TextIOBase
from pathlib import Path
from typing import TYPE_CHECKING, Any
from uuid import UUID, uuid5

import numpy as np
import shapely
from jaxtyping import Int32
from shapely.geometry.base import BaseGeometry

from organscope.errors import AnnotationError, ShapeError
from organscope.io.coco import READ_ERRORS, open_text
from organscope.io.paths import atomic_path
from organscope.ops.polygons import CellMask, Cells, cell_polygons, multipolygon_cell, paint_cells
from organscope.ops.regionprops import label_numbers

if TYPE_CHECKING:
    import pandas as pd


#: Columns that are no measurement but name the cell or its class.
_ID_COLUMN, _CLASS_COLUMN = "id", "organ"

#: What stands before the first feature of a file, and between two.
HEAD, SEPARATOR = '{"type":"FeatureCollection","features":[\n', ",\n"

_END = "}}}"
"""Of a feature, after its measurements."""

_NAMESPACE = UUID("4b5f0d2c-6d4e-5c39-9c55-0f9a6a1f7d21")
"""Of the ids of cells."""

_AT_A_TIME = 10_000
"""Outlines that are held as text."""

_QUPATH_COLORS = {
    "Positive": (250, 62, 62),
    "Negative": (112, 112, 225),
    "Tumor": (200, 0, 0),
    "Stroma": (150, 200, 150),
    "Immune cells": (160, 90, 160),
    "Necrosis": (50, 50, 50),
    "Other": (255, 200, 0),
    "not sure": (128, 128, 128),
}
_COLOR_SEED = "389:"
"""With it the colors of the 27 organs that ship can be told apart."""


def collection_end(about: Mapping[str, Any] | None = None) -> str:
    """What stands after the last feature: foreign members (RFC 7946, 6.1) of the collection, such as `cells_trust`."""
    members = "".join(f",{json.dumps(name)}:{json.dumps(value)}" for name, value in (about or {}).items())
    return f"\n]{members}}}\n"


def write_geojson(
    path: str | Path,
    outlines: Sequence[BaseGeometry],
    table: "pd.DataFrame",
    result: str = "",
    about: Mapping[str, Any] | None = None,
) -> None:
    """Write a QuPath FeatureCollection, feature by feature, so that memory does not grow with the cells.

    Every feature has objectType `detection`, the cell's `id` as name, the numeric columns of the table as
    measurements (9 significant digits; missing values are left out) and, where the table has a column
    `organ` or `kind`, that as classification with its color. The `id` of a feature is a UUID, as QuPath wants it: that
    of the same outline in the same result is always the same.

    Args:
        path: The file; its folder exists.
        outlines: One valid polygon a cell, x and y in level-0 pixels, as `organscope.ops.polygons.cell_polygons`
            gives them.
        table: One row a cell, in the order of the outlines, with a column `id`.
        result: Name of the image or of its result folder, which keeps ids of several images apart.
        about: Members of the collection itself, see `collection_end`.

    Raises:
        ShapeError: The numbers of outlines and rows differ.
        OutputError: The folder is not writable or the disk is full.
    """
    if len(outlines) != len(table):
        raise ShapeError(f"Expected one row a cell for {path}, found {len(outlines)} outlines and {len(table)} rows.")
    with atomic_path(path) as temporary, temporary.open("w", encoding="utf-8", newline="\n") as file:
        file.write(HEAD)
        separator = ""
        for feature in geojson_features(outlines, table, result):
            file.write(separator + feature)
            separator = SEPARATOR
        file.write(collection_end(about))


def geojson_features(outlines: Sequence[BaseGeometry], table: "pd.DataFrame", result: str = "") -> Iterator[str]:
    """The features of `write_geojson`, one text a cell."""
    for geometry, properties in zip(_geometries(outlines), _properties(table), strict=True):
        yield _feature(geometry, properties, result)


def add_measurements(features: str, columns: Mapping[str, np.ndarray]) -> str:
    """Features of `geojson_features`, joined by `SEPARATOR`, with more numbers, one row of the columns a feature."""
    names = [f",{json.dumps(name)}:" for name in columns]
    rows = zip(*(_numbers(values) for values in columns.values()), strict=True)
    return SEPARATOR.join(
        feature[: -len(_END)] + "".join(name + value for name, value in zip(names, row, strict=True) if value) + _END
        for feature, row in zip(features.split(SEPARATOR), rows, strict=True)
    )


def _feature(geometry: str, properties: str, result: str) -> str:
    number = uuid5(_NAMESPACE, f"{result}\n{geometry}")
    return f'{{"type":"Feature","id":"{number}","geometry":{geometry},"properties":{properties}}}'


def _geometries(outlines: Sequence[BaseGeometry]) -> Iterator[str]:
    """Every polygon as GeoJSON; whole numbers without a fraction."""
    for first in range(0, len(outlines), _AT_A_TIME):
        for text in shapely.to_geojson(np.array(outlines[first : first + _AT_A_TIME], object)).tolist():
            yield text.replace(".0,", ",").replace(".0]", "]")


def class_color(name: str) -> tuple[int, int, int]:
    """Red, green and blue of a class, 0 to 255: QuPath's own where it knows the class, else always the same."""
    if name in _QUPATH_COLORS:
        return _QUPATH_COLORS[name]
    digest = sha256(f"{_COLOR_SEED}{name}".encode()).digest()
    hue, lightness = int.from_bytes(digest[:2]) / 2**16, 0.35 + 0.35 * digest[2] / 255
    return tuple(round(255 * part) for part in colorsys.hls_to_rgb(hue, lightness, 0.75))


def _properties(table: "pd.DataFrame") -> Iterator[str]:
    """The properties of every cell as JSON."""
    numeric = [name for name in table.select_dtypes(["number", "bool"]).columns if name != _ID_COLUMN]
    names = [f"{json.dumps(name)}:" for name in numeric]
    columns = [_numbers(table[name]) for name in numeric]
    measured = zip(*columns, strict=True) if columns else iter([()] * len(table))
    for cell, organ, values in zip(table[_ID_COLUMN], _classes(table), measured, strict=True):
        pairs = ",".join(name + value for name, value in zip(names, values, strict=True) if value)
        classification = f'"classification":{_classification_text(organ)},' if organ else ""
        yield (f'{{"objectType":"detection","name":"{cell}",{classification}"measurements":{{{pairs}}}}}')


def _classes(table: "pd.DataFrame") -> Iterable[str]:
    """The class of each cell: its kind where that was named ("not sure" where it is not), else its organ."""
    if "kind_sure" in table:
        return np.where(table["kind_sure"], table["kind"], "not sure")
    return table[_CLASS_COLUMN] if _CLASS_COLUMN in table else [""] * len(table)


@lru_cache(maxsize=1024)
def _classification_text(name: str, color: str = "") -> str:
    """A class with its color, which may be given as `#rrggbb`."""
    rgb = [int(color[n : n + 2], 16) for n in (1, 3, 5)] if color else list(class_color(name))
    return json.dumps({"name": name, "color": rgb}, separators=(",", ":"))


def _numbers(column: "pd.Series | np.ndarray") -> Iterator[str]:
    """Values as JSON numbers, "" where missing or infinite (JSON has no word for these)."""
    is_array = isinstance(column, np.ndarray)
    values = column.astype(np.float64) if is_array else column.to_numpy(dtype=np.float64, na_value=np.nan)
    return (
        f"{value:.9g}" if known else ""
        for value, known in zip(values.tolist(), np.isfinite(values).tolist(), strict=True)
    )


#: Kind of an object, letters only and small -> the kind's name.
_KINDS = {
    "cell": "cell",
    "pathcellobject": "cell",
    "detection": "detection",
    "pathdetectionobject": "detection",
    "annotation": "annotation",
    "pathannotationobject": "annotation",
    "tile": "tile",
    "pathtileobject": "tile",
    "tmacore": "TMA core",
    "tmacoreobject": "TMA core",
    "pathtmacoreobject": "TMA core",
    "root": "root object",
    "pathrootobject": "root object",
}
_NO_CELLS = ("tile", "TMA core", "root object")
#: A hand-drawn annotation among detections is a cell up to so many times their median area.
_CELL_SIZED = 4
_INSIDE = 0.95


@dataclass(frozen=True)
class _Object:
    """One feature: what QuPath calls it, its geometry, and a name for messages."""

    name: str
    kind: str
    geometry: dict
    class_name: str
    color: str


def read_geojson(path: Path, height_px: int, width_px: int) -> Cells:
    """Read the polygons and multipolygons of a file; a multipolygon is one cell.

    Tiles, TMA cores and root objects are no cells, nor are objects of a class that ends in `*`, which QuPath ignores.
    Where a file has detections, an annotation that holds one or is much larger is the region in which they were
    found; one of the size of a cell was drawn by hand and is a cell. All that is left out is counted.

    Raises:
        AnnotationError: The file is no GeoJSON.
    """
    cells = Cells()
    found = _without_other_kinds(_objects(path, cells), cells)
    skipped: Counter[str] = Counter()
    drawn: list[tuple[_Object, CellMask]] = []
    for item in found:
        if not _has_area(item.geometry):
            skipped[str(item.geometry.get("type"))] += 1
            continue
        cell = _draw(item, cells, height_px, width_px)
        if cell is not None:
            drawn.append((item, cell))
    cells.problems += [f"{n} of type {kind} have no area and were left out" for kind, n in skipped.items()]
    cells.masks += _without_regions(drawn, cells, height_px, width_px)
    return cells


@dataclass(frozen=True)
class Region:
    """A region of interest.

    Attributes:
        name: As the file names it, else its class, else its place in the file.
        class_name: Of QuPath; "" without.
        geometry: A valid polygon or several, x and y in pixels of the image.
    """

    name: str
    class_name: str
    geometry: BaseGeometry


def read_regions(path: Path) -> list[Region]:
    """The regions of interest of a file as QuPath exports annotations; cells and detections are no regions.

    What lies in a region of the class `Ignore*` is cut out of all others, as QuPath means it.

    Raises:
        AnnotationError: The file is no GeoJSON, or has no region with an area.
    """
    regions, ignored = [], []
    for number, feature in enumerate(_features(_load(path), path), start=1):
        properties = feature.get("properties")
        properties = properties if isinstance(properties, dict) else {}
        if _kind(feature, properties) in ("cell", "detection", *_NO_CELLS):
            continue
        try:
            geometry = _valid_area(feature.get("geometry") or {})
        except (AttributeError, TypeError, IndexError, ValueError, KeyError, shapely.GEOSException) as error:
            raise AnnotationError(
                f"{path}: expected polygons, found feature {number} that is none ({error})."
            ) from None
        class_name, _ = _classification(properties.get("classification"))
        name = str(properties.get("name") or class_name or f"region {number}")
        if not geometry.is_empty:
            (ignored if class_name == "Ignore*" else regions).append(Region(name, class_name, geometry))
    if not regions:
        raise AnnotationError(
            f"{path}: expected regions of interest, found none. Draw annotations and export them as GeoJSON."
        )
    without = shapely.union_all([region.geometry for region in ignored])
    return [replace(region, geometry=shapely.difference(region.geometry, without)) for region in regions]


def _valid_area(geometry: dict) -> BaseGeometry:
    """All polygons of a geometry as one valid shape; empty where it has no area."""
    parts = [shapely.Polygon(_flat(rings[0]), [_flat(ring) for ring in rings[1:]]) for rings in _polygons(geometry)]
    return shapely.union_all(shapely.make_valid(parts, method="structure", keep_collapsed=False))


def write_regions(path: Path, regions: Sequence[Region], result: str) -> None:
    """Write regions as annotations for QuPath.

    Raises:
        OutputError: The folder is not writable or the disk is full.
    """
    geometries = list(_geometries([region.geometry for region in regions]))
    with atomic_path(path) as temporary, temporary.open("w", encoding="utf-8", newline="\n") as file:
        file.write(HEAD)
        for n, (region, geometry) in enumerate(zip(regions, geometries, strict=True)):
            classification = f',"classification":{_classification_text(region.class_name)}' if region.class_name else ""
            properties = f'{{"objectType":"annotation","name":{json.dumps(region.name)}{classification}}}'
            file.write((SEPARATOR if n else "") + _feature(geometry, properties, result))
        file.write(collection_end())


def _objects(path: Path, cells: Cells) -> list[_Object]:
    objects = []
    n_nuclei = n_only_nuclei = 0
    for number, feature in enumerate(_features(_load(path), path), start=1):
        properties = feature.get("properties")
        properties = properties if isinstance(properties, dict) else {}
        geometry, nucleus = feature.get("geometry"), feature.get("nucleusGeometry")
        if isinstance(nucleus, dict):
            n_nuclei += isinstance(geometry, dict)
            n_only_nuclei += not isinstance(geometry, dict)
            geometry = geometry if isinstance(geometry, dict) else nucleus
        class_name, color = _classification(properties.get("classification"))
        kind = _kind(feature, properties)
        geometry = geometry if isinstance(geometry, dict) else {}
        objects.append(_Object(f"feature {feature.get('id', number)}", kind, geometry, class_name, color))
    if n_nuclei:
        cells.notes.append(f"{n_nuclei} cells also have the outline of a nucleus; the outline of the cell was read")
    if n_only_nuclei:
        cells.notes.append(f"{n_only_nuclei} cells have only the outline of a nucleus, which was read")
    return objects


def _load(path: Path) -> Any:
    try:
        with open_text(path) as stream:
            return json.load(stream)
    except READ_ERRORS as error:
        raise AnnotationError(f"{path}: expected GeoJSON, found something else ({error}).") from error


def _features(content: Any, path: Path) -> Iterator[dict]:
    if isinstance(content, dict) and content.get("type") == "Feature":
        content = [content]
    elif isinstance(content, dict) and content.get("type") == "FeatureCollection":
        content = content.get("features")
    if not isinstance(content, list) or not all(isinstance(item, dict) for item in content):
        raise AnnotationError(f"{path}: expected a GeoJSON FeatureCollection as QuPath exports it.")
    return iter(content)


def _kind(feature: dict, properties: dict) -> str:
    """What QuPath calls the object; "" where the file does not say."""
    for value in (properties.get("objectType"), properties.get("object_type"), feature.get("id")):
        kind = _KINDS.get(re.sub(r"[^a-z]", "", str(value).lower()))
        if kind is not None:
            return kind
    return ""


def _classification(value: Any) -> tuple[str, str]:
    """Name and color of a class: its name alone, or a table with `name` or `names`, `color` or `colorRGB`."""
    if isinstance(value, str):
        return value, ""
    if not isinstance(value, dict):
        return "", ""
    names = value.get("names")
    name = ": ".join(map(str, names)) if isinstance(names, list) else str(value.get("name") or "")
    color, packed = value.get("color"), value.get("colorRGB")
    if isinstance(color, list) and len(color) >= 3 and all(isinstance(c, int) and 0 <= c < 256 for c in color[:3]):
        return name, "#{:02x}{:02x}{:02x}".format(*color[:3])
    if isinstance(packed, int):
        return name, f"#{packed & 0xFFFFFF:06x}"
    return name, ""


def _without_other_kinds(objects: Sequence[_Object], cells: Cells) -> list[_Object]:
    kinds: Counter[str] = Counter()
    ignored: Counter[str] = Counter()
    kept = []
    for item in objects:
        if item.kind in _NO_CELLS:
            kinds[item.kind] += 1
        elif item.class_name.endswith("*"):
            ignored[item.class_name] += 1
        else:
            kept.append(item)
    cells.left_out += [f"{n} {kind}{'s' if n > 1 else ''} left out: no cell" for kind, n in kinds.items()]
    cells.left_out += [
        f"{n} objects of class {name!r} left out: QuPath ignores classes that end in *" for name, n in ignored.items()
    ]
    return kept


def _has_area(geometry: dict) -> bool:
    kind = geometry.get("type")
    if kind == "GeometryCollection":
        parts = geometry.get("geometries")
        return isinstance(parts, list) and any(isinstance(part, dict) and _has_area(part) for part in parts)
    return kind in ("Polygon", "MultiPolygon")


def _polygons(geometry: dict) -> list:
    """Every polygon of a geometry, as a list of rings."""
    kind = geometry.get("type")
    if kind == "Polygon":
        return [geometry["coordinates"]]
    if kind == "MultiPolygon":
        return list(geometry["coordinates"])
    parts = geometry["geometries"] if kind == "GeometryCollection" else []
    return [polygon for part in parts for polygon in _polygons(part)]


def _draw(item: _Object, cells: Cells, height_px: int, width_px: int) -> CellMask | None:
    try:
        polygons = [[_flat(ring) for ring in rings] for rings in _polygons(item.geometry)]
        cell = multipolygon_cell(polygons, height_px, width_px)
    except (AnnotationError, AttributeError, TypeError, IndexError, ValueError, KeyError) as error:
        cells.problems.append(f"{item.name}: {error}")
        return None
    if cell is None:
        cells.problems.append(f"{item.name}: no pixel center lies inside the polygon, or it is outside of the image")
        return None
    return replace(cell, class_name=item.class_name, color=item.color)


def _flat(ring: Any) -> list:
    """Corners without a third coordinate, which some of a ring may have."""
    return [point[:2] for point in ring]


def _without_regions(
    drawn: Sequence[tuple[_Object, CellMask]], cells: Cells, height_px: int, width_px: int
) -> list[CellMask]:
    """Detections that lie in a cell, and annotations round detections, are no cells."""
    kept = [n for n, (item, _) in enumerate(drawn) if item.kind == "cell"]
    spots = [n for n, (item, _) in enumerate(drawn) if item.kind == "detection"]
    if kept and spots:
        outside = _outside([drawn[n][1] for n in kept], [drawn[n][1] for n in spots], height_px, width_px)
        n_inside = len(spots) - sum(outside)
        if n_inside:
            cells.left_out.append(f"{n_inside} detections left out: they lie in cells, as spots and nuclei do")
        spots = [n for n, is_outside in zip(spots, outside, strict=True) if is_outside]
    kept += spots
    annotations = [n for n, (item, _) in enumerate(drawn) if item.kind == "annotation"]
    if kept and annotations:
        manual = _cell_sized([drawn[n][1] for n in kept], [drawn[n][1] for n in annotations], height_px, width_px)
        n_manual = sum(manual)
        if n_manual < len(annotations):
            cells.left_out.append(
                f"{len(annotations) - n_manual} annotations left out: regions beside the {len(kept)} detections"
            )
        if n_manual:
            cells.notes.append(f"{n_manual} annotations of the size of a cell are cells beside {len(kept)} detections")
        annotations = [n for n, is_cell in zip(annotations, manual, strict=True) if is_cell]
    kept += annotations + [n for n, (item, _) in enumerate(drawn) if item.kind == ""]
    return [drawn[n][1] for n in sorted(kept)]


def _outside(cells: Sequence[CellMask], spots: Sequence[CellMask], height_px: int, width_px: int) -> list[bool]:
    labels = paint_cells(cells, height_px, width_px).labels
    return [int(np.count_nonzero(_under(labels, spot))) < _INSIDE * spot.area_px for spot in spots]


def _under(labels: Int32[np.ndarray, "y x"], cell: CellMask) -> Int32[np.ndarray, " n"]:
    height, width = cell.mask.shape
    return labels[cell.top_px : cell.top_px + height, cell.left_px : cell.left_px + width][cell.mask]


def _cell_sized(
    detections: Sequence[CellMask], annotations: Sequence[CellMask], height_px: int, width_px: int
) -> list[bool]:
    """Whether each annotation is about as large as a cell, and holds no detection."""
    painted = paint_cells(detections, height_px, width_px).labels
    areas = np.bincount(painted.reshape(-1))
    largest = _CELL_SIZED * float(np.median([cell.area_px for cell in detections]))
    answers = []
    for annotation in annotations:
        under = np.bincount(_under(painted, annotation), minlength=len(areas))
        holds = (under[1:] > 0) & (under[1:] >= _INSIDE * areas[1:])
        answers.append(annotation.area_px <= largest and not bool(holds.any()))
    return answers


def write_geojson_cells(
    stream: TextIOBase,
    labels: Int32[np.ndarray, "y x"],
    classes: Mapping[int, tuple[str, str]] | None = None,
    result: str = "",
) -> int:
    """Write one feature a cell (a cell in pieces is a MultiPolygon).

    Args:
        stream: Text to write to.
        labels: 0 is background, every other value is one cell.
        classes: Class and color (`#rrggbb` or "") of cells by number.
        result: Name of the image; see `write_geojson`.

    Returns:
        The number of cells.
    """
    numbers = label_numbers(labels)[1].tolist()
    stream.write(HEAD)
    separator = ""
    for number, geometry in zip(numbers, _geometries(cell_polygons(labels)), strict=True):
        name, color = (classes or {}).get(number, ("", ""))
        classification = f',"classification":{_classification_text(name, color)}' if name else ""
        properties = f'{{"objectType":"detection","name":"{number}"{classification}}}'
        stream.write(separator + _feature(geometry, properties, result))
        separator = SEPARATOR
    stream.write(collection_end())
    return len(numbers)
