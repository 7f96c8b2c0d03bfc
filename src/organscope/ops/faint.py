"""Cells that are too faint for the decoder's threshold, beside the others, whose outlines stay as they are.

Lowering the threshold alone would find them too, but every cell would grow beyond its edge and touch its neighbours.
"""

import numpy as np
from jaxtyping import Float32, Int32

from organscope.ops.instances import Decoder, decode_cells
from organscope.ops.label_kernels import sum_cells

THRESHOLDS = (0.4, 0.3, 0.2, 0.15, 0.1, 0.07, 0.05, 0.03, 0.02, 0.01)
"""At which faint cells are looked for, one after the other: each finds what the ones before had merged with nothing."""

MOST_SHARED = 0.25
"""Part of a faint cell that may lie in cells found before: one that leans on a clear cell takes some of its pixels."""

MOST_COVERED = 0.1
"""Part of a cell found before that a faint one may take: the pale surroundings of a small clear cell take all of it."""


def decode_with_faint(
    maps: Float32[np.ndarray, "y x k"], decoder: Decoder, faint_threshold: float
) -> Int32[np.ndarray, "y x"]:
    """Cells at the decoder's threshold, and at each lower one those that are hardly part of a cell found before.

    Of the faint ones even cells of half the decoder's smallest area are kept, and of any probability. The lower
    `faint_threshold` is, the more cells there are; none that a higher one gives is lost. Holes are not filled:
    whether one encloses a faint cell is not known before all cells are.

    Args:
        maps: As `decode_cells` takes them.
        decoder: Thresholds.
        faint_threshold: The lowest threshold, below the decoder's own; those of `THRESHOLDS` between are used too.

    Returns:
        0 for background, then 1..n without gaps, the clear cells before the faint ones. A cell depends on nothing
        but the connected piece of foreground, at the lowest threshold, that it lies in.
    """
    found = decode_cells(maps, decoder.model_copy(update={"fill_holes": False}))
    between = [t for t in THRESHOLDS if faint_threshold < t < decoder.foreground_threshold]
    for threshold in (*between, faint_threshold):
        lower = {
            "foreground_threshold": threshold,
            "min_area_px": decoder.min_area_px // 2,
            "min_probability": 0.0,
            "fill_holes": False,
        }
        found = _with_distinct(found, decode_cells(maps, decoder.model_copy(update=lower)))
    return found


def _with_distinct(found: Int32[np.ndarray, "y x"], others: Int32[np.ndarray, "y x"]) -> Int32[np.ndarray, "y x"]:
    """The cells, and those others that are hardly theirs, numbered on; pixels of both stay with the cells."""
    n_found = int(found.max(initial=0)) + 1
    area, n_taken, _ = sum_cells(others, found > 0)
    distinct = n_taken <= MOST_SHARED * area
    distinct[0] = False
    both = (found > 0) & distinct[others]
    pairs, n_shared = np.unique(others[both].astype(np.int64) * n_found + found[both], return_counts=True)
    covers = n_shared > MOST_COVERED * np.bincount(found.ravel())[pairs % n_found]
    distinct[pairs[covers] // n_found] = False
    number = np.zeros(area.size, dtype=np.int32)
    number[distinct] = n_found + np.arange(np.count_nonzero(distinct), dtype=np.int32)
    return np.where(found > 0, found, number[others])
