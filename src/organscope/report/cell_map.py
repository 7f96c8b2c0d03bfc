"""A picture of an image on which every cell has the colour of its organ."""

from pathlib import Path

import numpy as np
from jaxtyping import Int32, Int64, UInt8
from PIL import Image as Picture

from organscope.report.overlay import outline_pixels

MAX_SIDE_PX = 2048
#: Told apart with any colour vision (Okabe and Ito 2008), the most frequent organ first; then one for all others.
COLOURS = ((0, 114, 178), (230, 159, 0), (0, 158, 115), (204, 121, 167), (86, 180, 233), (213, 94, 0))
OTHER = (128, 128, 128)
EDGE = (255, 255, 255)
#: How strongly the tissue is faded to white, and how much of it shows through a cell.
FADED, SHOWN_THROUGH = 0.55, 0.25
#: Levels of gray that tissue and cells have in the picture: few, so that it is written fast and small.
TISSUE_LEVELS, CELL_LEVELS = 32, 8


def rank_organs(counts: Int64[np.ndarray, " organ"]) -> Int64[np.ndarray, " m"]:
    """The organs with a colour of their own: the most frequent first, at most 6, none without a cell."""
    order = np.argsort(-counts, kind="stable")[: len(COLOURS)]
    return order[counts[order] > 0]


def cell_colours(organ_index: Int64[np.ndarray, " n"], n_organs: int) -> UInt8[np.ndarray, " n"]:
    """Which of `COLOURS` each cell has; `len(COLOURS)` is `OTHER`."""
    of_organ = np.full(n_organs, len(COLOURS), np.uint8)
    ranked = rank_organs(np.bincount(organ_index, minlength=n_organs).astype(np.int64))
    of_organ[ranked] = np.arange(len(ranked))
    return of_organ[organ_index]


def draw_cell_map(
    picture: UInt8[np.ndarray, "y x 3"],
    labels: Int32[np.ndarray, "y x"],
    colours: UInt8[np.ndarray, " n"],
    *,
    max_side_px: int = MAX_SIDE_PX,
) -> Picture.Image:
    """The tissue in faded gray, every cell filled with its colour and edged in white.

    Args:
        picture: In its display range, see `overlay.shrunk_to_bytes`.
        labels: 0 for background, then 1..n.
        colours: Of the cells 1..n, from `cell_colours`.
        max_side_px: About the longest side of the result; a larger picture is thinned by a whole number.

    Returns:
        A picture with a palette.
    """
    step = -(-max(labels.shape) // max_side_px)
    picture, labels = np.ascontiguousarray(picture[::step, ::step]), labels[::step, ::step]
    gray = np.asarray(Picture.fromarray(picture).convert("L"))
    first_entry = TISSUE_LEVELS + CELL_LEVELS * np.concatenate([[0], colours]).astype(np.int64)
    entries = gray // (256 // TISSUE_LEVELS)
    cell = labels > 0
    entries[cell] = first_entry[labels[cell]] + gray[cell] // (256 // CELL_LEVELS)
    palette = _palette()
    line, _ = outline_pixels(labels)
    entries[line] = len(palette) - 1
    drawn = Picture.fromarray(entries)
    drawn.putpalette(palette.tobytes())
    return drawn


def write_cell_map(path: Path, drawn: Picture.Image) -> None:
    """Write the picture as PNG, lightly compressed."""
    drawn.save(path, format="PNG", compress_level=3)


def _palette() -> UInt8[np.ndarray, "entry 3"]:
    """Shades of the tissue, shades of every colour, the edge."""
    tissue = (np.arange(TISSUE_LEVELS) + 0.5) * 256 / TISSUE_LEVELS
    within = (np.arange(CELL_LEVELS) + 0.5) * 256 / CELL_LEVELS
    filled = [(1 - SHOWN_THROUGH) * np.array(colour) + SHOWN_THROUGH * within[:, None] for colour in (*COLOURS, OTHER)]
    faded = np.repeat((1 - FADED) * tissue[:, None] + FADED * 255, 3, axis=1)
    return np.rint(np.concatenate([faded, *filled, [EDGE]])).astype(np.uint8)
