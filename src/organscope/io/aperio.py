"""ImageScope XML, and HALO's files of the same root: regions with vertices in level-0 pixels.

Outlines in XML, told apart by the root of the file: ImageScope and HALO, ASAP, CVAT.

The file is read as a stream of tags; a document type or an entity, which could expand without end or read other
files, is refused.
"""

from pathlib import Path, PurePosixPath
from xml.parsers import expat

import numpy as np

from organscope.errors import AnnotationError
from organscope.ops.polygons import Cells, Shape, number_of, shapes_to_cells

#: Type of a region -> kind of shape: ImageScope writes numbers, HALO names.
_KINDS = {
    "0": "polygon",
    "1": "rectangle",
    "2": "ellipse",
    "polygon": "polygon",
    "freehand": "polygon",
    "rectangle": "rectangle",
    "ellipse": "ellipse",
}


class _ImageScopeTags:
    """Collects the shapes of `<Annotations>`; the name of a layer is the class of its regions."""

    def __init__(self) -> None:
        self.shapes: list[Shape] = []
        self._layer = ""
        self._color = ""
        self._in_region = False

    def start(self, tag: str, attributes: dict[str, str]) -> None:
        """A tag opens."""
        if tag == "Annotation":
            self._layer, self._color = attributes.get("Name", "").strip(), _color(attributes.get("LineColor", ""))
        elif tag == "Attribute" and not self._in_region and not self._layer:
            # ImageScope keeps what a person typed as the name of a layer in its first attribute.
            self._layer = (attributes.get("Value") or "").strip()
        elif tag == "Region":
            self._in_region = True
            self.shapes.append(self._shape(attributes))
        elif tag in ("Vertex", "V") and self.shapes:
            self.shapes[-1].corners.append((number_of(attributes, "X"), number_of(attributes, "Y")))

    def end(self, tag: str) -> None:
        """A tag closes."""
        if tag == "Region":
            self._in_region = False

    def _shape(self, attributes: dict[str, str]) -> Shape:
        kind = attributes.get("Type", "0").strip()
        return Shape(
            f"region {attributes.get('Id', len(self.shapes) + 1)}",
            _KINDS.get(kind.lower(), f"type {kind}"),
            class_name=self._layer,
            color=self._color,
            negative=attributes.get("NegativeROA", "0").strip() in ("1", "true", "True"),
        )


def _color(packed: str) -> str:
    """`#rrggbb` from an integer with red in its lowest byte, as Windows packs colors."""
    if not packed.isdecimal():
        return ""
    value = int(packed)
    return f"#{value & 0xFF:02x}{value >> 8 & 0xFF:02x}{value >> 16 & 0xFF:02x}"


def read_xml(path: Path, height_px: int, width_px: int) -> Cells:
    """Read the outlines of ImageScope, HALO, ASAP or CVAT; points, lines and boxes of detectors are counted.

    Raises:
        AnnotationError: The file is damaged, of none of these tools, or holds a document type or entities.
    """
    tags = _parse(path)
    shapes = tags.shapes
    notes = []
    if isinstance(tags, _CvatTags):
        shapes = _of_image(tags, path, height_px, width_px)
    elif isinstance(tags, _AsapTags) and tags.n_splines:
        notes.append(f"{tags.n_splines} splines of ASAP were read as polygons through their points")
    cells = shapes_to_cells(shapes, height_px, width_px)
    cells.notes += notes
    return cells


def _parse(path: Path) -> "_ImageScopeTags | _AsapTags | _CvatTags":
    parser = expat.ParserCreate()
    handlers = []

    def refuse(*_):
        raise AnnotationError(f"{path}: expected plain XML, found a document type. Export it again.")

    def start(tag: str, attributes: dict[str, str]) -> None:
        if not handlers:
            handlers.append(_handler(path, tag))
        handlers[0].start(tag, attributes)

    parser.StartDoctypeDeclHandler = refuse
    parser.EntityDeclHandler = refuse
    parser.StartElementHandler = start
    parser.EndElementHandler = lambda tag: handlers[0].end(tag)
    try:
        with path.open("rb") as stream:
            parser.ParseFile(stream)
    except (expat.ExpatError, OSError) as error:
        raise AnnotationError(f"{path}: expected XML with outlines, found something else ({error}).") from error
    return handlers[0]


def _handler(path: Path, root: str) -> "_ImageScopeTags | _AsapTags | _CvatTags":
    if root in _ROOTS:
        return _ROOTS[root]()
    known = "Expected XML of ImageScope or HALO (<Annotations>), ASAP (<ASAP_Annotations>) or CVAT (<annotations>)"
    if root == "annotation":
        raise AnnotationError(
            f"{path}: {known}, found Pascal VOC (<annotation>). Its boxes are no outlines of cells: "
            "export polygons or masks."
        )
    raise AnnotationError(f"{path}: {known}, found <{root}>. Export the outlines as GeoJSON or COCO.")


