"""Fit a decision policy to calibration data; backfill what older bundles lack.

The promises of a bundle that was made before policies held them.

Fit the limits on the look of an image, on training images and on spoilt copies of them.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
from jaxtyping import Bool, Float, Float64, Int, Shaped

from organscope.decision.calibration import check_labels, fit_temperature, softmax
from organscope.decision.conformal import fit_conformal
from organscope.decision.ood import LookFault, QualityLimits, ReferenceDistribution, fit_distance_limit, look_excess
from organscope.decision.policy import Policy
from organscope.decision.risk_control import fit_recall_guarantees
from organscope.errors import ShapeError, ValueRangeError


@dataclass(frozen=True)
class PolicyFigures:
    """What a policy does on labeled images.

    Attributes:
        n_images: Images it was asked about.
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
    """Fit temperature, limits, recall contract and prediction sets, all on the same held-out images.

    They must not have trained what answered for them. Score the policy on others again.

    Args:
        logits: Of the fields of held-out images; with `labels`, their true classes.
        distances: `nearest_distance` of each field to what trained the network or head that answered for it, with
            k = `n_neighbours`.
        target_error: Largest share of wrong answers among the accepted, see `fit_min_confidence`.
        min_coverage: Share that must be accepted all the same.
        in_domain_pass: Share of held-out images that are not called unknown.
        n_neighbours: k of the novelty distance; `reference` is the name of its file in the bundle.
        organs: Names of the classes; without them there are no contract and no sets.
        images: Which image each field belongs to; every field is an image without.
        quality: Limits on the look of an image (`fit_quality`), which are passed on.

    Raises:
        ShapeError: Arrays do not belong together, or there are too few.
        ValueRangeError: A share leaves [0, 1], or a number is not finite.
    """
    temperature = fit_temperature(logits, labels)
    probabilities, truth, medians = _by_image(softmax(logits, temperature), labels, distances, pictures)
    right = probabilities.argmax(axis=1) == truth
    return Policy(
        temperature=temperature,
        min_confidence=fit_min_confidence(probabilities.max(axis=1), right, target_error, min_coverage),
        max_distance=fit_distance_limit(medians, in_domain_pass),
        n_neighbours=n_neighbours,
        reference=reference,
        contract=None if organs is None else fit_recall_guarantees(probabilities, truth, organs),
        conformal=None if organs is None else fit_conformal(probabilities, truth),
        quality=quality,
    )


def _by_image(
    probabilities: Float[np.ndarray, "n c"],
    labels: Int[np.ndarray, " n"],
    distances: Float[np.ndarray, " n"],
    images: Shaped[np.ndarray, " n"] | None,
) -> tuple[Float[np.ndarray, "p c"], Int[np.ndarray, " p"], Float[np.ndarray, " p"]]:
    """Mean probability and median distance over the fields of each image, as an image is classified."""
    if images is None:
        return probabilities, labels, distances
    _, first, image_of = np.unique(images, return_index=True, return_inverse=True)
    fields = [np.flatnonzero(image_of == number) for number in range(len(first))]
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
        confidence: Of the most probable class of each held-out image.
        right: That class is the true one.
        target_error: The share.
        min_coverage: Share of the images that must be accepted; where the target cannot be had with it,
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
    """Coverage and wrong answers among the accepted, on labeled images.

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


def complete_policy(policy: Policy, calibration: pd.DataFrame, organs: Sequence[str]) -> Policy:
    """The policy with contract and prediction sets, computed from the calibration table where it lacks them.

    Args:
        policy: As the manifest has it.
        calibration: `label` and `p_<organ>` for every organ, one row a field; rows of one `id` are averaged. A table
            without these columns leaves the policy as it is.
        organs: Names of the classes.
    """
    columns = [f"p_{organ}" for organ in organs]
    known = {"label", *columns} <= set(calibration.columns) and len(calibration) > 0
    if not known or (policy.contract is not None and policy.conformal is not None):
        return policy
    images = by_image(calibration, columns)
    probabilities, labels = images[columns].to_numpy(float), images["label"].to_numpy(int)
    return policy.model_copy(
        update={
            "contract": policy.contract or fit_recall_guarantees(probabilities, labels, organs),
            "conformal": policy.conformal or fit_conformal(probabilities, labels),
        }
    )


def by_image(calibration: pd.DataFrame, columns: Sequence[str]) -> pd.DataFrame:
    """One row an image: its label and the mean over its fields of the columns."""
    if "id" not in calibration:
        return calibration
    return calibration.groupby("id", sort=True)[["label", *columns]].agg(
        {"label": "first", **dict.fromkeys(columns, "mean")}
    )


_MIN_LOOKS = 60
"""Fewer training images say too little about 16 numbers and their covariance: no limits are fitted."""

_SHRINKAGE = 0.02
"""Share of each number's variance that is added to it, so that no combination is held to be known exactly."""

