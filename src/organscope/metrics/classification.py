"""How well classes are told apart, from probabilities."""

import numpy as np
from jaxtyping import Bool, Float, Float64, Int, Int64
from scipy.stats import rankdata

from organscope.metrics.calibration import (
    brier_score,
    check_probabilities,
    expected_calibration_error,
    negative_log_likelihood,
)


def classification_scores(probs: Float[np.ndarray, "n classes"], labels: Int[np.ndarray, " m"]) -> dict[str, float]:
    """Score the most probable class of each picture, and the probabilities themselves.

    Macro averages run over the classes that occur among the labels, so that a class without pictures
    neither helps nor hurts.

    Args:
        probs: One row a picture, in [0, 1], sum 1.
        labels: True class of each picture, from 0.

    Returns:
        `accuracy`, `balanced_accuracy` (mean recall), `macro_f1`, `macro_auc` (one class against the rest;
        not-a-number with a single class), `ece` (top label, 15 bins of equal width), all in [0, 1];
        `brier` in [0, 2]; `nll` in nats.

    Raises:
        ShapeError: There is no picture, or not one label a row.
        ValueRangeError: Rows are no probabilities, or a label is no class.
    """
    check_probabilities(probs, labels)
    predicted = probs.argmax(axis=1)
    confusion = confusion_matrix(labels, predicted, n_classes=probs.shape[1])
    classes = per_class_scores(confusion)
    present = classes["n"] > 0
    correct = predicted == labels
    return {
        "accuracy": float(correct.mean()),
        "balanced_accuracy": float(classes["recall"][present].mean()),
        "macro_f1": float(classes["f1"][present].mean()),
        "macro_auc": _mean_of_known(one_vs_rest_auc(probs, labels)),
        "ece": expected_calibration_error(np.clip(probs.max(axis=1), 0, 1), correct),
        "brier": brier_score(probs, labels),
        "nll": negative_log_likelihood(probs, labels),
    }


def confusion_matrix(
    labels: Int[np.ndarray, " n"], predicted: Int[np.ndarray, " n"], *, n_classes: int
) -> Int64[np.ndarray, "classes classes"]:
    """Count pictures by true class (rows) and predicted class (columns)."""
    codes = labels.astype(np.int64) * n_classes + predicted
    return np.bincount(codes, minlength=n_classes**2).reshape(n_classes, n_classes)


def per_class_scores(confusion: Int64[np.ndarray, "classes classes"]) -> dict[str, np.ndarray]:
    """Precision, recall and F1 of each class; 0 where a denominator is 0, as scikit-learn has it.

    Returns:
        `n` (true pictures), `precision`, `recall`, `f1`, one entry a class.
    """
    hits = np.diagonal(confusion).astype(np.float64)
    n_true, n_predicted = confusion.sum(axis=1), confusion.sum(axis=0)
    return {
        "n": n_true,
        "precision": hits / np.maximum(n_predicted, 1),
        "recall": hits / np.maximum(n_true, 1),
        "f1": 2 * hits / np.maximum(n_true + n_predicted, 1),
    }


def one_vs_rest_auc(
    probs: Float[np.ndarray, "n classes"], labels: Int[np.ndarray, " n"]
) -> Float64[np.ndarray, " classes"]:
    """Area under the ROC curve of each class against all others.

    The Mann-Whitney form: how often a picture of the class gets a higher probability of it than another
    picture, ties counting one half (Hanley and McNeil, Radiology 143:29, 1982).

    Returns:
        In [0, 1], not-a-number for a class that no picture or every picture has.
    """
    positive: Bool[np.ndarray, "n classes"] = labels[:, None] == np.arange(probs.shape[1])
    n_positive = positive.sum(axis=0)
    n_pairs = n_positive * (labels.size - n_positive)
    rank_sum = np.where(positive, rankdata(probs, axis=0), 0).sum(axis=0)
    wins = rank_sum - n_positive * (n_positive + 1) / 2
    return np.where(n_pairs > 0, wins / np.maximum(n_pairs, 1), np.nan)


def _mean_of_known(values: Float64[np.ndarray, " n"]) -> float:
    known = values[~np.isnan(values)]
    return float(known.mean()) if known.size else float("nan")
