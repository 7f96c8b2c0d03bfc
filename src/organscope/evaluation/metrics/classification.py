"""Classification and calibration metrics: accuracy, F1, AUC; ECE, Brier score, NLL, reliability table; decision curves.

Do probabilities mean what they say?

What is gained by abstaining, and by acting on a probability: curves over the threshold.
"""

import numpy as np
from jaxtyping import Bool, Float, Float64, Int, Int64
from scipy.stats import rankdata

from organscope.errors import ShapeError, ValueRangeError

N_BINS = 15


def reliability_sums(
    confidence: Float[np.ndarray, " n"], correct: Bool[np.ndarray, " n"], *, n_bins: int = N_BINS
) -> Float64[np.ndarray, "3 bins"]:
    """Number of answers, sum of their confidences and number correct, in bins of equal width.

    Bin b holds confidences in (b / n_bins, (b + 1) / n_bins], the first also 0, as in Guo et al., ICML 2017.
    Sums of several images add up.

    Raises:
        ValueRangeError: A confidence is outside [0, 1].
    """
    if confidence.size and not (confidence.min() >= 0 and confidence.max() <= 1):
        raise ValueRangeError(f"Expected confidences in [0, 1], found {confidence.min()} to {confidence.max()}.")
    bins = np.clip(np.ceil(confidence.astype(np.float64) * n_bins).astype(np.int64) - 1, 0, n_bins - 1)
    weights = (np.ones(bins.size), confidence, correct)
    return np.stack([np.bincount(bins, weights=weight, minlength=n_bins) for weight in weights])


def calibration_error(sums: Float64[np.ndarray, "3 bins"]) -> float:
    """Expected calibration error: |confidence - accuracy| averaged over answers; 0 without any answer."""
    n_answers, confidence, correct = sums
    return float(np.abs(confidence - correct).sum() / n_answers.sum()) if n_answers.any() else 0.0


def expected_calibration_error(
    confidence: Float[np.ndarray, " n"], correct: Bool[np.ndarray, " n"], *, n_bins: int = N_BINS
) -> float:
    """Expected calibration error with bins of equal width, equation 3 of Guo et al., ICML 2017.

    Args:
        confidence: Probability of the answer that was given (the top label), in [0, 1].
        correct: Whether that answer was right.

    Raises:
        ValueRangeError: A confidence is outside [0, 1].
    """
    return calibration_error(reliability_sums(confidence, correct, n_bins=n_bins))


def reliability_table(
    confidence: Float[np.ndarray, " n"], correct: Bool[np.ndarray, " n"], *, n_bins: int = N_BINS
) -> dict[str, Float64[np.ndarray, " bins"]]:
    """What a reliability diagram shows.

    Returns:
        One entry a bin: `low`, `high` (edges), `n`, `confidence` and `accuracy` (means, not-a-number where
        the bin is empty).
    """
    n_answers, confidences, n_correct = reliability_sums(confidence, correct, n_bins=n_bins)
    n_known = np.where(n_answers > 0, n_answers, np.nan)
    edges = np.arange(n_bins + 1) / n_bins
    return {
        "low": edges[:-1],
        "high": edges[1:],
        "n": n_answers,
        "confidence": confidences / n_known,
        "accuracy": n_correct / n_known,
    }


def brier_score(probs: Float[np.ndarray, "n classes"], labels: Int[np.ndarray, " n"]) -> float:
    """Squared distance of the probabilities from the truth, mean over images, in [0, 2].

    Summed over all classes, equation 2 of Brier, Mon. Weather Rev. 78:1 (1950).
    """
    truth = np.arange(probs.shape[1]) == labels[:, None]
    return float(np.square(probs.astype(np.float64) - truth).sum(axis=1).mean())


def negative_log_likelihood(probs: Float[np.ndarray, "n classes"], labels: Int[np.ndarray, " n"]) -> float:
    """Mean of -ln(probability of the true class), in nats; probabilities below 1e-12 count as 1e-12."""
    of_truth = probs[np.arange(labels.size), labels].astype(np.float64)
    return float(-np.log(np.maximum(of_truth, 1e-12)).mean())


def _check_probabilities(probs: Float[np.ndarray, "n classes"], labels: Int[np.ndarray, " m"]) -> None:
    """Refuse what is not one row of probabilities and one class an image.

    Raises:
        ShapeError: There is no image, or not one label a row.
        ValueRangeError: A row is not in [0, 1] with sum 1 (to .001), or a label is no class.
    """
    if labels.size == 0 or labels.size != probs.shape[0]:
        raise ShapeError(f"Expected one label a row of probabilities, found {labels.size} for {probs.shape[0]}.")
    # float16 softmax over some tens of classes is off by up to 1e-3.
    sums = probs.sum(axis=1, dtype=np.float64)
    if not (probs.min() >= 0 and np.abs(sums - 1).max() <= 1e-3):
        raise ValueRangeError(
            f"Expected probabilities that sum to 1, found a minimum of {probs.min()} and "
            f"sums from {sums.min()} to {sums.max()}. Apply a softmax first."
        )
    if labels.min() < 0 or labels.max() >= probs.shape[1]:
        raise ValueRangeError(
            f"Expected labels from 0 to {probs.shape[1] - 1}, found {labels.min()} to {labels.max()}."
        )


