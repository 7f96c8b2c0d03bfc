"""Cells as small masks, and how they become one label image."""

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
from jaxtyping import Bool, Int32, Int64


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


def join_cells(parts: Sequence[CellMask]) -> CellMask | None:
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


def shared_part(cell: CellMask, other: CellMask) -> tuple[Bool[np.ndarray, "h w"], Bool[np.ndarray, "h w"]] | None:
    """The masks of two cells within the box that both share, as views; None where their boxes are apart."""
    top, left = max(cell.top_px, other.top_px), max(cell.left_px, other.left_px)
    bottom = min(cell.top_px + cell.mask.shape[0], other.top_px + other.mask.shape[0])
    right = min(cell.left_px + cell.mask.shape[1], other.left_px + other.mask.shape[1])
    if bottom <= top or right <= left:
        return None
    return tuple(
        one.mask[top - one.top_px : bottom - one.top_px, left - one.left_px : right - one.left_px]
        for one in (cell, other)
    )


def overlap_px(cell: CellMask, other: CellMask) -> int:
    """Number of pixels that two cells share."""
    shared = shared_part(cell, other)
    return 0 if shared is None else int(np.count_nonzero(shared[0] & shared[1]))
