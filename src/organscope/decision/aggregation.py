"""Pool the answers of tiles and cells, and calibrate them jointly.

One answer from an image and its cells, calibrated beside each other.
"""

from collections.abc import Sequence
from typing import Literal

import numpy as np
from jaxtyping import Float, Float64, Int, Shaped
from pydantic import BaseModel, ConfigDict, Field
from scipy.special import log_softmax

from organscope.decision.calibration import check_labels, fit_temperature, softmax
from organscope.decision.conformal import fit_conformal
from organscope.decision.fitting import fit_min_confidence
from organscope.decision.policy import Policy
from organscope.decision.risk_control import fit_recall_guarantees
from organscope.errors import ShapeError

_FLOOR = 1e-6
"""The least probability that counts: one cell that is wrongly sure must not silence all others."""

_MIN_CORRELATION = 0.005
"""However many its cells, an image counts at most as 200 independent ones."""

_CHUNK = 1 << 16


class Pooling(BaseModel):
    """How the cells of an image answer together.

    Attributes:
        rule: `mean` averages the probabilities of the cells, `log_mean` their logarithms.
        correlation: Of the cells of an image, in (0, 1]: at 1 they all say the same thing and many are worth no
            more than one, near 0 each is evidence of its own.
        min_confidence: The pooled answer must be at least this probable to be relied on.
    """

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)

    rule: Literal["mean", "log_mean"] = "mean"
    correlation: float = Field(1.0, gt=0, le=1)
    min_confidence: float = Field(0.0, ge=0, le=1)


def pool_cells(probabilities: Float[np.ndarray, "n c"], pooling: Pooling) -> Float[np.ndarray, " c"]:
    """The probability of each class for the image that the cells belong to.

    The mean over the cells, of probabilities or of their logarithms, is raised to the power of the effective
    number of cells, n / (1 + (n - 1) correlation) (Kish, Survey Sampling, 1965, section 5.4), and brought to a
    sum of 1. A single cell keeps its own probabilities.

    Args:
        probabilities: One row a cell, calibrated, in [0, 1], summing to 1.
        pooling: The rule.

    Raises:
        ShapeError: There is no cell.
    """
    if len(probabilities) == 0:
        raise ShapeError("Expected at least one cell to pool, found none. Ask only about images with cells.")
    return pool_total(score_total(probabilities, pooling.rule), len(probabilities), pooling)


def pool_answers(first: Float[np.ndarray, " c"], second: Float[np.ndarray, " c"]) -> Float64[np.ndarray, " c"]:
    """Two opinions on one image as one, both counting the same: their geometric mean, brought to a sum of 1.

    (A logarithmic opinion pool; Genest and Zidek, Combining Probability Distributions, Statistical Science 1986.)
    Nothing is fitted, so the result is scored fairly wherever both opinions are.
    """
    return pool_cells(np.stack([first, second]), Pooling(rule="log_mean", correlation=1.0))


def pool_total(total: Float64[np.ndarray, " c"], n_cells: int, pooling: Pooling) -> Float64[np.ndarray, " c"]:
    """The same from the sum of `score_total` over the parts of an image, which may have too many cells to hold."""
    score = _mean_score(total, n_cells, pooling.rule)
    return np.exp(log_softmax(effective_number(n_cells, pooling.correlation) * score))


def pooled_score(probabilities: Float[np.ndarray, "n c"], rule: Literal["mean", "log_mean"]) -> Float[np.ndarray, " c"]:
    """Logarithm of the mean probability, or mean logarithm; float64, in memory that does not grow with n."""
    return _mean_score(score_total(probabilities, rule), len(probabilities), rule)


def score_total(
    probabilities: Float[np.ndarray, "n c"], rule: Literal["mean", "log_mean"]
) -> Float64[np.ndarray, " c"]:
    """Sum over cells of the probabilities, or of their logarithms."""
    total = np.zeros(probabilities.shape[1])
    for first in range(0, len(probabilities), _CHUNK):
        chunk = np.maximum(probabilities[first : first + _CHUNK].astype(np.float64), _FLOOR)
        total += (np.log(chunk) if rule == "log_mean" else chunk).sum(axis=0)
    return total


def _mean_score(
    total: Float64[np.ndarray, " c"], n_cells: int, rule: Literal["mean", "log_mean"]
) -> Float64[np.ndarray, " c"]:
    mean = total / n_cells
    return mean if rule == "log_mean" else np.log(mean)


def effective_number(n_cells: int, correlation: float) -> float:
    """How many independent cells n correlated ones are worth."""
    return n_cells / (1 + (n_cells - 1) * correlation)


