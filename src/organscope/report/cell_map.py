"""A picture of an image on which every cell has the colour of its organ."""

import numpy as np
from jaxtyping import Int32, Int64, Num, UInt8

from organscope.report.overlay import MAX_SIDE_PX, outline_pixels, shrunk_to_bytes

#: Told apart with any colour vision (Okabe and Ito 2008), the most frequent organ first; then one for all others.
COLOURS = ((0, 114, 178), (230, 159, 0), (0, 158, 115), (204, 121, 167), (86, 180, 233), (213, 94, 0))
OTHER = (128, 128, 128)
BACKGROUND = (255, 255, 255)
#: How strongly the tissue is faded to white, and how much of it shows through a cell.
FADED, SHOWN_THROUGH = 0.55, 0.25


def rank_organs(counts: Int64[np.ndarray, " organ"]) -> Int64[np.ndarray, " m"]:
    """The organs with a colour of their own: the most frequent first, at most 6, none without a cell."""
    order = np.argsort(-counts, kind="stable")[: len(COLOURS)]
    return order[counts[order] > 0]


def cell_colours(organ_index: Int64[np.ndarray, " n"], n_organs: int) -> UInt8[np.ndarray, "n+1 3"]:
    """Colour of each label: row 0 for the background, then one row a cell."""
    of_organ = np.full((n_organs, 3), OTHER, np.uint8)
    ranked = rank_organs(np.bincount(organ_index, minlength=n_organs).astype(np.int64))
    of_organ[ranked] = np.array(COLOURS, np.uint8)[: len(ranked)]
    return np.concatenate([np.array([BACKGROUND], np.uint8), of_organ[organ_index]])


def draw_cell_map(
    pixels: Num[np.ndarray, "y x c"],
    labels: Int32[np.ndarray, "y x"],
    colours: UInt8[np.ndarray, "m 3"],
    value_range: tuple[float, float],
    *,
    max_side_px: int = MAX_SIDE_PX // 2,
) -> UInt8[np.ndarray, "v u 3"]:
    """The tissue in faded gray, every cell filled with its colour and edged in white.

    Args:
        pixels: Raw intensities with 1 to 4 channels.
        labels: 0 for background, then 1..n without gaps.
        colours: From `cell_colours`.
        value_range: What black and white mean in this image.
        max_side_px: Longest side of the picture.

    Raises:
        ShapeError: The image has more than 4 channels.
    """
    picture, labels = shrunk_to_bytes(pixels, labels, value_range, max_side_px)
    gray = picture.mean(axis=2, keepdims=True, dtype=np.float32)
    faded = gray * (1 - FADED) + 255 * FADED
    mixed = np.where(labels[:, :, None] > 0, SHOWN_THROUGH * gray + (1 - SHOWN_THROUGH) * colours[labels], faded)
    line, _ = outline_pixels(labels)
    mixed[line] = BACKGROUND
    return np.rint(mixed).astype(np.uint8)
