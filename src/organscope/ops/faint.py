"""Cells that are too faint for the decoder's threshold, beside the others, whose outlines stay as they are.

Lowering the threshold alone would find them too, but every cell would grow beyond its edge and touch its neighbours.
"""

import numpy as np
from jaxtyping import Float32, Int32

from organscope.ops.instances import Decoder, decode_cells

THRESHOLDS = (0.4, 0.3, 0.2, 0.15, 0.1, 0.07, 0.05, 0.03, 0.02, 0.01)
"""At which faint cells are looked for, one after the other: each finds what the ones before had merged with nothing."""


def decode_with_faint(
    maps: Float32[np.ndarray, "y x k"], decoder: Decoder, faint_threshold: float
) -> Int32[np.ndarray, "y x"]:
    """Cells at the decoder's threshold, and at each lower one those that share no pixel with a cell found before.

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
        found = _with_lonely(found, decode_cells(maps, decoder.model_copy(update=lower)))
    return found


def _with_lonely(found: Int32[np.ndarray, "y x"], others: Int32[np.ndarray, "y x"]) -> Int32[np.ndarray, "y x"]:
    """The cells, and those others that share no pixel with any of them, numbered on."""
    alone = np.ones(int(others.max(initial=0)) + 1, dtype=bool)
    alone[others[found > 0]] = False
    alone[0] = False
    number = np.zeros(alone.size, dtype=np.int32)
    number[alone] = int(found.max(initial=0)) + 1 + np.arange(np.count_nonzero(alone), dtype=np.int32)
    return np.where(found > 0, found, number[others])
