"""Scores of single cells with intervals over pictures: everything is a sum over the cells of a picture."""

from dataclasses import dataclass, field

import numpy as np
import pandas as pd
from jaxtyping import Float64, Int64

from organscope.evaluate.intervals import LEVEL, N_RESAMPLES, SEED, choose_unit
from organscope.metrics.bootstrap import percentile_interval, resample_counts
from organscope.metrics.calibration import N_BINS, calibration_error, reliability_sums

Confusion = Int64[np.ndarray, "picture c c"]


@dataclass(frozen=True)
class PictureSums:
    """What one model's answers add up to in each picture.

    Attributes:
        confusion: By the name before the metric ("" for the cells themselves, "gray_", "image_"): counts of true
            (rows) and predicted (columns) organs in each picture.
        reliability: Sums of `metrics.calibration.reliability_sums`; none where only answers are compared.
    """

    confusion: dict[str, Confusion] = field(default_factory=dict)
    reliability: Float64[np.ndarray, "picture 3 bins"] | None = None

    def of(self, pictures: Int64[np.ndarray, " m"]) -> "PictureSums":
        """The sums of some of the pictures, by their positions."""
        confusion = {name: counts[pictures] for name, counts in self.confusion.items()}
        return PictureSums(confusion, None if self.reliability is None else self.reliability[pictures])


def confusion_of_pictures(
    position: Int64[np.ndarray, " n"],
    labels: Int64[np.ndarray, " n"],
    predicted: Int64[np.ndarray, " n"],
    n_pictures: int,
    n_classes: int,
) -> Confusion:
    """Count answers by picture, true and predicted organ; `position` says to which picture each belongs."""
    codes = (position * n_classes + labels) * n_classes + predicted
    counts = np.bincount(codes, minlength=n_pictures * n_classes**2)
    return counts.reshape(n_pictures, n_classes, n_classes)


def reliability_of_pictures(
    position: Int64[np.ndarray, " n"], confidence: np.ndarray, correct: np.ndarray, n_pictures: int
) -> Float64[np.ndarray, "picture 3 bins"]:
    """`reliability_sums` of the answers of each picture."""
    confidence = np.clip(confidence.astype(np.float64), 0, 1)
    parts = [position == number for number in range(n_pictures)]
    return np.stack([reliability_sums(confidence[part], correct[part]) for part in parts])


def summarise_sums(sums: PictureSums, pictures: pd.DataFrame) -> tuple[pd.DataFrame, str]:
    """Scores of all pictures together with 95 % intervals over pictures or their groups.

    `accuracy`, `balanced_accuracy` and `macro_f1` for every confusion, and `ece`.

    Args:
        sums: In the order of `pictures`.
        pictures: Columns `group` and `organ`.

    Returns:
        Columns `metric`, `value`, `low`, `high`, `unit`; and the note on the intervals.
    """
    unit = choose_unit(pictures["group"].to_numpy(), pictures["organ"].to_numpy())
    drawn = resample_counts(unit.groups, n_resamples=N_RESAMPLES, seed=SEED)
    values, resampled = (_statistics(sums, counts) for counts in (np.ones((1, len(pictures)), np.int64), drawn))
    rows = [
        (name, float(values[name][0]), *percentile_interval(resampled[name], level=LEVEL), unit.name) for name in values
    ]
    return pd.DataFrame(rows, columns=["metric", "value", "low", "high", "unit"]), unit.note


def _statistics(
    sums: PictureSums, drawn: Int64[np.ndarray, "resamples n"]
) -> dict[str, Float64[np.ndarray, " resamples"]]:
    """Every score for each of several draws of pictures, given how often each picture is drawn."""
    scores: dict[str, Float64[np.ndarray, " resamples"]] = {}
    for prefix, confusion in sums.confusion.items():
        n_classes = confusion.shape[1]
        pooled = (drawn @ confusion.reshape(len(confusion), -1)).reshape(-1, n_classes, n_classes)
        scores |= {f"{prefix}{name}": values for name, values in _answer_scores(pooled).items()}
    if sums.reliability is not None:
        bins = (drawn @ sums.reliability.reshape(len(sums.reliability), -1)).reshape(-1, 3, N_BINS)
        scores["ece"] = np.array([calibration_error(one) for one in bins])
    return scores


def _answer_scores(confusion: Int64[np.ndarray, "resamples c c"]) -> dict[str, Float64[np.ndarray, " resamples"]]:
    """Accuracy, and means over the organs that occur of recall and F1 (as `metrics.classification` has them)."""
    hits = np.diagonal(confusion, axis1=1, axis2=2).astype(np.float64)
    n_true, n_predicted = confusion.sum(axis=2), confusion.sum(axis=1)
    present = n_true > 0
    n_present = np.maximum(present.sum(axis=1), 1)
    recall = hits / np.maximum(n_true, 1)
    f1 = 2 * hits / np.maximum(n_true + n_predicted, 1)
    n_answers = n_true.sum(axis=1)
    return {
        "accuracy": np.where(n_answers > 0, hits.sum(axis=1) / np.maximum(n_answers, 1), np.nan),
        "balanced_accuracy": np.where(n_answers > 0, (recall * present).sum(axis=1) / n_present, np.nan),
        "macro_f1": np.where(n_answers > 0, (f1 * present).sum(axis=1) / n_present, np.nan),
    }