class _AsapTags:
    """Collects the shapes of `<ASAP_Annotations>`; the group of an annotation is its class."""

    def __init__(self) -> None:
        self.shapes: list[Shape] = []
        self.n_splines = 0
        self._points: list[tuple[float, float, float]] = []
        self._group_colors: dict[str, str] = {}

    def start(self, tag: str, attributes: dict[str, str]) -> None:
        """A tag opens."""
        if tag == "Annotation":
            self._open(attributes)
        elif tag == "Coordinate" and self.shapes:
            self._points.append(tuple(number_of(attributes, name) for name in ("Order", "X", "Y")))
        elif tag == "Group":
            self._group_colors[attributes.get("Name", "")] = _hex_color(attributes.get("Color", ""))

    def end(self, tag: str) -> None:
        """A tag closes."""
        if tag == "Annotation" and self.shapes:
            points = sorted(self._points, key=lambda point: point[0])
            self.shapes[-1].corners = [(x, y) for _, x, y in points]
            self._points = []
        elif tag == "ASAP_Annotations":
            for shape in self.shapes:
                shape.color = self._group_colors.get(shape.class_name, shape.color)

    def _open(self, attributes: dict[str, str]) -> None:
        group = attributes.get("PartOfGroup", "").strip()
        kind = attributes.get("Type", "Polygon").strip()
        self.n_splines += kind.lower() == "spline"
        self._points = []
        self.shapes.append(
            Shape(
                f"annotation {attributes.get('Name', len(self.shapes) + 1)}",
                _ASAP_KINDS.get(kind.lower(), f"type {kind}"),
                class_name="" if group == "None" else group,
                color="" if group in ("None", "") else _hex_color(attributes.get("Color", "")),
            )
        )


class _CvatTags:
    """Collects the shapes of `<annotations>` image by image; labels are classes."""

    def __init__(self) -> None:
        self.shapes: list[Shape] = []
        self.images: list[dict[str, str]] = []
        self.by_image: list[list[Shape]] = []

    def start(self, tag: str, attributes: dict[str, str]) -> None:
        """A tag opens."""
        if tag == "image":
            self.images.append(attributes)
            self.by_image.append([])
        elif tag in _CVAT_SHAPES and self.by_image:
            number = len(self.by_image[-1]) + 1
            self.by_image[-1].append(_cvat_shape(tag, attributes, f"{tag} {number}"))

    def end(self, tag: str) -> None:
        """A tag closes."""


#: Tags of CVAT that are shapes. Boxes are those of detectors, no outlines.
_CVAT_SHAPES = ("polygon", "mask", "ellipse", "box", "polyline", "points", "skeleton", "cuboid")
_ASAP_KINDS = {"polygon": "polygon", "spline": "polygon", "rectangle": "rectangle"}
_ROOTS = {"Annotations": _ImageScopeTags, "ASAP_Annotations": _AsapTags, "annotations": _CvatTags}


def _cvat_shape(tag: str, attributes: dict[str, str], name: str) -> Shape:
    shape = Shape(name, tag if tag in ("polygon", "mask", "ellipse") else f"type {tag}")
    shape.class_name = attributes.get("label", "")
    if tag == "polygon":
        shape.corners = [_pair(text) for text in attributes.get("points", "").split(";")]
    elif tag == "ellipse":
        x, y, rx, ry = (number_of(attributes, key) for key in ("cx", "cy", "rx", "ry"))
        shape.corners = [(x - rx, y - ry), (x + rx, y + ry)]
    elif tag == "mask":
        shape.mask = _cvat_mask(attributes)
        shape.kind = "mask" if shape.mask is not None else "damaged mask"
        shape.corners = [(number_of(attributes, "left"), number_of(attributes, "top"))]
    return shape


def _pair(text: str) -> tuple[float, float]:
    try:
        x, y = map(float, text.split(","))
    except ValueError:
        return float("nan"), float("nan")
    return x, y


def _cvat_mask(attributes: dict[str, str]) -> np.ndarray | None:
    """Run lengths of 0 and 1 in turn, along the rows of the box of the mask; None where they are damaged."""
    try:
        height, width, _, _ = (int(float(attributes[key])) for key in ("height", "width", "left", "top"))
        runs = np.array([int(run) for run in attributes["rle"].split(",")], np.int64)
    except (KeyError, ValueError):
        return None
    if height < 1 or width < 1 or (runs < 0).any() or runs.sum() != height * width:
        return None
    return np.repeat(np.arange(len(runs)) % 2 == 1, runs).reshape(height, width)


def _of_image(tags: _CvatTags, path: Path, height_px: int, width_px: int) -> list[Shape]:
    """The shapes of the image that the file belongs to: its only one, or the one of its own name."""
    names = [image.get("name", "") for image in tags.images]
    stems = [PurePosixPath(name.replace("\\", "/")).stem for name in names]
    fitting = [n for n in range(len(names)) if len(names) == 1 or stems[n] == path.stem]
    if len(fitting) != 1:
        raise AnnotationError(
            f"{path}: expected CVAT annotations of this image, found {len(names)} images in the file, "
            f"{len(fitting)} of them named {path.stem}. Export COCO, which names the image of every outline."
        )
    image = tags.images[fitting[0]]
    size = tuple(number_of(image, key) for key in ("height", "width"))
    if all(np.isfinite(size)) and size != (height_px, width_px):
        raise AnnotationError(
            f"{path}: expected annotations for {height_px} x {width_px} px, found {size[0]:.0f} x {size[1]:.0f} px."
        )
    return tags.by_image[fitting[0]]


def _hex_color(text: str) -> str:
    text = text.strip().lower()
    return text if len(text) == 7 and text.startswith("#") else ""
