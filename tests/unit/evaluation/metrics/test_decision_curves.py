import numpy as np
import pytest

from organscope.decision.risk_control import share_interval
from organscope.errors import ShapeError, ValueRangeError
from organscope.evaluation.metrics.classification import area_under_risk_coverage, net_benefit, risk_coverage


def test_risk_coverage_by_hand():
    curve = risk_coverage(np.array([0.6, 0.9, 0.8, 0.8, 0.5]), np.array([1, 1, 0, 1, 0], bool))
    np.testing.assert_allclose(curve["min_confidence"], [0.9, 0.8, 0.6, 0.5])
    np.testing.assert_allclose(curve["coverage"], [0.2, 0.6, 0.8, 1.0])
    np.testing.assert_allclose(curve["risk"], [0, 1 / 3, 1 / 4, 2 / 5])


def test_area_rewards_doubt_where_mistakes_are():
    correct = np.array([1, 1, 1, 0, 0], bool)
    falling = np.linspace(1, 0.2, 5)
    best = area_under_risk_coverage(falling, correct)
    assert best == pytest.approx((0 + 0 + 0 + 1 / 4 + 2 / 5) / 5)
    assert area_under_risk_coverage(falling[::-1], correct) > area_under_risk_coverage(np.ones(5), correct) > best


def test_net_benefit_by_hand():
    probability = np.array([0.9, 0.6, 0.4, 0.2])
    positive = np.array([1, 0, 1, 0], bool)
    curve = net_benefit(probability, positive, np.array([0.0, 0.2, 0.5]))
    np.testing.assert_allclose(curve["model"], [2 / 4, 2 / 4 - 2 / 4 * 0.25, 1 / 4 - 1 / 4])
    np.testing.assert_allclose(curve["all"], [2 / 4, 2 / 4 - 2 / 4 * 0.25, 0])
    np.testing.assert_array_equal(curve["none"], 0)


def test_no_model_beats_knowing(rng):
    positive = rng.random(200) < 0.3
    curve = net_benefit(rng.random(200), positive, np.linspace(0, 0.99, 34))
    assert np.all(curve["model"] <= positive.mean() + 1e-12)


def test_share_interval_is_that_of_scipy():
    from scipy.stats import binomtest

    for hits, n in ((0, 10), (3, 10), (10, 10)):
        expected = binomtest(hits, n).proportion_ci(method="exact")
        assert share_interval(hits, n) == pytest.approx((expected.low, expected.high))
    assert share_interval(0, 0) == (0.0, 1.0)


def test_wrong_use_is_explained():
    with pytest.raises(ShapeError):
        risk_coverage(np.zeros(0), np.zeros(0, bool))
    with pytest.raises(ShapeError):
        net_benefit(np.zeros(2), np.zeros(3, bool), np.zeros(1))
    with pytest.raises(ValueRangeError, match="no finite price"):
        net_benefit(np.zeros(2), np.zeros(2, bool), np.ones(1))
    with pytest.raises(ValueRangeError):
        share_interval(3, 2)
