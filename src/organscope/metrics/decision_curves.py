"""What is gained by abstaining, and by acting on a probability: curves over the threshold."""

import numpy as np
from jaxtyping import Bool, Float, Float64

from organscope.errors import ShapeError, ValueRangeError


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
    """What acting on a probability is worth, in true positives a picture.

    Vickers and Elkin, Decision Curve Analysis, Med. Decis. Making 26:565 (2006): who acts at threshold t holds a
    missed positive to be (1 - t) / t times as bad as a false alarm, so the worth is TP / n - FP / n x t / (1 - t).

    Args:
        probability: Of the positive class, of each picture.
        positive: The picture is of that class.
        thresholds: In [0, 1).

    Returns:
        `threshold`, `model` (act at or above the threshold), `all` (act on every picture) and `none` (0).

    Raises:
        ShapeError: There is no picture, or not one probability a picture.
        ValueRangeError: A threshold leaves [0, 1).
    """
    if probability.size == 0 or probability.size != positive.size:
        raise ShapeError(f"Expected one probability a picture, found {probability.size} and {positive.size}.")
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
