"""Bootstrap intervals, and paired significance tests: McNemar, cluster bootstrap, Holm.

Efron, Ann. Statist. 7:1 (1979); the cluster form of Davison and Hinkley (1997), section 3.8: groups are drawn
with replacement, each with all of its images.

Is one model really better than another on the same images?

What is drawn when an interval is bootstrapped: whole groups where there are enough, else images.
"""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import pandas as pd
from jaxtyping import Bool, Float, Float64, Int64, Num, Shaped
from scipy.special import bdtr

from organscope.errors import ShapeError, ValueRangeError


def resample_counts(
    groups: Shaped[np.ndarray, " n"], *, n_resamples: int = 1000, seed: int = 0
) -> Int64[np.ndarray, "n_resamples n"]:
    """How often each image occurs in each resample.

    Args:
        groups: Which group each image belongs to; all different to draw single images.

    Raises:
        ShapeError: There is no image.
    """
    if groups.size == 0:
        raise ShapeError("Expected at least one image to draw from, found none.")
    _, group_of = np.unique(groups, return_inverse=True)
    n_groups = int(group_of.max()) + 1
    generator = np.random.default_rng(seed)
    drawn = generator.multinomial(n_groups, np.full(n_groups, 1 / n_groups), size=n_resamples)
    return drawn[:, group_of]


def bootstrap_mean(
    values: Num[np.ndarray, " n"],
    groups: Shaped[np.ndarray, " n"],
    *,
    n_resamples: int = 1000,
    level: float = 0.95,
    seed: int = 0,
) -> tuple[float, float]:
    """Interval of the mean over images of a score.

    Args:
        values: One score an image.
        groups: Which group each image belongs to.
        level: Coverage aimed at, in (0, 1).
    """
    return bootstrap_ratio(values, np.ones(values.size), groups, n_resamples=n_resamples, level=level, seed=seed)


def bootstrap_ratio(
    above: Num[np.ndarray, " n"],
    below: Num[np.ndarray, " n"],
    groups: Shaped[np.ndarray, " n"],
    *,
    n_resamples: int = 1000,
    level: float = 0.95,
    seed: int = 0,
) -> tuple[float, float]:
    """Interval of sum(above) / sum(below), a ratio of counts pooled over images.

    Resamples whose denominator is 0 say nothing and are left out.
    """
    counts = resample_counts(groups, n_resamples=n_resamples, seed=seed)
    denominators = (counts @ below).astype(np.float64)
    valid = denominators != 0
    return percentile_interval((counts @ above)[valid] / denominators[valid], level=level)


def bootstrap_interval(
    statistic: Callable[[Int64[np.ndarray, " m"]], dict[str, float]],
    groups: Shaped[np.ndarray, " n"],
    *,
    n_resamples: int = 1000,
    level: float = 0.95,
    seed: int = 0,
) -> dict[str, tuple[float, float]]:
    """Intervals of any statistics of the images.

    Args:
        statistic: Takes positions of images, with repeats, and returns numbers by name; not-a-number
            where one is undefined for these images.
        groups: Which group each image belongs to.
    """
    counts = resample_counts(groups, n_resamples=n_resamples, seed=seed)
    positions = np.arange(groups.size)
    rows = [statistic(np.repeat(positions, count)) for count in counts]
    return {
        name: percentile_interval(np.array([row[name] for row in rows], np.float64), level=level) for name in rows[0]
    }


def percentile_interval(values: Float64[np.ndarray, " n"], *, level: float) -> tuple[float, float]:
    """The central part of resampled values; not-a-number values are left out, and are the answer if alone."""
    known = values[~np.isnan(values)]
    if known.size == 0:
        return float("nan"), float("nan")
    low, high = np.percentile(known, [50 * (1 - level), 50 * (1 + level)])
    return float(low), float(high)


