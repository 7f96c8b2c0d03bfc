"""ImageScope XML, and HALO's files of the same root: regions with vertices in level-0 pixels."""

from organscope.dataset.annotations.shapes import Shape, number_of

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


class ImageScopeTags:
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
