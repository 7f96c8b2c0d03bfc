"""Fit the limits on the look of a picture, on training pictures and on spoilt copies of them."""

from collections.abc import Mapping

import numpy as np
from jaxtyping import Float, Float64

from organscope.decide.quality import LookCloud, LookFault, QualityLimits, look_excess
from organscope.errors import ShapeError, ValueRangeError

MIN_LOOKS = 60
"""Fewer training pictures say too little about 16 numbers and their covariance: no limits are fitted."""

SHRINKAGE = 0.02
"""Share of each number's variance that is added to it, so that no combination is held to be known exactly."""

BLANK_SHARE = 0.5
"""A picture of less than half the contrast of the palest training pictures is blank."""

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
    """Limits that the stated share of training pictures and tolerated copies keeps, all tests together.

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
    if len(looks) < MIN_LOOKS:
        return None
    known = np.concatenate([looks, tolerated]).astype(np.float64)
    draft = QualityLimits(
        min_contrast=float(BLANK_SHARE * np.quantile(contrasts, _PALEST)),
        training=_cloud(known),
        max_surprise=0.0,
        faults=tuple(LookFault(words=words, cloud=_cloud(part), limit=0.0) for words, part in spoilt.items()),
    )
    limits = _joint_limits(look_excess(known, draft), in_domain_pass)
    faults = tuple(fault.model_copy(update={"limit": limits[1 + i]}) for i, fault in enumerate(draft.faults))
    return draft.model_copy(update={"max_surprise": limits[0], "faults": faults})


def _cloud(looks: Float[np.ndarray, "n f"]) -> LookCloud:
    exact = looks.astype(np.float64)
    covariance = np.cov(exact.T)
    covariance += np.diag(SHRINKAGE * np.diag(covariance) + 1e-9)
    whitening = np.linalg.inv(np.linalg.cholesky(covariance))
    return LookCloud(
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
