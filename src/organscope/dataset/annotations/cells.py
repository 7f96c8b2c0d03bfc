"""Cells as small masks, and how they become one label image."""

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
from jaxtyping import Bool, Int32


@dataclass(frozen=True)
class CellMask:
    """The pixels of one cell, as a mask with its place in the image.

    Attributes:
        top_px: Row of the mask's first pixel in the image.
        left_px: Column of the mask's first pixel in the image.
        mask: True inside the cell.
        erases: The region is a hole that is cut out of larger cells.
    """

    top_px: int
    left_px: int
    mask: Bool[np.ndarray, "h w"]
    erases: bool = False


@dataclass
class Cells:
    """What an annotation file says about one image.

    Attributes:
        masks: One a cell, in the order of the file.
        problems: Sentences about parts that could not be used.
    """

    masks: list[CellMask] = field(default_factory=list)
    problems: list[str] = field(default_factory=list)


@dataclass(frozen=True)
class PaintedCells:
    """A label image, and how many cells have no pixel in it.

    Attributes:
        labels: 0 = background, then 1..n without gaps in the order of the cells.
        n_dropped: Cells without a pixel: too thin to hold a pixel centre, outside of the image, or covered.
    """

    labels: Int32[np.ndarray, "y x"]
    n_dropped: int


def paint_cells(cells: Sequence[CellMask], height_px: int, width_px: int) -> PaintedCells:
    """Draw cells into one label image.

    A pixel that several cells claim goes to the smallest of them, and of equally large ones to the later:
    a large outline never hides a small cell that lies in it.
    """
    labels = np.zeros((height_px, width_px), np.int32)
    areas = np.array([np.count_nonzero(cell.mask) for cell in cells], np.int64)
    keeps = np.array([not cell.erases for cell in cells], bool)
    # Of equally large ones a hole comes first, so that a cell that fills it stays.
    for number in np.lexsort((keeps, -areas)):
        cell = cells[number]
        height, width = cell.mask.shape
        part = labels[cell.top_px : cell.top_px + height, cell.left_px : cell.left_px + width]
        part[cell.mask] = 0 if cell.erases else number + 1
    return close_gaps(labels, sum(not cell.erases for cell in cells), len(cells))


def close_gaps(labels: Int32[np.ndarray, "y x"], n_cells: int, highest: int) -> PaintedCells:
    """Renumber labels of 0..`highest` to 1..n in rising order and count which of `n_cells` are missing."""
    present = np.bincount(labels.reshape(-1), minlength=highest + 1) > 0
    present[0] = False
    n_present = int(present.sum())
    number = np.where(present, np.cumsum(present), 0).astype(np.int32)
    return PaintedCells(number[labels], n_cells - n_present)


def crop_to_cell(mask: Bool[np.ndarray, "y x"], top_px: int = 0, left_px: int = 0) -> CellMask | None:
    """Cut a mask to the pixels that are set; None where there is none."""
    rows = np.flatnonzero(mask.any(axis=1))
    columns = np.flatnonzero(mask.any(axis=0))
    if not len(rows):
        return None
    part = mask[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1]
    return CellMask(top_px + int(rows[0]), left_px + int(columns[0]), part)
