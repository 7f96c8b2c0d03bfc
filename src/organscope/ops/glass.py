"""Where a slide shows nothing but glass.

Only what is certainly empty counts: a network is spared there, so a cell that was taken for glass would be lost.
"""

import numpy as np
from jaxtyping import Num

BLOCK_PX = 16
"""Side of the blocks, in pixels of full resolution, whose mean colour is judged. A nucleus of 8 px across, half as
bright as glass, darkens a block of which it covers an eighth by 6 %."""

BRIGHT = 0.85
"""Glass is at least this bright in every colour, of the range from black to white."""

EVEN = 0.04
"""The blocks of a region of glass differ by at most this much of the range, in every colour."""

COLOURLESS = 0.05
"""The colours of glass differ by at most this much of that range."""


def is_glass(blocks: Num[np.ndarray, "y x c"], value_range: tuple[float, float]) -> bool:
    """Whether all of a region is glass, or was never scanned.

    A region is glass if its blocks are bright, colourless and alike: only of RGB, because bright gray can be a cell
    under fluorescence. A region of one single value was never scanned, whatever its channels.

    Args:
        blocks: Mean of each block of about `BLOCK_PX` x `BLOCK_PX` pixels.
        value_range: What black and white mean in this image.
    """
    low, high = value_range
    if blocks.min() == blocks.max():
        return True
    if blocks.shape[2] not in (3, 4):
        return False
    colours = (blocks[:, :, :3].astype(np.float32) - low) / (high - low)
    uneven = float((colours.max(axis=(0, 1)) - colours.min(axis=(0, 1))).max())
    if float(colours.min()) < BRIGHT or uneven > EVEN:
        return False
    return float((colours.max(axis=2) - colours.min(axis=2)).max()) <= COLOURLESS
