"""Do probabilities mean what they say?"""

import numpy as np
from jaxtyping import Bool, Float, Float64, Int

from organscope.errors import ShapeError, ValueRangeError

N_BINS = 15


def reliability_sums(
    confidence: Float[np.ndarray, " n"], correct: Bool[np.ndarray, " n"], *, n_bins: int = N_BINS
) -> Float64[np.ndarray, "3 bins"]:
    """Number of answers, sum of their confidences and number correct, in bins of equal width.

    Bin b holds confidences in (b / n_bins, (b + 1) / n_bins], the first also 0, as in Guo et al., ICML 2017.
    Sums of several pictures add up.

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
    """Squared distance of the probabilities from the truth, mean over pictures, in [0, 2].

    Summed over all classes, equation 2 of Brier, Mon. Weather Rev. 78:1 (1950).
    """
    truth = np.arange(probs.shape[1]) == labels[:, None]
    return float(np.square(probs.astype(np.float64) - truth).sum(axis=1).mean())


def negative_log_likelihood(probs: Float[np.ndarray, "n classes"], labels: Int[np.ndarray, " n"]) -> float:
    """Mean of -ln(probability of the true class), in nats; probabilities below 1e-12 count as 1e-12."""
    of_truth = probs[np.arange(labels.size), labels].astype(np.float64)
    return float(-np.log(np.maximum(of_truth, 1e-12)).mean())


def check_probabilities(probs: Float[np.ndarray, "n classes"], labels: Int[np.ndarray, " m"]) -> None:
    """Refuse what is not one row of probabilities and one class a picture.

    Raises:
        ShapeError: There is no picture, or not one label a row.
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
