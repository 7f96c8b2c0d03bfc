"""Prediction sets: the organs that cannot be ruled out, with a stated coverage.

Split conformal prediction with the score 1 - p(organ), which gives the smallest sets on average (least ambiguous
set-valued classifiers, "LAC": Sadinle, Lei and Wasserman, J. Am. Stat. Assoc. 114:223, 2019).
"""

import math

import numpy as np
from jaxtyping import Bool, Float, Int
from pydantic import BaseModel, ConfigDict, Field

from organscope.decision.calibration import check_labels
from organscope.errors import ValueRangeError

_COVERAGE = 0.90
_MIN_CLASS_SIZE = 19
"""Fewer images of an organ give it no limit of its own."""


class ConformalSets(BaseModel):
    """Which organs belong to the set of an image: those at least as probable as their limit.

    Attributes:
        coverage: The set holds the true organ for at least this share of images that are exchangeable with the
            calibration images; for organs in `by_organ`, also for this share of their own images.
        n: Calibration images.
        limit: Probability at or above which an organ is in the set.
        by_organ: The same, by number of the class, where an organ has enough images for a limit of its own.
    """

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)

    coverage: float = Field(gt=0, lt=1)
    n: int = Field(ge=1)
    limit: float
    by_organ: dict[int, float] = Field(default_factory=dict)

    def limits(self, n_classes: int) -> Float[np.ndarray, " c"]:
        """The limit that counts for each class: the lower of the common one and its own.

        An organ that either rule puts into the set is in it, so that both promises hold.
        """
        limits = np.full(n_classes, self.limit)
        for number, own in self.by_organ.items():
            limits[number] = min(self.limit, own)
        return limits


def fit_conformal(
    probabilities: Float[np.ndarray, "n c"], labels: Int[np.ndarray, " m"], *, coverage: float = _COVERAGE
) -> ConformalSets:
    """Find the limits on held-out images.

    The common limit covers on average over organs ("marginal"); an organ with at least 19 images gets its own too
    ("class-conditional", Vovk, Asian Conference on Machine Learning 2012).

    Args:
        probabilities: One row an image, as the bundle gives them; of images that were not trained on.
        labels: True class of each.

    Raises:
        ShapeError: There is no row, or not one label a row.
        ValueRangeError: A label is no class, or the coverage is not in (0, 1).
    """
    check_labels(probabilities, labels)
    if not 0 < coverage < 1:
        raise ValueRangeError(f"Expected a coverage between 0 and 1, found {coverage}. Ask for 0.9, for example.")
    of_truth = probabilities[np.arange(labels.size), labels].astype(np.float64)
    sizes = np.bincount(labels, minlength=probabilities.shape[1])
    return ConformalSets(
        coverage=coverage,
        n=labels.size,
        limit=_limit(of_truth, coverage),
        by_organ={
            int(number): _limit(of_truth[labels == number], coverage)
            for number in np.flatnonzero(sizes >= _MIN_CLASS_SIZE)
        },
    )


def in_sets(probabilities: Float[np.ndarray, "n c"], sets: ConformalSets) -> Bool[np.ndarray, "n c"]:
    """Which organs are in the set of each image; the most probable one always is, so that no set is empty."""
    inside = probabilities >= sets.limits(probabilities.shape[1])
    inside[np.arange(len(probabilities)), probabilities.argmax(axis=1)] = True
    return inside


def _limit(of_truth: Float[np.ndarray, " n"], coverage: float) -> float:
    """The probability that the ceil((n + 1) coverage)-th largest of n true organs reaches; 0 where n is too small.

    Lei, G'Sell, Rinaldo, Tibshirani and Wasserman, J. Am. Stat. Assoc. 113:1094 (2018), algorithm 2: one more than n,
    because the next image takes a place among them too.
    """
    # Rounded, because (9 + 1) * .9 must be 9 and not the next number above.
    rank = math.ceil(round((of_truth.size + 1) * coverage, 9))
    return float(np.sort(of_truth)[of_truth.size - rank]) if rank <= of_truth.size else 0.0