_BLANK_SHARE = 0.5
"""An image of less than half the contrast of the palest training images is blank."""

_PALEST = 0.01
_DIGITS = 6


def fit_quality(
    contrasts: Float[np.ndarray, " n"],
    looks: Float[np.ndarray, "m f"],
    tolerated: Float[np.ndarray, "k f"],
    spoilt: Mapping[str, Float[np.ndarray, "j f"]],
    *,
    in_domain_pass: float = 0.975,
) -> QualityLimits | None:
    """Limits that the stated share of training images and tolerated copies keeps, all tests together.

    Every test gets the same share of the losses: the limits are one and the same quantile of each test's score,
    lowered until all tests together pass the stated share.

    Args:
        contrasts: Of the training fields.
        looks: Of the same fields.
        tolerated: Looks of copies as other scanners could have made them (mildly rescaled, softened, compressed).
        spoilt: Looks of spoilt copies, by the words for what is wrong with them.
        in_domain_pass: Share in (0, 1].

    Returns:
        None with fewer than 60 training fields.

    Raises:
        ShapeError: Not one contrast a look, or looks of different lengths.
        ValueRangeError: The share leaves (0, 1].
    """
    if len(contrasts) != len(looks) or {part.shape[1] for part in (tolerated, *spoilt.values())} - {looks.shape[1]}:
        raise ShapeError("Expected one contrast a look and looks of one length. Measure all with texture_features.")
    if not 0 < in_domain_pass <= 1:
        raise ValueRangeError(f"Expected a share in (0, 1], found {in_domain_pass}. Ask for 0.98, for example.")
    if len(looks) < _MIN_LOOKS:
        return None
    known = np.concatenate([looks, tolerated]).astype(np.float64)
    draft = QualityLimits(
        min_contrast=float(_BLANK_SHARE * np.quantile(contrasts, _PALEST)),
        training=_cloud(known),
        max_surprise=0.0,
        faults=tuple(LookFault(words=words, cloud=_cloud(part), limit=0.0) for words, part in spoilt.items()),
    )
    limits = _joint_limits(look_excess(known, draft), in_domain_pass)
    faults = tuple(fault.model_copy(update={"limit": limits[1 + i]}) for i, fault in enumerate(draft.faults))
    return draft.model_copy(update={"max_surprise": limits[0], "faults": faults})


def _cloud(looks: Float[np.ndarray, "n f"]) -> ReferenceDistribution:
    exact = looks.astype(np.float64)
    covariance = np.cov(exact.T)
    covariance += np.diag(_SHRINKAGE * np.diag(covariance) + 1e-9)
    whitening = np.linalg.inv(np.linalg.cholesky(covariance))
    return ReferenceDistribution(
        centre=_rounded(exact.mean(axis=0)),
        whitening=tuple(_rounded(row) for row in whitening),
    )


def _joint_limits(scores: Float64[np.ndarray, "n tests"], in_domain_pass: float) -> list[float]:
    """The strictest common quantile of the tests with which enough rows pass all of them."""
    ordered = np.sort(scores, axis=0)
    n = len(scores)
    for place in range(int(np.ceil(in_domain_pass * n)) - 1, n):
        if (scores <= ordered[place]).all(axis=1).mean() >= in_domain_pass:
            return ordered[place].tolist()
    return ordered[-1].tolist()


def _rounded(numbers: Float64[np.ndarray, " f"]) -> tuple[float, ...]:
    """Few digits: the manifest is read by people too."""
    return tuple(float(f"{number:.{_DIGITS}g}") for number in numbers)