@dataclass(frozen=True)
class _McNemarTest:
    """The images on which two models disagree about being right, and how likely that is by chance.

    Attributes:
        only_first: Images that the first model has right and the second wrong.
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
        value: On the images themselves.
        low: Lower end of the interval; `high` the upper.
        p_value: Two-sided: twice the share of resamples on the rarer side of 0, each side counting one resample
            more than it has, at most 1 (Davison and Hinkley 1997, equation 4.10).
    """

    value: float
    low: float
    high: float
    p_value: float


def mcnemar(first_right: Bool[np.ndarray, " n"], second_right: Bool[np.ndarray, " m"]) -> _McNemarTest:
    """Exact test that two models are right equally often on the same images.

    Under that hypothesis each image that only one of them has right is as likely to be the first's as the
    second's (McNemar, Psychometrika 12:153, 1947; the exact binomial form, which needs no minimum of images).
    It treats images as independent: where several come from one slide, `paired_mean_difference` over slides is
    the careful one.

    Raises:
        ShapeError: Not the same images.
    """
    _check_pairs(first_right.size, second_right.size)
    only_first = int((first_right & ~second_right).sum())
    only_second = int((second_right & ~first_right).sum())
    tail = bdtr(float(min(only_first, only_second)), only_first + only_second, 0.5)
    return _McNemarTest(only_first, only_second, float(min(1.0, 2 * tail)))


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
    """Difference of the mean scores of two models on the same images, whole groups drawn together.

    Args:
        first: One score an image of the first model, for instance right or wrong; `second` of the other. Images on
            which one of them is not defined (not-a-number) are left out.
        groups: Which slide or patient each image belongs to; all different to draw single images.
        level: Coverage aimed at by the interval.

    Raises:
        ShapeError: Not the same images, or none.
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
    """The same for a score that is no mean over images, such as macro-F1.

    Args:
        difference: Takes positions of images, with repeats, and returns the first model's score minus the
            second's on just these; not-a-number where one is undefined.
        groups: Which slide or patient each image belongs to.

    Raises:
        ShapeError: There is no image.
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
            f"Expected both models on the same images, at least one, found {n_first} and {n_second}. "
            "Join their answers by the image's id first."
        )


_MIN_GROUPS = 10
N_RESAMPLES = 1000
LEVEL = 0.95
SEED = 0


@dataclass(frozen=True)
class ResamplingUnit:
    """What stays together when images are drawn with replacement.

    Attributes:
        name: "group" or "picture".
        groups: One number an image; equal numbers are drawn together.
        note: A sentence that says what was drawn and why, for whoever reads the interval.
    """

    name: str
    groups: Int64[np.ndarray, " n"]
    note: str


def choose_unit(groups: Shaped[np.ndarray, " n"], organs: Shaped[np.ndarray, " n"] | None = None) -> ResamplingUnit:
    """Groups (slides, patients) where there are at least 10, else single images.

    Args:
        groups: Name of each image's group.
        organs: For scores by class. Where an organ comes from one group only, drawing groups would draw
            organs, so images are drawn.
    """
    codes, names = pd.factorize(groups)
    if names.size == codes.size or names.size < _MIN_GROUPS:
        reason = "" if names.size == codes.size else f", because there are only {names.size} groups"
        return _images(codes.size, reason)
    if organs is not None:
        groups_of_organ = pd.Series(codes).groupby(np.asarray(organs)).nunique()
        n_single = int((groups_of_organ < 2).sum())
        if n_single:
            reason = f", because {n_single} of {groups_of_organ.size} organs come from a single group"
            return _images(codes.size, reason)
    note = f"Intervals: 95 % bootstrap over {names.size} groups of {codes.size} images."
    return ResamplingUnit("group", codes.astype(np.int64), note)


def _images(n_images: int, reason: str) -> ResamplingUnit:
    caution = "; variation between groups (slides, patients) is not in them" if reason else ""
    note = f"Intervals: 95 % bootstrap over {n_images} images{reason}{caution}."
    return ResamplingUnit("picture", np.arange(n_images), note)
