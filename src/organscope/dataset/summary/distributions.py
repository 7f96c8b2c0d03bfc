"""How cells are distributed, by organ, from the counts that the survey kept of each image."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
from jaxtyping import Float64, Num

from organscope.dataset.survey import Survey
from organscope.dataset.survey.cells import AREA_EDGES, SHAPE_EDGES, CellFacts

UNKNOWN_ORGAN = "(unknown)"
QUANTILES = (0.05, 0.25, 0.5, 0.75, 0.95)


@dataclass(frozen=True)
class Measure:
    """A property of a cell that is counted.

    Attributes:
        name: In tables.
        label: In figures, with its unit.
        field: Of `CellFacts`, the counts in each bin.
        edges: Of the bins.
        logarithmic: Whether bins grow by a factor.
    """

    name: str
    label: str
    field: str
    edges: Float64[np.ndarray, " bins+1"]
    logarithmic: bool = False


AREA_PX = Measure("area_px", "cell area, px", "areas_px", AREA_EDGES, logarithmic=True)
AREA_UM2 = Measure("area_um2", "cell area, µm²", "areas_um2", AREA_EDGES, logarithmic=True)
ECCENTRICITY = Measure("eccentricity", "eccentricity (0 round, 1 a line)", "eccentricities", SHAPE_EDGES)
SOLIDITY = Measure("solidity", "solidity (1 convex)", "solidities", SHAPE_EDGES)


def choose_measures(survey: Survey) -> tuple[Measure, ...]:
    """Areas in square micrometres where every image with cells has a pixel size, else in pixels; and shapes."""
    with_cells = [cells for _, cells in survey.cells() if cells.n_cells]
    known = bool(with_cells) and all(cells.areas_um2 is not None for cells in with_cells)
    return (AREA_UM2 if known else AREA_PX), ECCENTRICITY, SOLIDITY


def count_by_organ(survey: Survey, measure: Measure) -> dict[str, Num[np.ndarray, " bins"]]:
    """Cells in each bin, summed over the images of each organ that has cells, in order of name."""
    counts: dict[str, Num[np.ndarray, " bins"]] = {}
    for sample, cells in survey.cells():
        if cells.n_cells:
            organ = sample.organ or UNKNOWN_ORGAN
            counts[organ] = counts.get(organ, 0) + _counts(cells, measure)
    return dict(sorted(counts.items()))


def quantiles_of(
    counts: Num[np.ndarray, " bins"], measure: Measure, quantiles: Sequence[float] = QUANTILES
) -> Float64[np.ndarray, " q"]:
    """Quantiles of counted values, as if the values of a bin were spread evenly over it."""
    edges = np.log(measure.edges) if measure.logarithmic else measure.edges
    cumulative = np.concatenate([[0.0], np.cumsum(counts) / counts.sum()])
    found = np.interp(quantiles, cumulative, edges)
    return np.exp(found) if measure.logarithmic else found


def long_table(counts: dict[str, dict[str, Num[np.ndarray, " bins"]]], measures: Sequence[Measure]) -> pd.DataFrame:
    """Every count above 0 as one row: measure, organ, edges of the bin, number of cells."""
    rows = [
        (measure.name, organ, measure.edges[place], measure.edges[place + 1], int(found[place]))
        for measure in measures
        for organ, found in counts[measure.name].items()
        for place in np.flatnonzero(found)
    ]
    return pd.DataFrame(rows, columns=["measure", "organ", "from", "to", "n_cells"])


def _counts(cells: CellFacts, measure: Measure) -> Num[np.ndarray, " bins"]:
    return getattr(cells, measure.field).astype(np.int64)
