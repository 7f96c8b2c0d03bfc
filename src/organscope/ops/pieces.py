"""Cells that lie in several pieces, which an annotation rarely means."""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Int32, Int64

from organscope.ops.pieces_kernels import count_runs, join_runs


@dataclass(frozen=True)
class Pieces:
    """The 8-connected pieces of the cells of a label image, one entry a piece, in order of cell.

    Attributes:
        cell: Label value that the piece belongs to.
        area_px: Pixels of the piece.
    """

    cell: Int64[np.ndarray, " n"]
    area_px: Int64[np.ndarray, " n"]

    def fragmented(self) -> tuple[Int64[np.ndarray, " m"], Int64[np.ndarray, " m"]]:
        """Cells with more than one piece, and how many pieces each has."""
        cells, n_pieces = np.unique(self.cell, return_counts=True)
        return cells[n_pieces > 1], n_pieces[n_pieces > 1]


def find_pieces(labels: Int32[np.ndarray, "y x"]) -> Pieces:
    """The pieces of all cells, in memory that grows with the outline of the cells, not with the picture.

    Args:
        labels: 0 for background; each other value is a cell. Gaps are allowed.
    """
    labels = np.ascontiguousarray(labels)
    cell, length, root = join_runs(labels, count_runs(labels))
    roots, piece = np.unique(root, return_inverse=True)
    area = np.bincount(piece, weights=length, minlength=roots.size).astype(np.int64)
    order = np.argsort(cell[roots], kind="stable")
    return Pieces(cell[roots][order].astype(np.int64), area[order])
