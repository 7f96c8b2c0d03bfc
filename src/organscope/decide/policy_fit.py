"""Choose a policy's numbers on held-out pictures, and measure what it then does."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float, Int, Shaped

from organscope.decide.calibration import check_labels, fit_temperature, softmax
from organscope.decide.conformal import fit_conformal
from organscope.decide.contract import fit_contract
from organscope.decide.policy import Policy
from organscope.decide.quality import QualityLimits
from organscope.decide.unknown import fit_distance_limit
from organscope.errors import ValueRangeError


@dataclass(frozen=True)
class PolicyFigures:
    """What a policy does on labelled pictures.

    Attributes:
        n_images: Pictures it was asked about.
        coverage: Share of them it accepts.
        wrong_among_accepted: Share of the accepted that are wrong; 0 where none is accepted.
    """

    n_images: int
    coverage: float
    wrong_among_accepted: float


def fit_policy(
    logits: Float[np.ndarray, "n c"],
    labels: Int[np.ndarray, " n"],
    distances: Float[np.ndarray, " n"],
    *,
    target_error: float = 0.05,
    min_coverage: float = 0.5,
    in_domain_pass: float = 0.975,
    n_neighbours: int = 5,
    reference: str = "reference.safetensors",
    organs: Sequence[str] | None = None,
    pictures: Shaped[np.ndarray, " n"] | None = None,
    quality: QualityLimits | None = None,
) -> Policy:
    """Fit temperature, limits, recall contract and prediction sets, all on the same held-out pictures.

    They must not have trained what answered for them. Score the policy on others again.

    Args:
        logits: Of the fields of held-out pictures; with `labels`, their true classes.
        distances: `nearest_distance` of each field to what trained the network or head that answered for it, with
            k = `n_neighbours`.
        target_error: Largest share of wrong answers among the accepted, see `fit_min_confidence`.
        min_coverage: Share that must be accepted all the same.
        in_domain_pass: Share of held-out pictures that are not called unknown.
        n_neighbours: k of the novelty distance; `reference` is the name of its file in the bundle.
        organs: Names of the classes; without them there are no contract and no sets.
        pictures: Which picture each field belongs to; every field is a picture without.
        quality: Limits on the look of a picture (`fit_quality`), which are passed on.

    Raises:
        ShapeError: Arrays do not belong together, or there are too few.
        ValueRangeError: A share leaves [0, 1], or a number is not finite.
    """
    temperature = fit_temperature(logits, labels)
    probabilities, truth, medians = _by_picture(softmax(logits, temperature), labels, distances, pictures)
    right = probabilities.argmax(axis=1) == truth
    return Policy(
        temperature=temperature,
        min_confidence=fit_min_confidence(probabilities.max(axis=1), right, target_error, min_coverage),
        max_distance=fit_distance_limit(medians, in_domain_pass),
        n_neighbours=n_neighbours,
        reference=reference,
        contract=None if organs is None else fit_contract(probabilities, truth, organs),
        conformal=None if organs is None else fit_conformal(probabilities, truth),
        quality=quality,
    )


def _by_picture(
    probabilities: Float[np.ndarray, "n c"],
    labels: Int[np.ndarray, " n"],
    distances: Float[np.ndarray, " n"],
    pictures: Shaped[np.ndarray, " n"] | None,
) -> tuple[Float[np.ndarray, "p c"], Int[np.ndarray, " p"], Float[np.ndarray, " p"]]:
    """Mean probability and median distance over the fields of each picture, as an image is classified."""
    if pictures is None:
        return probabilities, labels, distances
    _, first, picture_of = np.unique(pictures, return_index=True, return_inverse=True)
    fields = [np.flatnonzero(picture_of == number) for number in range(len(first))]
    means = np.stack([probabilities[part].mean(axis=0) for part in fields])
    return means, labels[first], np.array([np.median(distances[part]) for part in fields])


def fit_min_confidence(
    confidence: Float[np.ndarray, " n"],
    right: Bool[np.ndarray, " n"],
    target_error: float,
    min_coverage: float,
) -> float:
    """The lowest confidence limit that keeps wrong answers among the accepted at or below a share.

    Args:
        confidence: Of the most probable class of each held-out picture.
        right: That class is the true one.
        target_error: The share.
        min_coverage: Share of the pictures that must be accepted; where the target cannot be had with it,
            the limit with the smallest share of wrong answers is taken, the lowest of equal ones.

    Returns:
        One of the confidences, so that `confidence >= limit` accepts; 0.0 where all can be accepted.

    Raises:
        ValueRangeError: A share leaves [0, 1].
    """
    if not (0 <= target_error <= 1 and 0 <= min_coverage <= 1):
        raise ValueRangeError(
            f"Expected shares in [0, 1], found target_error {target_error} and min_coverage {min_coverage}. "
            "Give fractions, not percents."
        )
    limits, first = np.unique(-confidence, return_index=True)
    order = np.argsort(-confidence, kind="stable")
    n_accepted = np.searchsorted(-confidence[order], limits, side="right")
    wrong_share = np.cumsum(~right[order])[n_accepted - 1] / n_accepted
    enough = n_accepted >= max(1, int(np.ceil(min_coverage * len(confidence))))
    within = enough & (wrong_share <= target_error)
    candidates = within if within.any() else enough & (wrong_share <= wrong_share[enough].min())
    best = int(np.flatnonzero(candidates)[-1])
    accepts_all = n_accepted[best] == len(confidence)
    return 0.0 if accepts_all else float(confidence[first[best]])


def measure_policy(
    logits: Float[np.ndarray, "n c"],
    labels: Int[np.ndarray, " n"],
    distances: Float[np.ndarray, " n"],
    policy: Policy,
) -> PolicyFigures:
    """Coverage and wrong answers among the accepted, on labelled pictures.

    Raises:
        ShapeError: There is no row, or not one label a row.
        ValueRangeError: A logit is not finite or a label is no class.
    """
    check_labels(logits, labels)
    probabilities = softmax(logits, policy.temperature)
    known = distances <= policy.max_distance
    accepted = known & (probabilities.max(axis=1) >= policy.min_confidence)
    wrong = probabilities.argmax(axis=1) != labels
    n_accepted = int(accepted.sum())
    share = float(wrong[accepted].mean()) if n_accepted else 0.0
    return PolicyFigures(len(labels), n_accepted / len(labels), share)
