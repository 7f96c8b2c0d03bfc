"""Risk control: guarantees of recall with exact binomial limits.

An image is flagged as the positive organ where its probability is at or above a threshold. The contract says: with
confidence 1 - delta over the draw of the calibration images, the recall of that rule is at least the promised
level, for images that are exchangeable with the calibration images.

The threshold comes from a fixed-sequence test (Learn then Test: Angelopoulos, Bates, Candes, Jordan and Lei, Ann.
Appl. Stat. 19:1641, 2025, section 3): thresholds are tried from 0 upwards, each by the exact binomial test of
"recall is below the level", and the last one before the first that the test does not reject is taken. Recall falls
with the threshold, so no correction for trying many is needed. As the p-value only depends on how many positives are
missed, that threshold is an order statistic of the positives' probabilities, found here without a grid. It is what
MAPIE's `BinaryClassificationController(risk="recall", fwer_method="fixed_sequence")` finds on an ever finer grid.

Exact intervals of a share, where images are independent.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial

import numpy as np
from jaxtyping import Float, Int
from pydantic import BaseModel, ConfigDict, Field, model_validator
from scipy.special import bdtr, betaincinv

from organscope.decision.costs import organ_number
from organscope.errors import ShapeError, ValueRangeError


def share_interval(n_hits: int, n: int, *, level: float = 0.95) -> tuple[float, float]:
    """Interval of a binomial share (Clopper and Pearson, Biometrika 26:404, 1934); 0 to 1 where n is 0.

    Raises:
        ValueRangeError: More hits than trials, or fewer than none.
    """
    if not 0 <= n_hits <= n:
        raise ValueRangeError(f"Expected between 0 and {n} hits, found {n_hits}.")
    tail = (1 - level) / 2
    low = float(betaincinv(n_hits, n - n_hits + 1, tail)) if n_hits > 0 else 0.0
    high = float(betaincinv(n_hits + 1, n - n_hits, 1 - tail)) if n_hits < n else 1.0
    return low, high


CONFIDENCE = 0.90
DEFAULT_RECALL = 0.95
_LEVELS = (0.5, 0.6, 0.7, 0.75, *(round(0.01 * percent, 2) for percent in range(80, 100)))
"""Recall levels that a contract is computed for; what is asked for is rounded up to one of them."""

_FINE_FROM = 0.99


class OrganGuarantees(BaseModel):
    """What can be promised for one organ; the tuples run over the promised levels.

    Attributes:
        organ: Name of the class.
        n_positive: Calibration images of it.
        n_negative: Calibration images of other organs.
        levels: Recall promised, rising; the last one is the highest that `n_positive` allows. Empty without any
            calibration image of the organ.
        thresholds: Probability at or above which an image is flagged.
        n_missed: Calibration images of the organ that are not flagged.
        n_false: Calibration images of other organs that are flagged.
    """

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)

    organ: str
    n_positive: int = Field(ge=0)
    n_negative: int = Field(ge=0)
    levels: tuple[float, ...]
    thresholds: tuple[float, ...]
    n_missed: tuple[int, ...]
    n_false: tuple[int, ...]

    @model_validator(mode="after")
    def _check_lengths(self) -> "OrganGuarantees":
        if len({len(self.levels), len(self.thresholds), len(self.n_missed), len(self.n_false)}) > 1:
            raise ValueError("levels, thresholds, n_missed and n_false must be equally many")
        if list(self.levels) != sorted(self.levels):
            raise ValueError("levels must rise")
        return self


class RecallGuaranteeTable(BaseModel):
    """The contracts of all organs.

    Attributes:
        confidence: With which each promise is kept, for one organ and one level at a time.
        organs: One entry a class, in the order of the classes.
    """

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)

    confidence: float = Field(gt=0, lt=1)
    organs: tuple[OrganGuarantees, ...]


@dataclass(frozen=True)
class RecallGuarantee:
    """What is promised for one organ when a certain recall is asked for.

    Attributes:
        organ: The positive organ.
        asked: Recall that was asked for.
        level: Recall that is promised; 0 where none can be.
        confidence: Of the promise.
        threshold: Probability at or above which an image is flagged; 0, so that all are, where nothing can be
            promised.
        n_positive: Calibration images of the organ, of which `n_missed` are not flagged.
        n_missed: See `n_positive`.
        n_negative: Calibration images of other organs, of which `n_false` are flagged.
        n_false: See `n_negative`.
    """

    organ: str
    asked: float
    level: float
    confidence: float
    threshold: float
    n_positive: int
    n_missed: int
    n_negative: int
    n_false: int

    @property
    def kept(self) -> bool:
        """Whether what was asked for is promised, and not less."""
        return self.level >= self.asked

    @property
    def n_needed(self) -> int:
        """Calibration images of the organ without which `asked` cannot be promised."""
        return positives_needed(self.asked, self.confidence)

    @property
    def false_alarm_rate(self) -> float:
        """Share of the calibration images of other organs that are flagged; not-a-number without any."""
        return self.n_false / self.n_negative if self.n_negative else math.nan

    @property
    def false_alarm_interval(self) -> tuple[float, float]:
        """95 % interval of that share, exact where images are independent."""
        return share_interval(self.n_false, self.n_negative)


def positives_needed(level: float, confidence: float = CONFIDENCE) -> int:
    """Fewest positives with which a recall can be promised: 45 for .95 and 22 for .90, at confidence .90.

    With n positives, none of them missed, the p-value is level ** n; it must not exceed 1 - confidence.

    Raises:
        ValueRangeError: The level is not in (0, 1), or the confidence is not.
    """
    _check_level(level)
    if not 0 < confidence < 1:
        raise ValueRangeError(f"Expected a confidence between 0 and 1, found {confidence}. Ask for 0.9, for example.")
    n = max(1, math.floor(math.log1p(-confidence) / math.log(level)))
    return n if allowed_misses(n, level, confidence) >= 0 else n + 1


def highest_level(n_positive: int, confidence: float = CONFIDENCE) -> float:
    """The highest recall that so many positives allow to promise; 0 without any.

    Rounded down, to whole percents, from 99 % on to tenths.
    """
    if n_positive == 0:
        return 0.0
    highest = (1 - confidence) ** (1 / n_positive)
    steps = 1000 if highest >= _FINE_FROM else 100
    # A level that is a whole percent must not be lost to the last binary place.
    return math.floor(highest * steps + 1e-9) / steps


def level_of_misses(n_missed: int, n_positive: int, confidence: float = CONFIDENCE) -> float:
    """The recall that is promised where so many of the positives are missed: an exact lower confidence limit.

    Clopper and Pearson, Biometrika 26:404 (1934), one-sided.
    """
    if n_missed >= n_positive:
        return 0.0
    return float(1 - betaincinv(n_missed + 1, n_positive - n_missed, confidence))


def allowed_misses(n_positive: int, level: float, confidence: float = CONFIDENCE) -> int:
    """Most positives that may be missed with the level still promised; -1 where not even none may be.

    The largest k whose binomial test rejects "recall is below the level": P(at most k misses) <= 1 - confidence.

    Raises:
        ValueRangeError: The level is not in (0, 1).
    """
    _check_level(level)
    misses = np.arange(n_positive, dtype=np.float64)
    # Rounding must not cost the boundary case: .1 ** (1 / n) ** n may exceed .1 in the last place.
    passes = bdtr(misses, n_positive, 1 - level) <= (1 - confidence) * (1 + 1e-9)
    return int(passes.sum()) - 1


def recall_threshold(
    positive_scores: Float[np.ndarray, " n"], level: float, confidence: float = CONFIDENCE
) -> float | None:
    """The highest threshold that promises the recall: `score >= threshold` is flagged; None where none does.

    Args:
        positive_scores: Probabilities of the positive organ on calibration images of that organ.
        level: Recall to promise, in (0, 1).
        confidence: Of the promise.

    Raises:
        ValueRangeError: The level is not in (0, 1).
    """
    misses = allowed_misses(positive_scores.size, level, confidence)
    # All below the threshold are missed, so the threshold is the lowest score after the allowed misses.
    return float(np.sort(positive_scores)[misses]) if misses >= 0 else None


def fit_recall_guarantees(
    probabilities: Float[np.ndarray, "n c"],
    labels: Int[np.ndarray, " m"],
    organs: Sequence[str],
    *,
    confidence: float = CONFIDENCE,
) -> RecallGuaranteeTable:
    """Compute the contract of every organ.

    Args:
        probabilities: Of held-out images, one row an image, as the bundle gives them.
        labels: True class of each.
        organs: Names of the classes.

    Raises:
        ShapeError: Not one label a row, or not one name a column.
    """
    if probabilities.shape != (labels.size, len(organs)):
        raise ShapeError(
            f"Expected probabilities of {labels.size} images and {len(organs)} organs, found {probabilities.shape}. "
            "Pass one row a labeled image."
        )
    return RecallGuaranteeTable(
        confidence=confidence,
        organs=tuple(
            _organ_contract(organ, probabilities[:, number], labels == number, confidence)
            for number, organ in enumerate(organs)
        ),
    )


def recall_guarantee(contract: RecallGuaranteeTable, organ: str, min_recall: float = DEFAULT_RECALL) -> RecallGuarantee:
    """What the contract promises for an organ: the recall that was asked for, or the highest there is.

    Raises:
        UnknownNameError: The contract has no such organ; names those that are near.
        ValueRangeError: The recall is not in (0, 1).
    """
    _check_level(min_recall)
    found = contract.organs[organ_number([entry.organ for entry in contract.organs], organ)]
    guarantee = partial(
        RecallGuarantee,
        organ=found.organ,
        asked=min_recall,
        confidence=contract.confidence,
        n_positive=found.n_positive,
        n_negative=found.n_negative,
    )
    if not found.levels:
        return guarantee(level=0.0, threshold=0.0, n_missed=0, n_false=found.n_negative)
    place = min(int(np.searchsorted(found.levels, min_recall, side="left")), len(found.levels) - 1)
    return guarantee(
        level=found.levels[place],
        threshold=found.thresholds[place],
        n_missed=found.n_missed[place],
        n_false=found.n_false[place],
    )


def _organ_contract(
    organ: str, scores: Float[np.ndarray, " n"], positive: np.ndarray, confidence: float
) -> OrganGuarantees:
    inside, outside = np.sort(scores[positive].astype(np.float64)), np.sort(scores[~positive])
    highest = highest_level(inside.size, confidence)
    levels = sorted({level for level in _LEVELS if level < highest} | ({highest} if inside.size else set()))
    found = (recall_threshold(inside, level, confidence) for level in levels)
    thresholds = [threshold for threshold in found if threshold is not None]
    return OrganGuarantees(
        organ=organ,
        n_positive=inside.size,
        n_negative=outside.size,
        levels=tuple(levels),
        thresholds=tuple(thresholds),
        n_missed=tuple(np.searchsorted(inside, thresholds, side="left").tolist()),
        n_false=tuple((outside.size - np.searchsorted(outside, thresholds, side="left")).tolist()),
    )


def _check_level(level: float) -> None:
    if not 0 < level < 1:
        raise ValueRangeError(
            f"Expected a recall between 0 and 1, found {level}. Ask for 0.95, for example; no finite number of "
            "images promises 1."
        )
