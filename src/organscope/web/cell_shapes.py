"""The shape of a cell that an expert drew or changed: its pixels, its outline, and what was measured in them."""

import base64
import json
from dataclasses import dataclass
from typing import Any, Self

import numpy as np
from jaxtyping import Bool, Int32

from organscope.ops.measure import cell_outlines


@dataclass(frozen=True)
class CellShape:
    """The pixels of one cell in the smallest box around them.

    Attributes:
        top: Row of the box in the image.
        left: Column of the box in the image.
        mask: Which pixels of the box belong to the cell; at least one.
        measures: Columns of the table of cells, as `organscope.ops.measure.measure_cells` gives them.
    """

    top: int
    left: int
    mask: Bool[np.ndarray, "h w"]
    measures: dict[str, float]

    @classmethod
    def from_text(cls, text: str) -> Self:
        """The shape of a text that `as_stored` became."""
        stored = json.loads(text)
        height, width = stored["size"]
        bits = np.frombuffer(base64.b64decode(stored["bits"]), np.uint8)
        mask = np.unpackbits(bits, count=height * width).astype(bool).reshape(height, width)
        return cls(stored["top"], stored["left"], mask, stored["measures"])

    def as_stored(self) -> dict[str, Any]:
        """What the database keeps."""
        bits = base64.b64encode(np.packbits(self.mask).tobytes()).decode()
        return {
            "top": self.top, "left": self.left, "size": self.mask.shape, "bits": bits, "measures": self.measures,
        }  # fmt: skip

    def as_data(self) -> dict[str, Any]:
        """What the page draws: the outline and the measures."""
        return {"ring": self.ring().tolist(), "measures": self.measures}

    def ring(self) -> Int32[np.ndarray, "m 2"]:
        """The closed outer outline, x and y in pixels of the image."""
        (ring,) = cell_outlines(self.mask.astype(np.int32))
        return ring + np.array([self.left, self.top], np.int32)

    def paint(self, labels: Int32[np.ndarray, "y x"], value: int, origin_px: tuple[int, int]) -> None:
        """Set the background under the shape to a value, in place; other cells keep their pixels.

        Args:
            labels: The image or a part of it.
            value: Number of the cell.
            origin_px: Row and column of the first pixel of `labels` in the image.
        """
        top, left = self.top - origin_px[0], self.left - origin_px[1]
        rows = slice(max(top, 0), min(top + self.mask.shape[0], labels.shape[0]))
        columns = slice(max(left, 0), min(left + self.mask.shape[1], labels.shape[1]))
        if rows.start >= rows.stop or columns.start >= columns.stop:
            return
        mask = self.mask[rows.start - top : rows.stop - top, columns.start - left : columns.stop - left]
        part = labels[rows, columns]
        part[mask & (part == 0)] = value
