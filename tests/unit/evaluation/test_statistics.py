"""Bootstrap intervals against theory, brute force and each other."""

import numpy as np
import pytest

from organscope.errors import ShapeError
from organscope.evaluation.statistics import (
    bootstrap_interval,
    bootstrap_mean,
    bootstrap_ratio,
    percentile_interval,
    resample_counts,
)


def test_images_of_a_group_are_drawn_together():
    groups = np.array(["a", "b", "a", "c"])
    counts = resample_counts(groups, n_resamples=50, seed=3)
    assert counts.shape == (50, 4)
    np.testing.assert_array_equal(counts[:, 0], counts[:, 2])
    # Three groups are drawn each time.
    np.testing.assert_array_equal(counts[:, [0, 1, 3]].sum(axis=1), 3)


def test_interval_of_a_mean_agrees_with_the_normal_one(rng):
    values = rng.normal(5, 2, 400)
    low, high = bootstrap_mean(values, np.arange(400), n_resamples=4000)
    half = 1.96 * values.std() / 20
    # 4000 resamples place a 2.5 % point to about .003 of the standard deviation.
    assert (low, high) == pytest.approx((values.mean() - half, values.mean() + half), abs=0.02)


def test_few_groups_widen_the_interval(rng):
    effects = np.repeat(rng.normal(size=12), 30)
    values = effects + rng.normal(0, 0.1, effects.size)
    alone, grouped = (bootstrap_mean(values, groups) for groups in (np.arange(360), effects))
    assert np.diff(grouped) > 3 * np.diff(alone)


def test_ratio_and_mean_agree_with_the_general_form(rng):
    above, below = rng.integers(0, 5, 40), rng.integers(5, 9, 40)
    groups = rng.integers(0, 15, 40)
    general = bootstrap_interval(
        lambda drawn: {"ratio": above[drawn].sum() / below[drawn].sum(), "mean": above[drawn].mean()}, groups
    )
    assert bootstrap_ratio(above, below, groups) == pytest.approx(general["ratio"])
    assert bootstrap_mean(above, groups) == pytest.approx(general["mean"])


def test_the_seed_decides():
    values, groups = np.arange(20.0), np.arange(20)
    assert bootstrap_mean(values, groups, seed=1) == bootstrap_mean(values, groups, seed=1)
    assert bootstrap_mean(values, groups, seed=1) != bootstrap_mean(values, groups, seed=2)


def test_undefined_resamples_are_left_out():
    assert percentile_interval(np.array([np.nan, 1.0, 3.0]), level=1.0) == (1, 3)
    assert np.isnan(percentile_interval(np.array([np.nan]), level=0.95)).all()
    # Half of the images have no cell to miss; a resample of only those has no rate.
    assert bootstrap_ratio(np.array([1, 0]), np.array([1, 0]), np.array([0, 1])) == (1, 1)


def test_no_image_is_refused():
    with pytest.raises(ShapeError, match="at least one"):
        bootstrap_mean(np.zeros(0), np.zeros(0))
