"""What a label image says about its cells, in a fixed number of figures however many cells there are."""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float64, Int32, UInt32

from organscope.ops.measure import measure_cells
from organscope.ops.pieces import find_fragmented
from organscope.ops.pixel_size import PixelSize, pixel_area_um2

#: Edges of the bins in which cells are counted. Areas: 50 bins a decade, so a quantile is exact to 2.4 %.
AREA_EDGES = 10.0 ** np.linspace(-3, 7, 501)
SHAPE_EDGES = np.linspace(0, 1, 101)
#: A second piece below this share of its cell is a stray pixel or a rag, not half a cell.
DIVIDED_SHARE = 0.1


@dataclass(frozen=True)
class CellFacts:
    """What is known of a label image after it was read.

    Attributes:
        height_px: Of the label image; so is `width_px`.
        n_cells: Distinct values above 0.
        n_touching_border: Cells with a pixel in the outermost row or column.
        covered: Share of the pixels that belong to a cell.
        n_fragmented: Cells in several 8-connected pieces.
        n_divided: Those whose second piece is `DIVIDED_SHARE` of the cell or more: no stray pixels.
        worst_fragmented: The cell with the largest second piece, 0 where none has several pieces.
        worst_second_share: Area of that piece over that of the cell.
        median_area_px: None without cells; so are the other medians.
        areas_px: Cells in each bin of `AREA_EDGES`.
        areas_um2: The same in square micrometres; None where the pixel size is unknown.
        eccentricities: Cells in each bin of `SHAPE_EDGES`; so are `solidities`.
    """

    height_px: int
    width_px: int
    n_cells: int
    n_touching_border: int
    covered: float
    n_fragmented: int
    n_divided: int
    worst_fragmented: int
    worst_second_share: float
    median_area_px: float | None
    median_eccentricity: float | None
    median_solidity: float | None
    areas_px: UInt32[np.ndarray, " bins"]
    areas_um2: UInt32[np.ndarray, " bins"] | None
    eccentricities: UInt32[np.ndarray, " bins"]
    solidities: UInt32[np.ndarray, " bins"]


def describe_cells(labels: Int32[np.ndarray, "y x"], um_per_px: PixelSize | None) -> CellFacts:
    """Measure all cells and count them by size and shape.

    Args:
        labels: 0 for background; each other value is a cell.
        um_per_px: Height and width of a pixel, None where unknown.
    """
    # Shapes are asked for, not intensities: a picture without channels saves reading the real one again.
    cells = measure_cells(labels, np.empty((*labels.shape, 0), np.uint8), um_per_px)
    fragmented = find_fragmented(labels)
    worst = int(fragmented.second_share.argmax()) if fragmented.cell.size else None
    areas = cells["area_px"].astype(np.float64)
    return CellFacts(
        height_px=labels.shape[0],
        width_px=labels.shape[1],
        n_cells=int(cells["id"].size),
        n_touching_border=int(cells["touches_border"].sum()),
        covered=float(areas.sum() / labels.size),
        n_fragmented=int(fragmented.cell.size),
        n_divided=int((fragmented.second_share >= DIVIDED_SHARE).sum()),
        worst_fragmented=0 if worst is None else int(fragmented.cell[worst]),
        worst_second_share=0.0 if worst is None else float(fragmented.second_share[worst]),
        median_area_px=_median(areas),
        median_eccentricity=_median(cells["eccentricity"]),
        median_solidity=_median(cells["solidity"]),
        areas_px=count_in_bins(areas, AREA_EDGES),
        areas_um2=None if um_per_px is None else count_in_bins(areas * pixel_area_um2(um_per_px), AREA_EDGES),
        eccentricities=count_in_bins(cells["eccentricity"], SHAPE_EDGES),
        solidities=count_in_bins(cells["solidity"], SHAPE_EDGES),
    )


def count_in_bins(values: Float64[np.ndarray, " n"], edges: Float64[np.ndarray, " bins+1"]) -> UInt32[np.ndarray, " b"]:
    """How many values lie in each bin; those beyond the edges count in the outermost bins."""
    return np.histogram(np.clip(values, edges[0], edges[-1]), edges)[0].astype(np.uint32)


def _median(values: Float64[np.ndarray, " n"]) -> float | None:
    return float(np.median(values)) if values.size else None
