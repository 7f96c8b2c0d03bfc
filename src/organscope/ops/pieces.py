"""Cells that lie in several pieces, which an annotation rarely means."""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float64, Int32, Int64

from organscope.ops.pieces_kernels import count_runs, join_runs


@dataclass(frozen=True)
class Fragmented:
    """The cells of a label image that lie in several 8-connected pieces, in order of label.

    Attributes:
        cell: Label values.
        n_pieces: How many pieces each has, at least 2.
        second_share: Area of the second-largest piece over that of the cell, in (0, 0.5].
    """

    cell: Int64[np.ndarray, " n"]
    n_pieces: Int64[np.ndarray, " n"]
    second_share: Float64[np.ndarray, " n"]


def find_fragmented(labels: Int32[np.ndarray, "y x"]) -> Fragmented:
    """The cells in several pieces, in memory that grows with the outline of all cells, not with the picture.

    Args:
        labels: 0 for background; each other value is a cell. Gaps are allowed.
    """
    cell, area = find_pieces(labels)
    cells, first, n_pieces = np.unique(cell, return_index=True, return_counts=True)
    total = np.add.reduceat(area, first) if cells.size else area
    several = n_pieces > 1
    second = area[first[several] + 1] / total[several]
    return Fragmented(cells[several], n_pieces[several], second)


def find_pieces(labels: Int32[np.ndarray, "y x"]) -> tuple[Int64[np.ndarray, " n"], Int64[np.ndarray, " n"]]:
    """Label and area (px) of every 8-connected piece, in order of label, then largest first."""
    labels = np.ascontiguousarray(labels)
    cell, length, root = join_runs(labels, count_runs(labels))
    roots, piece = np.unique(root, return_inverse=True)
    area = np.bincount(piece, weights=length, minlength=roots.size).astype(np.int64)
    cell = cell[roots].astype(np.int64)
    order = np.lexsort((-area, cell))
    return cell[order], area[order]
