"""Instances (cells) from the maps of a network, with low-confidence ones kept apart.

Everything here is local to one connected piece of foreground, and linear in the number of pixels.

Cells that are too faint for the decoder's threshold, beside the others, whose outlines stay as they are.

Lowering the threshold alone would find them too, but every cell would grow beyond its edge and touch its neighbors.
"""

from typing import Literal

import numpy as np
from jaxtyping import Bool, Float32, Int32
from pydantic import BaseModel, ConfigDict, Field
from scipy import ndimage

from organscope.errors import ShapeError
from organscope.ops._kernels.flow import follow_flow
from organscope.ops._kernels.labels import fill_holes, renumber, sum_cells
from organscope.ops._kernels.watershed import N_LEVELS, find_peaks, flood, grow_cores, smooth_inside

_CROSS = ndimage.generate_binary_structure(2, 1)

Head = Literal["distance", "boundary", "flow"]

HEAD_MAPS: dict[Head, tuple[str, ...]] = {
    "distance": ("foreground", "distance"),
    "boundary": ("foreground", "boundary"),
    "flow": ("foreground", "distance", "flow_y", "flow_x"),
}
"""What the maps of a network with this head are, in order."""


class Decoder(BaseModel):
    """How the maps of a network become cells.

    Attributes:
        head: What the maps beside the foreground say. `distance`: height of a pixel within its cell, 0 at the
            cell's edge and 1 at its center. `boundary`: probability that the pixel lies between touching cells.
            `flow`: the distance, and the direction to the cell's center as two components from 0 (up, left)
            over 0.5 to 1 (down, right), in the manner of Cellpose (Stringer et al. 2021).
        foreground_threshold: A pixel at or above this belongs to a cell.
        seed_threshold: Foreground whose height is at or above this is the core of a cell; each connected
            core grows into one cell. The height is the distance map, or 1 - boundary.
        seed_prominence: Where given, it takes the place of `seed_threshold`: a peak of the height is the core of
            a cell if one must go down from it by at least this much to reach a higher peak (the h-maxima of
            Soille 2003, section 6.3), whatever its own height.
        smoothing: How often the height is averaged over each foreground pixel and its four neighbors before.
        fill_holes: Give background that one cell encloses to that cell.
        min_area_px: Smaller cells are removed.
        min_probability: Cells whose mean foreground probability is smaller are removed.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    head: Head = "distance"
    foreground_threshold: float = Field(0.5, gt=0, lt=1)
    seed_threshold: float = Field(0.5, gt=0, lt=1)
    seed_prominence: float | None = Field(None, gt=0, lt=1)
    smoothing: int = Field(0, ge=0, le=16)
    fill_holes: bool = False
    min_area_px: int = Field(20, ge=0)
    min_probability: float = Field(0.0, ge=0, lt=1)


def decode_cells(maps: Float32[np.ndarray, "y x k"], decoder: Decoder) -> Int32[np.ndarray, "y x"]:
    """Split probability maps into labeled cells.

    Cores (connected foreground of great height, or prominent peaks) grow into cells: with a flow every pixel goes
    where it points to, and what is left, or everything without a flow, is flooded downhill, so that touching
    cells part where the height is lowest. Foreground without a core is a cell of its own.

    Args:
        maps: Foreground probability and the head's maps (`HEAD_MAPS`), in [0, 1]. A negative foreground is
            neither background nor part of a cell: a hole around it is not filled.
        decoder: Thresholds, as measured on held-out images.

    Returns:
        0 for background, then 1..n without gaps, in raster order of each cell's first pixel.

    Raises:
        ShapeError: The number of maps is not that of the head.
    """
    names = HEAD_MAPS[decoder.head]
    if maps.shape[2] != len(names):
        raise ShapeError(f"Expected maps of {', '.join(names)}, found {maps.shape[2]} maps. Export the bundle again.")
    foreground = maps[:, :, 0] >= decoder.foreground_threshold
    height = _height(maps, foreground, decoder)
    levels = np.clip(height * (N_LEVELS - 1), 0, N_LEVELS - 1).astype(np.uint8)
    if decoder.seed_prominence is None:
        cores = _seeds(foreground, height >= decoder.seed_threshold)
    else:
        least = max(1, round(decoder.seed_prominence * (N_LEVELS - 1)))
        cores = grow_cores(levels, foreground, find_peaks(levels, foreground, least), least)
    if decoder.head == "flow":
        cores = follow_flow(cores, maps[:, :, 2], maps[:, :, 3], foreground)
    labels = flood(cores, levels, foreground)
    if decoder.fill_holes:
        fill_holes(labels, maps[:, :, 0] < 0)
    _keep_cells(labels, maps[:, :, 0], decoder)
    return labels


def cell_probability(
    labels: Int32[np.ndarray, "y x"], foreground: Float32[np.ndarray, "y x"]
) -> Float32[np.ndarray, " n"]:
    """Mean foreground probability of each cell 1..n, in [0, 1]."""
    area, total, _ = sum_cells(labels, foreground)
    return (total[1:] / np.maximum(area[1:], 1)).astype(np.float32)


def decoder_in_words(decoder: Decoder) -> str:
    """One line for a person: the head and every threshold that is in force."""
    seeds = f"seeds {decoder.seed_threshold:g}"
    if decoder.seed_prominence is not None:
        seeds = f"seeds {decoder.seed_prominence:g} above their surroundings"
    parts = [
        decoder.head,
        f"foreground {decoder.foreground_threshold:g}",
        seeds,
        *([f"smoothed {decoder.smoothing} times"] if decoder.smoothing else []),
        *(["holes filled"] if decoder.fill_holes else []),
        f"at least {decoder.min_area_px} px",
        *([f"and probability {decoder.min_probability:g}"] if decoder.min_probability else []),
    ]
    return ", ".join(parts)


def _height(
    maps: Float32[np.ndarray, "y x k"], foreground: Bool[np.ndarray, "y x"], decoder: Decoder
) -> Float32[np.ndarray, "y x"]:
    height = 1 - maps[:, :, 1] if decoder.head == "boundary" else maps[:, :, 1]
    if decoder.smoothing == 0:
        return height
    return smooth_inside(np.ascontiguousarray(height), foreground, decoder.smoothing)


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


def _keep_cells(labels: Int32[np.ndarray, "y x"], foreground: Float32[np.ndarray, "y x"], decoder: Decoder) -> None:
    """Drop cells that are too small or too unlikely and number the others in raster order, in place."""
    area, total, first = sum_cells(labels, foreground)
    likely = total / np.maximum(area, 1) >= decoder.min_probability
    kept = np.flatnonzero((area >= max(decoder.min_area_px, 1)) & likely)
    number = np.zeros(area.size, dtype=np.int32)
    number[kept[np.argsort(first[kept])]] = np.arange(1, kept.size + 1, dtype=np.int32)
    renumber(labels, number)


THRESHOLDS = (0.4, 0.3, 0.2, 0.15, 0.1, 0.07, 0.05, 0.03, 0.02, 0.01)
"""At which faint cells are looked for, one after the other: each finds what the ones before had merged with nothing."""

_MOST_SHARED = 0.25
"""Part of a faint cell that may lie in cells found before: one that leans on a clear cell takes some of its pixels."""

_MOST_COVERED = 0.1
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
    distinct = n_taken <= _MOST_SHARED * area
    distinct[0] = False
    both = (found > 0) & distinct[others]
    pairs, n_shared = np.unique(others[both].astype(np.int64) * n_found + found[both], return_counts=True)
    covers = n_shared > _MOST_COVERED * np.bincount(found.ravel())[pairs % n_found]
    distinct[pairs[covers] // n_found] = False
    number = np.zeros(area.size, dtype=np.int32)
    number[distinct] = n_found + np.arange(np.count_nonzero(distinct), dtype=np.int32)
    return np.where(found > 0, found, number[others])
