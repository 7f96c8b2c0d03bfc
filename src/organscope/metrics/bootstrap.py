"""Percentile bootstrap intervals over groups (pictures of one slide are drawn together).

Efron, Ann. Statist. 7:1 (1979); the cluster form of Davison and Hinkley (1997), section 3.8: groups are drawn
with replacement, each with all of its pictures.
"""

from collections.abc import Callable

import numpy as np
from jaxtyping import Float64, Int64, Num, Shaped

from organscope.errors import ShapeError


def resample_counts(
    groups: Shaped[np.ndarray, " n"], *, n_resamples: int = 1000, seed: int = 0
) -> Int64[np.ndarray, "n_resamples n"]:
    """How often each picture occurs in each resample.

    Args:
        groups: Which group each picture belongs to; all different to draw single pictures.

    Raises:
        ShapeError: There is no picture.
    """
    if groups.size == 0:
        raise ShapeError("Expected at least one picture to draw from, found none.")
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
    """Interval of the mean over pictures of a score.

    Args:
        values: One score a picture.
        groups: Which group each picture belongs to.
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
    """Interval of sum(above) / sum(below), a ratio of counts pooled over pictures.

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
    """Intervals of any statistics of the pictures.

    Args:
        statistic: Takes positions of pictures, with repeats, and returns numbers by name; not-a-number
            where one is undefined for these pictures.
        groups: Which group each picture belongs to.
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
