"""Temperature scaling for classifiers, isotonic calibration for cells."""

import numpy as np
from jaxtyping import Bool, Float, Int
from pydantic import BaseModel, ConfigDict, Field, model_validator
from scipy.special import log_softmax

from organscope.errors import ShapeError, ValueRangeError

TEMPERATURE_RANGE = (0.05, 20.0)
"""A fitted temperature is kept inside; beyond it the logits are useless or the held-out set is tiny."""

_MAX_BINS = 32
_MIN_PAIRS_PER_BIN = 25


class ProbabilityCurve(BaseModel):
    """A rising, piecewise linear map from raw to calibrated probability, flat beyond its ends.

    Attributes:
        x: Raw probabilities in [0, 1], strictly rising.
        y: Calibrated probabilities in [0, 1], never falling; as many as `x`.
    """

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)

    x: tuple[float, ...] = Field(min_length=1)
    y: tuple[float, ...] = Field(min_length=1)

    @model_validator(mode="after")
    def _check_knots(self) -> "ProbabilityCurve":
        if len(self.x) != len(self.y):
            raise ValueError(f"as many x as y knots are needed, found {len(self.x)} and {len(self.y)}")
        if min(*self.x, *self.y) < 0 or max(*self.x, *self.y) > 1:
            raise ValueError("knots must lie in [0, 1]")
        if np.any(np.diff(self.x) <= 0) or np.any(np.diff(self.y) < 0):
            raise ValueError("x must rise strictly and y must never fall")
        return self

    def apply(self, probability: Float[np.ndarray, " n"]) -> Float[np.ndarray, " n"]:
        """Calibrated probability of each raw one, in the dtype of the input."""
        return np.interp(probability, self.x, self.y).astype(probability.dtype)


def softmax(logits: Float[np.ndarray, "n c"], temperature: float = 1.0) -> Float[np.ndarray, "n c"]:
    """Probabilities of `logits / temperature`; each row sums to 1, in float64.

    Raises:
        ValueRangeError: The temperature is not above 0, or a logit is not finite.
    """
    if not temperature > 0:
        raise ValueRangeError(f"Expected a temperature above 0, found {temperature}. Fit it with fit_temperature.")
    return np.exp(log_softmax(_finite(logits) / temperature, axis=1))


def fit_temperature(logits: Float[np.ndarray, "n c"], labels: Int[np.ndarray, " _"]) -> float:
    """The temperature that makes held-out labels most likely.

    Minimizes the negative log-likelihood over log T (Guo et al., On Calibration of Modern Neural Networks,
    ICML 2017, section 4.2). One number cannot change which class is first. Of n images each counts as its own class
    to (n + 1) / (n + 2) and as any other to the rest (Platt, Probabilistic Outputs for Support Vector Machines, 1999,
    section 2.2): a handful that are all right must not promise certainty.

    Args:
        logits: Of images that the network was not trained on.
        labels: Index of the true class of each, in [0, c).

    Returns:
        T within `TEMPERATURE_RANGE`.

    Raises:
        ShapeError: There is no row, or not one label a row.
        ValueRangeError: A logit is not finite or a label is no class.
    """
    # Imported here because only fitting needs it: it loads 200 modules.
    from scipy.optimize import minimize_scalar

    check_labels(logits, labels)
    exact = _finite(logits)
    n, n_classes = exact.shape
    targets = np.full_like(exact, 1 / (n + 2) / max(n_classes - 1, 1))
    targets[np.arange(n), labels] = (n + 1) / (n + 2)

    def loss(log_temperature: float) -> float:
        return -float((targets * log_softmax(exact / np.exp(log_temperature), axis=1)).sum(axis=1).mean())

    low, high = np.log(TEMPERATURE_RANGE)
    found = minimize_scalar(loss, bounds=(low, high), method="bounded", options={"xatol": 1e-4})
    return float(np.clip(np.exp(found.x), *TEMPERATURE_RANGE))


def fit_probability_curve(probability: Float[np.ndarray, " n"], matched: Bool[np.ndarray, " _"]) -> ProbabilityCurve:
    """Calibrate per-cell probabilities against whether the cell was real.

    Isotonic regression (Zadrozny and Elkan, KDD 2002) on at most 32 bins of equal count, so that a few
    numbers in a manifest hold it. A bin has at least 25 pairs; its share counts one hit and one miss extra
    (Laplace), so that no finite sample promises 0 or 1.

    Args:
        probability: Raw probability of each predicted cell of held-out images, in [0, 1].
        matched: The cell matches a true cell (at IoU 0.5).

    Raises:
        ShapeError: There is no pair, or the lengths differ.
        ValueRangeError: A probability leaves [0, 1].
    """
    if len(probability) == 0 or len(probability) != len(matched):
        raise ShapeError(
            f"Expected as many probabilities as outcomes, at least one, found {len(probability)} and "
            f"{len(matched)}. Pass one pair a predicted cell."
        )
    if not np.all((probability >= 0) & (probability <= 1)):
        raise ValueRangeError("Expected probabilities in [0, 1], found others. Calibrate after the activation.")
    order = np.argsort(probability, kind="stable")
    n_bins = int(np.clip(len(probability) // _MIN_PAIRS_PER_BIN, 1, _MAX_BINS))
    bins = np.array_split(order, n_bins)
    size = np.array([len(members) for members in bins])
    x = np.array([probability[members].mean(dtype=np.float64) for members in bins])
    share = np.array([(matched[members].sum() + 1) / (len(members) + 2) for members in bins])
    return _curve(x, share, size)


def check_labels(logits: Float[np.ndarray, "n c"], labels: Int[np.ndarray, " _"]) -> None:
    """Refuse labels that do not belong to these logits.

    Raises:
        ShapeError: There is no row, or not one label a row.
        ValueRangeError: A label is no class.
    """
    if len(labels) == 0 or len(labels) != len(logits):
        raise ShapeError(
            f"Expected one label a row of logits, at least one, found {len(labels)} labels and {len(logits)} "
            "rows. Pass held-out logits with their labels."
        )
    if labels.min() < 0 or labels.max() >= logits.shape[1]:
        raise ValueRangeError(
            f"Expected labels in 0 to {logits.shape[1] - 1}, found {labels.min()} to {labels.max()}. "
            "Number the classes in the order of the network's outputs."
        )


def _finite(logits: Float[np.ndarray, "n c"]) -> Float[np.ndarray, "n c"]:
    exact = logits.astype(np.float64)
    if not np.isfinite(exact).all():
        raise ValueRangeError("Expected finite logits, found infinity or not-a-number. Check the network's weights.")
    return exact


def _curve(x: Float[np.ndarray, " b"], share: Float[np.ndarray, " b"], size: Int[np.ndarray, " b"]) -> ProbabilityCurve:
    """Isotonic through bins; bins of one and the same raw probability become one knot."""
    knots, which = np.unique(x, return_inverse=True)
    weight = np.bincount(which, weights=size)
    mean = np.bincount(which, weights=size * share) / weight
    # Imported here because only fitting needs it: it loads 200 modules.
    from scipy.optimize import isotonic_regression

    rising = isotonic_regression(mean, weights=weight).x
    # Rounded sums may fall by one unit in the last place; a curve never falls.
    rising = np.clip(np.maximum.accumulate(rising), 0.0, 1.0)
    return ProbabilityCurve(x=tuple(knots.tolist()), y=tuple(rising.tolist()))
