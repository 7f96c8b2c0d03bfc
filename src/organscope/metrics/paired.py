"""Is one model really better than another on the same pictures?"""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float, Float64, Int64, Num, Shaped
from scipy.special import bdtr

from organscope.errors import ShapeError, ValueRangeError
from organscope.metrics.bootstrap import percentile_interval, resample_counts


@dataclass(frozen=True)
class McNemarTest:
    """The pictures on which two models disagree about being right, and how likely that is by chance.

    Attributes:
        only_first: Pictures that the first model has right and the second wrong.
        only_second: The reverse.
        p_value: Two-sided, exact.
    """

    only_first: int
    only_second: int
    p_value: float


@dataclass(frozen=True)
class PairedDifference:
    """First model minus second, with a bootstrap interval.

    Attributes:
        value: On the pictures themselves.
        low: Lower end of the interval; `high` the upper.
        p_value: Two-sided: twice the share of resamples on the rarer side of 0, each side counting one resample
            more than it has, at most 1 (Davison and Hinkley 1997, equation 4.10).
    """

    value: float
    low: float
    high: float
    p_value: float


def mcnemar(first_right: Bool[np.ndarray, " n"], second_right: Bool[np.ndarray, " m"]) -> McNemarTest:
    """Exact test that two models are right equally often on the same pictures.

    Under that hypothesis each picture that only one of them has right is as likely to be the first's as the
    second's (McNemar, Psychometrika 12:153, 1947; the exact binomial form, which needs no minimum of pictures).
    It treats pictures as independent: where several come from one slide, `paired_mean_difference` over slides is
    the careful one.

    Raises:
        ShapeError: Not the same pictures.
    """
    _check_pairs(first_right.size, second_right.size)
    only_first = int((first_right & ~second_right).sum())
    only_second = int((second_right & ~first_right).sum())
    tail = bdtr(float(min(only_first, only_second)), only_first + only_second, 0.5)
    return McNemarTest(only_first, only_second, float(min(1.0, 2 * tail)))


def holm(p_values: Float[np.ndarray, " k"]) -> Float64[np.ndarray, " k"]:
    """Adjust p-values for asking k questions at once: a difference is real at level a where the result is at most a.

    Holm, Scand. J. Stat. 6:65 (1979): the i-th smallest times k - i + 1, never less than the one before.

    Raises:
        ValueRangeError: A p-value leaves [0, 1].
    """
    if p_values.size and not (p_values.min() >= 0 and p_values.max() <= 1):
        raise ValueRangeError(f"Expected p-values in [0, 1], found {p_values.min()} to {p_values.max()}.")
    order = np.argsort(p_values, kind="stable")
    factors = np.arange(p_values.size, 0, -1)
    adjusted = np.empty(p_values.size)
    adjusted[order] = np.minimum(np.maximum.accumulate(p_values[order] * factors), 1.0)
    return adjusted


def paired_mean_difference(
    first: Num[np.ndarray, " n"] | Bool[np.ndarray, " n"],
    second: Num[np.ndarray, " m"] | Bool[np.ndarray, " m"],
    groups: Shaped[np.ndarray, " n"],
    *,
    n_resamples: int = 10_000,
    level: float = 0.95,
    seed: int = 0,
) -> PairedDifference:
    """Difference of the mean scores of two models on the same pictures, whole groups drawn together.

    Args:
        first: One score a picture of the first model, for instance right or wrong; `second` of the other. Images on
            which one of them is not defined (not-a-number) are left out.
        groups: Which slide or patient each picture belongs to; all different to draw single pictures.
        level: Coverage aimed at by the interval.

    Raises:
        ShapeError: Not the same pictures, or none.
    """
    _check_pairs(first.size, second.size)
    difference = first.astype(np.float64) - second.astype(np.float64)
    defined = ~np.isnan(difference)
    if not defined.any():
        return PairedDifference(float("nan"), float("nan"), float("nan"), 1.0)
    difference = difference[defined]
    counts = resample_counts(groups[defined], n_resamples=n_resamples, seed=seed)
    return _summary(difference.mean(), counts @ difference / counts.sum(axis=1), level)


def paired_difference(
    difference: Callable[[Int64[np.ndarray, " m"]], float],
    groups: Shaped[np.ndarray, " n"],
    *,
    n_resamples: int = 1000,
    level: float = 0.95,
    seed: int = 0,
) -> PairedDifference:
    """The same for a score that is no mean over pictures, such as macro-F1.

    Args:
        difference: Takes positions of pictures, with repeats, and returns the first model's score minus the
            second's on just these; not-a-number where one is undefined.
        groups: Which slide or patient each picture belongs to.

    Raises:
        ShapeError: There is no picture.
    """
    counts = resample_counts(groups, n_resamples=n_resamples, seed=seed)
    positions = np.arange(groups.size)
    drawn = np.array([difference(np.repeat(positions, count)) for count in counts])
    return _summary(difference(positions), drawn, level)


def _summary(value: float, drawn: Float64[np.ndarray, " resamples"], level: float) -> PairedDifference:
    known = drawn[~np.isnan(drawn)]
    rarer = min((known <= 0).sum(), (known >= 0).sum())
    p_value = min(1.0, 2 * (rarer + 1) / (known.size + 1))
    return PairedDifference(float(value), *percentile_interval(known, level=level), float(p_value))


def _check_pairs(n_first: int, n_second: int) -> None:
    if n_first != n_second or n_first == 0:
        raise ShapeError(
            f"Expected both models on the same pictures, at least one, found {n_first} and {n_second}. "
            "Join their answers by the picture's id first."
        )
