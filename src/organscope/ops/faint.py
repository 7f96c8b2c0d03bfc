"""Cells that are too faint for the decoder's threshold, beside the others, whose outlines stay as they are.

Lowering the threshold alone would find them too, but every cell would grow beyond its edge and touch its neighbours.
"""

import numpy as np
from jaxtyping import Float32, Int32

from organscope.ops.instances import Decoder, decode_cells


def decode_with_faint(
    maps: Float32[np.ndarray, "y x k"], decoder: Decoder, faint_threshold: float
) -> Int32[np.ndarray, "y x"]:
    """Cells at the decoder's threshold, and those at a lower one that share no pixel with any of them.

    Holes are not filled: whether one encloses a faint cell is not known before all cells are.

    Args:
        maps: As `decode_cells` takes them.
        decoder: Thresholds.
        faint_threshold: Below the decoder's foreground threshold.

    Returns:
        0 for background, then 1..n without gaps, the clear cells before the faint ones. A cell depends on nothing
        but the connected piece of foreground, at the lower threshold, that it lies in.
    """
    clear = decode_cells(maps, decoder.model_copy(update={"fill_holes": False}))
    lower = {"foreground_threshold": faint_threshold, "min_probability": 0.0, "fill_holes": False}
    faint = decode_cells(maps, decoder.model_copy(update=lower))
    alone = np.ones(int(faint.max(initial=0)) + 1, dtype=bool)
    alone[faint[clear > 0]] = False
    alone[0] = False
    number = np.zeros(alone.size, dtype=np.int32)
    number[alone] = int(clear.max(initial=0)) + 1 + np.arange(np.count_nonzero(alone), dtype=np.int32)
    return np.where(clear > 0, clear, number[faint])
