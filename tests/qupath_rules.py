"""The rules by which QuPath 0.4 to 0.6 reads GeoJSON, as far as they can refuse or change an object."""

import json
from dataclasses import dataclass
from uuid import UUID

import shapely

OLD_KINDS = {
    "PathTileObject", "PathCellObject", "TMACoreObject", "PathDetectionObject", "PathRootObject",
    "PathAnnotationObject",
}  # fmt: skip
KINDS = OLD_KINDS | {"tile", "cell", "tmaCore", "tma_core", "detection", "root", "annotation"}


@dataclass
class PathObject:
    """What QuPath makes of a feature."""

    kind: str
    id: UUID | None
    name: str | None
    geometry: shapely.Geometry
    path_class: str | None
    color: tuple[int, int, int] | None
    measurements: dict[str, float]


def read_like_qupath(text: str) -> list[PathObject]:
    """The objects of a FeatureCollection; an error where QuPath has one."""
    content = json.loads(text)
    assert content["type"] == "FeatureCollection"
    return [_object(feature) for feature in content["features"]]


def _object(feature: dict) -> PathObject:
    kind, number = "unknown", None
    if "id" in feature:
        identity = feature["id"]
        assert isinstance(identity, str)
        if identity in OLD_KINDS:
            kind = identity
        else:
            try:
                number = UUID(identity)
            except ValueError:
                number = None
    properties = feature.get("properties", {})
    kind = properties.get("objectType", properties.get("object_type", properties.get("type", kind)))
    # Of any other kind QuPath makes an annotation.
    kind = kind if kind in KINDS else "annotation"
    name, color = _class(properties.get("classification"))
    return PathObject(
        kind, number, properties.get("name"), _geometry(feature["geometry"]), name, color,
        {key: float(value) for key, value in properties.get("measurements", {}).items()},
    )  # fmt: skip


def _geometry(content: dict) -> shapely.Geometry:
    kind, coordinates = content["type"], content["coordinates"]
    if kind == "Polygon":
        return _polygon(coordinates)
    assert kind == "MultiPolygon"
    return shapely.MultiPolygon([_polygon(part) for part in coordinates])


def _polygon(rings: list) -> shapely.Polygon:
    for ring in rings:
        # JTS refuses to build a ring that is open, or has fewer than three corners.
        assert ring[0] == ring[-1]
        assert len(ring) >= 4
        assert all(len(point) in (2, 3) for point in ring)
    return shapely.Polygon(rings[0], rings[1:])


def _class(content: dict | str | None) -> tuple[str | None, tuple[int, int, int] | None]:
    if content is None:
        return None, None
    if isinstance(content, str):
        return content, None
    name = ": ".join(content["names"]) if "names" in content else content["name"]
    color = content.get("color")
    if color is None:
        return name, None
    red, green, blue = color
    assert all(isinstance(part, int) and 0 <= part < 256 for part in color)
    return name, (red, green, blue)