def fit_pooling(
    probabilities: Float[np.ndarray, "n c"],
    labels: Int[np.ndarray, " n"],
    images: Shaped[np.ndarray, " n"],
    *,
    target_error: float = 0.05,
    min_coverage: float = 0.5,
) -> Pooling:
    """Choose rule, correlation and confidence limit on the cells of held-out images.

    For each rule the correlation that makes the organs of the images most likely; of the rules the better one.
    Targets are smoothed by one miss in n + 2 images (Platt 1999, section 2.2), because a few images that are
    all right would otherwise promise certainty.

    Args:
        probabilities: One row a cell, calibrated.
        labels: True class of each cell; all cells of an image have the same.
        images: Which image each cell belongs to.
        target_error: Largest share of wrong answers among the confident ones, see `fit_min_confidence`.
        min_coverage: Share of the images that must be answered with confidence all the same.

    Raises:
        ShapeError: There is no cell, or not one label a cell.
        ValueRangeError: A label is no class.
    """
    check_labels(probabilities, labels)
    _, first, image_of = np.unique(images, return_index=True, return_inverse=True)
    counts = np.bincount(image_of)
    parts = np.split(np.argsort(image_of, kind="stable"), np.cumsum(counts)[:-1])
    truth = labels[first]
    fits: list[tuple[float, Pooling]] = []
    rules: tuple[Literal["mean", "log_mean"], ...] = ("mean", "log_mean")
    for rule in rules:
        scores = np.stack([pooled_score(probabilities[part], rule) for part in parts])
        found = _fit_correlation(scores, counts, truth)
        correlation = float(np.clip(np.exp(found.x), _MIN_CORRELATION, 1))
        fits.append((found.fun, Pooling(rule=rule, correlation=correlation)))
    _, best = min(fits, key=lambda fit: fit[0])
    pooled = np.stack([pool_cells(probabilities[part], best) for part in parts])
    right = pooled.argmax(axis=1) == truth
    limit = fit_min_confidence(pooled.max(axis=1), right, target_error, min_coverage)
    return best.model_copy(update={"min_confidence": limit})


def _fit_correlation(scores: Float[np.ndarray, "m c"], counts: Int[np.ndarray, " m"], truth: Int[np.ndarray, " m"]):
    """Minimize the negative log-likelihood of smoothed targets over the logarithm of the correlation."""
    # Imported here because only fitting needs it: it loads 200 modules.
    from scipy.optimize import minimize_scalar

    n_images, n_classes = scores.shape
    miss = 1.0 / (n_images + 2)
    targets = np.full(scores.shape, miss / n_classes)
    targets[np.arange(n_images), truth] += 1.0 - miss

    def loss(log_correlation: float) -> float:
        power = counts / (1 + (counts - 1) * np.exp(log_correlation))
        return -float((targets * log_softmax(power[:, None] * scores, axis=1)).sum(axis=1).mean())

    return minimize_scalar(loss, bounds=(np.log(_MIN_CORRELATION), 0.0), method="bounded", options={"xatol": 1e-4})


_TARGET_ERROR = 0.02
"""Largest share of wrong answers among the accepted, on the images that the limit is fitted on."""

_MIN_COVERAGE = 0.98
"""Share of the images that must be accepted all the same; distance and look refuse some more."""


class JointCalibration(BaseModel):
    """How an image and its cells decide together; part of a bundle for cells, made for one bundle for images.

    Attributes:
        image_bundle: Name and version of the bundle for images.
        policy: Temperature of the pooled answer, least confidence, contract and sets. Limits on distance are those of
            the bundle for images; looks are judged by it alone.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    image_bundle: str = Field(min_length=1)
    policy: Policy

    def probabilities(
        self, image: Float[np.ndarray, "n c"], cells: Float[np.ndarray, "n c"]
    ) -> Float64[np.ndarray, "n c"]:
        """Of each organ, from the image and from all its cells, which count alike (`pool_answers`); one row an image.

        Args:
            image: Calibrated probabilities; a row sums to 1.
            cells: The same from the cells of each image, with the organs in the same order.
        """
        return softmax(_pooled_logits(image, cells), self.policy.temperature)


def fit_joint_calibration(
    image: Float[np.ndarray, "n c"],
    cells: Float[np.ndarray, "n c"],
    labels: Int[np.ndarray, " n"],
    organs: Sequence[str],
    *,
    image_bundle: str,
    image_policy: Policy,
) -> JointCalibration:
    """Fit temperature, limit, contract and sets on images that neither network was trained on.

    Args:
        image: As in `Together.probabilities`; so for `cells`.
        labels: True organ of each image.
        organs: Names of the classes.
        image_bundle: Name and version of the bundle for images.
        image_policy: Its own policy, for the limit on distance.

    Raises:
        ShapeError: There is no row, or not one label a row.
        ValueRangeError: A label is no class.
    """
    pooled = _pooled_logits(image, cells)
    temperature = fit_temperature(pooled, labels)
    probabilities = softmax(pooled, temperature)
    right = probabilities.argmax(axis=1) == labels
    fitted = {
        "temperature": temperature,
        "min_confidence": fit_min_confidence(probabilities.max(axis=1), right, _TARGET_ERROR, _MIN_COVERAGE),
        "contract": fit_recall_guarantees(probabilities, labels, organs),
        "conformal": fit_conformal(probabilities, labels),
        "quality": None,
    }
    return JointCalibration(image_bundle=image_bundle, policy=image_policy.model_copy(update=fitted))


def _pooled_logits(image: Float[np.ndarray, "n c"], cells: Float[np.ndarray, "n c"]) -> Float64[np.ndarray, "n c"]:
    return np.log(np.stack([pool_answers(*pair) for pair in zip(image, cells, strict=True)]))