def classification_scores(probs: Float[np.ndarray, "n classes"], labels: Int[np.ndarray, " m"]) -> dict[str, float]:
    """Score the most probable class of each image, and the probabilities themselves.

    Macro averages run over the classes that occur among the labels, so that a class without images
    neither helps nor hurts.

    Args:
        probs: One row an image, in [0, 1], sum 1.
        labels: True class of each image, from 0.

    Returns:
        `accuracy`, `balanced_accuracy` (mean recall), `macro_f1`, `macro_auc` (one class against the rest;
        not-a-number with a single class), `ece` (top label, 15 bins of equal width), all in [0, 1];
        `brier` in [0, 2]; `nll` in nats.

    Raises:
        ShapeError: There is no image, or not one label a row.
        ValueRangeError: Rows are no probabilities, or a label is no class.
    """
    _check_probabilities(probs, labels)
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
    """Count images by true class (rows) and predicted class (columns)."""
    codes = labels.astype(np.int64) * n_classes + predicted
    return np.bincount(codes, minlength=n_classes**2).reshape(n_classes, n_classes)


def per_class_scores(confusion: Int64[np.ndarray, "classes classes"]) -> dict[str, np.ndarray]:
    """Precision, recall and F1 of each class; 0 where a denominator is 0, as scikit-learn has it.

    Returns:
        `n` (true images), `precision`, `recall`, `f1`, one entry a class.
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

    The Mann-Whitney form: how often an image of the class gets a higher probability of it than another
    image, ties counting one half (Hanley and McNeil, Radiology 143:29, 1982).

    Returns:
        In [0, 1], not-a-number for a class that no image or every image has.
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


def risk_coverage(
    confidence: Float[np.ndarray, " n"], correct: Bool[np.ndarray, " m"]
) -> dict[str, Float64[np.ndarray, " k"]]:
    """Share of wrong answers among the accepted, for every limit of confidence.

    Geifman and El-Yaniv, Selective Classification for Deep Neural Networks, NIPS 2017, section 2. Answers of
    equal confidence are accepted together.

    Args:
        confidence: Of each answer.
        correct: The answer was right.

    Returns:
        One entry a distinct confidence, from the highest down: `min_confidence` (the limit), `coverage` (share of
        answers at or above it) and `risk` (share of those that are wrong).

    Raises:
        ShapeError: There is no answer, or not one confidence an answer.
    """
    if confidence.size == 0 or confidence.size != correct.size:
        raise ShapeError(f"Expected one confidence an answer, found {confidence.size} and {correct.size}.")
    order = np.argsort(-confidence, kind="stable")
    falling = confidence[order].astype(np.float64)
    last = np.append(np.flatnonzero(np.diff(falling)), falling.size - 1)
    n_accepted = last + 1.0
    n_wrong = np.cumsum(~correct[order])[last]
    return {"min_confidence": falling[last], "coverage": n_accepted / falling.size, "risk": n_wrong / n_accepted}


def area_under_risk_coverage(confidence: Float[np.ndarray, " n"], correct: Bool[np.ndarray, " m"]) -> float:
    """Risk averaged over coverage, in [0, 1]; the lower, the better doubt and mistakes go together.

    The mean, over the answers from the surest down, of the risk of accepting down to that one (Geifman, Uziel and
    El-Yaniv, Bias-Reduced Uncertainty Estimation, ICLR 2019, equation 3); answers of equal confidence are accepted
    together.

    Raises:
        ShapeError: There is no answer, or not one confidence an answer.
    """
    curve = risk_coverage(confidence, correct)
    return float(np.sum(np.diff(curve["coverage"], prepend=0.0) * curve["risk"]))


def net_benefit(
    probability: Float[np.ndarray, " n"], positive: Bool[np.ndarray, " m"], thresholds: Float[np.ndarray, " k"]
) -> dict[str, Float64[np.ndarray, " k"]]:
    """What acting on a probability is worth, in true positives an image.

    Vickers and Elkin, Decision Curve Analysis, Med. Decis. Making 26:565 (2006): who acts at threshold t holds a
    missed positive to be (1 - t) / t times as bad as a false alarm, so the worth is TP / n - FP / n x t / (1 - t).

    Args:
        probability: Of the positive class, of each image.
        positive: The image is of that class.
        thresholds: In [0, 1).

    Returns:
        `threshold`, `model` (act at or above the threshold), `all` (act on every image) and `none` (0).

    Raises:
        ShapeError: There is no image, or not one probability an image.
        ValueRangeError: A threshold leaves [0, 1).
    """
    if probability.size == 0 or probability.size != positive.size:
        raise ShapeError(f"Expected one probability an image, found {probability.size} and {positive.size}.")
    if not np.all((thresholds >= 0) & (thresholds < 1)):
        raise ValueRangeError("Expected thresholds in [0, 1), found others: at 1 a false alarm has no finite price.")
    price = thresholds / (1 - thresholds)
    ordered = {kind: np.sort(probability[positive == kind]) for kind in (True, False)}
    acted = {kind: part.size - np.searchsorted(part, thresholds, side="left") for kind, part in ordered.items()}
    n = probability.size
    return {
        "threshold": thresholds.astype(np.float64),
        "model": (acted[True] - acted[False] * price) / n,
        "all": (positive.sum() - (~positive).sum() * price) / n,
        "none": np.zeros(thresholds.size),
    }
