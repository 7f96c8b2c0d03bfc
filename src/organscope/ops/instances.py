"""From a network's probability maps to labelled cells.

Everything here is local to one connected piece of foreground, and linear in the number of pixels.
"""

from typing import Literal

import numpy as np
from jaxtyping import Bool, Float32, Int32
from pydantic import BaseModel, ConfigDict, Field
from scipy import ndimage

from organscope.errors import ShapeError
from organscope.ops.flood_kernels import N_LEVELS, flood

_CROSS = ndimage.generate_binary_structure(2, 1)


class Decoder(BaseModel):
    """How the two maps of a network become cells.

    Attributes:
        head: What the second map says. `distance`: height of a pixel within its cell, 0 at the cell's edge
            and 1 at its centre. `boundary`: probability that the pixel lies between touching cells.
        foreground_threshold: A pixel at or above this belongs to a cell.
        seed_threshold: Foreground whose height is at or above this is the core of a cell; each connected
            core grows into one cell. The height is the distance map, or 1 - boundary.
        min_area_px: Smaller cells are removed.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    head: Literal["distance", "boundary"] = "distance"
    foreground_threshold: float = Field(0.5, gt=0, lt=1)
    seed_threshold: float = Field(0.5, gt=0, lt=1)
    min_area_px: int = Field(20, ge=0)


def decode_cells(maps: Float32[np.ndarray, "y x k"], decoder: Decoder) -> Int32[np.ndarray, "y x"]:
    """Split probability maps into labelled cells.

    Cores (connected foreground of great height) flood downhill over the foreground, so that touching cells
    part where the height is lowest. Foreground without a core is a cell of its own.

    Args:
        maps: Foreground probability and the head's second map, both in [0, 1].
        decoder: Thresholds, as measured on held-out pictures.

    Returns:
        0 for background, then 1..n without gaps, in raster order of each cell's first pixel.

    Raises:
        ShapeError: There are not two maps.
    """
    if maps.shape[2] != 2:
        raise ShapeError(f"Expected maps of foreground and {decoder.head}, found {maps.shape[2]} maps.")
    foreground = maps[:, :, 0] >= decoder.foreground_threshold
    height = maps[:, :, 1] if decoder.head == "distance" else 1 - maps[:, :, 1]
    seeds = _seeds(foreground, height >= decoder.seed_threshold)
    levels = np.clip(height * (N_LEVELS - 1), 0, N_LEVELS - 1).astype(np.uint8)
    return _renumber(flood(seeds, levels, foreground), decoder.min_area_px)


def cell_probability(
    labels: Int32[np.ndarray, "y x"], foreground: Float32[np.ndarray, "y x"]
) -> Float32[np.ndarray, " n"]:
    """Mean foreground probability of each cell 1..n, in [0, 1]."""
    inside = np.flatnonzero(labels)
    cell = labels.reshape(-1)[inside]
    area = np.bincount(cell)
    total = np.bincount(cell, weights=foreground.reshape(-1)[inside])
    return (total[1:] / np.maximum(area[1:], 1)).astype(np.float32)


def _seeds(foreground: Bool[np.ndarray, "y x"], core: Bool[np.ndarray, "y x"]) -> Int32[np.ndarray, "y x"]:
    """Number every connected core, and every connected foreground that has none."""
    seeds, n_seeds = ndimage.label(foreground & core, structure=_CROSS, output=np.int32)
    pieces, n_pieces = ndimage.label(foreground, structure=_CROSS, output=np.int32)
    has_core = np.zeros(n_pieces + 1, dtype=bool)
    has_core[pieces[seeds > 0]] = True
    number = np.zeros(n_pieces + 1, dtype=np.int32)
    coreless = np.flatnonzero(~has_core[1:]) + 1
    number[coreless] = n_seeds + 1 + np.arange(coreless.size, dtype=np.int32)
    return np.where(seeds > 0, seeds, number[pieces])


def _renumber(labels: Int32[np.ndarray, "y x"], min_area_px: int) -> Int32[np.ndarray, "y x"]:
    """Drop cells smaller than `min_area_px` and number the others in raster order."""
    inside = np.flatnonzero(labels)
    cell = labels.reshape(-1)[inside]
    area = np.bincount(cell, minlength=1)
    start = np.full(area.size, labels.size, dtype=np.int64)
    np.minimum.at(start, cell, inside)
    kept = np.flatnonzero(area >= max(min_area_px, 1))
    kept = kept[kept > 0]
    number = np.zeros(area.size, dtype=np.int32)
    number[kept[np.argsort(start[kept])]] = np.arange(1, kept.size + 1, dtype=np.int32)
    return number[labels]
