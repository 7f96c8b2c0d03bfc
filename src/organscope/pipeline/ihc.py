"""Immunohistochemistry with DAB: which cells are positive, how strongly, and how far shares are to be trusted.

Hematoxylin and DAB are separated (`organscope.ops.stains.H_DAB`). A cell is graded by the mean optical density of DAB
in its nucleus, or in the ring around it: weak (1+) from the threshold on, moderate (2+) from twice, strong (3+) from
three times the threshold. The H-score is the sum of the percentages of cells, each times its grade: 0 to 300 (McCarty
et al., Arch. Pathol. Lab. Med. 109:716, 1985).

Intervals are 95 % bootstraps over fields of 256 px, because neighbors resemble one another; over single cells where
cells lie in fewer than 10 fields. They tell of the sampling of this image, not of the choice of the threshold.

Nothing checks that there is DAB at all: on H&E, nuclei without any count as positive.
"""

from dataclasses import dataclass
from typing import Literal

import numpy as np
import pandas as pd
from jaxtyping import Float, Float64, Int32, Int64

from organscope.errors import InputError, UsageError
from organscope.evaluation.statistics import bootstrap_ratio
from organscope.io import Image
from organscope.io.image import MAX_HELD_PX
from organscope.ops.pixel_size import PixelSize
from organscope.ops.stains import H_DAB, measure_stains

DAB_THRESHOLD = 0.2
"""Optical density; QuPath's default for 1+."""

_FIELD_PX = 256
_MIN_FIELDS = 10
_N_GRADES = 4
_COLUMNS = (
    "image", "dab_threshold", "dab_in", "n_cells", "n_negative", "n_weak", "n_moderate", "n_strong", "positive_share",
    "positive_low", "positive_high", "h_score", "h_score_low", "h_score_high", "intervals_over",
)  # fmt: skip


@dataclass(frozen=True)
class DabSettings:
    """What makes a cell positive.

    Attributes:
        threshold: Mean optical density of DAB from which a cell is weakly positive.
        place: Where it is measured: nuclear markers in the nucleus, others in the ring around it.
    """

    threshold: float = DAB_THRESHOLD
    place: Literal["nucleus", "ring"] = "nucleus"

    def __post_init__(self) -> None:
        if not 0 < self.threshold < 1:
            raise UsageError(f"Expected a threshold of optical density between 0 and 1, found {self.threshold}.")
        if self.place not in ("nucleus", "ring"):
            raise UsageError(f"Expected DAB to be measured in nucleus or ring, found {self.place!r}.")


def dab_settings(threshold: float | None, place: str | None) -> DabSettings | None:
    """What a person asked for; None where neither was given.

    Raises:
        UsageError: The threshold or the place is none.
    """
    if threshold is None and place is None:
        return None
    return DabSettings(DAB_THRESHOLD if threshold is None else threshold, place or "nucleus")


@dataclass(frozen=True)
class DabCounts:
    """Positive cells of one image.

    Attributes:
        settings: What made them positive.
        n_cells: Of each grade: negative, weak, moderate, strong.
        positive: 95 % interval of the share of positive cells.
        h_score: 95 % interval of the H-score.
        intervals_over: What was drawn: `fields` or `cells`.
    """

    settings: DabSettings
    n_cells: tuple[int, int, int, int]
    positive: tuple[float, float]
    h_score: tuple[float, float]
    intervals_over: Literal["fields", "cells"]

    def row(self) -> dict[str, str | int | float]:
        """As tables, JSON and report hold it; not-a-number without a cell."""
        total = sum(self.n_cells)
        share = sum(self.n_cells[1:]) / total if total else float("nan")
        score = 100 * sum(grade * n for grade, n in enumerate(self.n_cells)) / total if total else float("nan")
        values = (self.settings.threshold, self.settings.place, total, *self.n_cells, share, *self.positive, score)
        return dict(zip(_COLUMNS[1:], (*values, *self.h_score, self.intervals_over), strict=True))


def measure_dab(
    table: pd.DataFrame,
    image: Image,
    labels: Int32[np.ndarray, "y x"],
    um_per_px: PixelSize | None,
    settings: DabSettings,
) -> tuple[pd.DataFrame, DabCounts]:
    """The table of cells with `dab_od` and `dab_grade` (0 to 3), and the positive cells counted.

    Raises:
        InputError: The image has no colors, or is too large to be held.
    """
    if image.height_px * image.width_px > MAX_HELD_PX:
        raise InputError(
            f"Expected an image of at most {MAX_HELD_PX / 1e6:.0f} megapixels to count positive cells in, found "
            f"{image.height_px * image.width_px / 1e6:,.0f}. Crop it, or leave --dab-threshold out."
        )
    pixels = np.ascontiguousarray(image.visible(image.read_whole()))
    if pixels.ndim != 3 or pixels.shape[2] != 3:
        raise InputError(f"Expected a color image to separate DAB in, found one channel in {image.path}.")
    found = measure_stains(labels, pixels, H_DAB, white=float(image.value_range[1]), um_per_px=um_per_px)
    density = found[f"dab_od_{settings.place}"]
    centers = table[["centroid_y_px", "centroid_x_px"]].to_numpy()
    grades = dab_grades(density, settings.threshold)
    return table.assign(dab_od=density, dab_grade=grades), count_dab(grades, centers, settings)


def dab_grades(density: Float[np.ndarray, " n"], threshold: float) -> Int64[np.ndarray, " n"]:
    """0 to 3; a cell without a ring is negative."""
    return np.digitize(np.nan_to_num(density, nan=0.0), threshold * np.arange(1, _N_GRADES))


def count_dab(grades: Int64[np.ndarray, " n"], centers: Float64[np.ndarray, "n 2"], settings: DabSettings) -> DabCounts:
    """Count cells by grade, with intervals; see the module.

    Args:
        grades: 0 to 3.
        centers: Row and column of each cell in pixels.
        settings: What made them positive.
    """
    counts = tuple(np.bincount(grades, minlength=_N_GRADES).tolist())
    if not len(grades):
        nothing = (float("nan"), float("nan"))
        return DabCounts(settings, counts, nothing, nothing, "cells")
    _, field = np.unique((centers // _FIELD_PX).astype(np.int64), axis=0, return_inverse=True)
    over_fields = int(field.max()) + 1 >= _MIN_FIELDS
    unit = field.ravel() if over_fields else np.arange(len(grades))
    cells = np.bincount(unit).astype(float)
    intervals = (
        bootstrap_ratio(np.bincount(unit, weights=values), cells, np.arange(len(cells)))
        for values in ((grades > 0).astype(float), 100.0 * grades)
    )
    return DabCounts(settings, counts, *intervals, "fields" if over_fields else "cells")


def dab_table(rows: list[dict]) -> pd.DataFrame:
    """The rows of all images of a run, as `ihc.csv` holds them."""
    return pd.DataFrame(rows, columns=list(_COLUMNS))
