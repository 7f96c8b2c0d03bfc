import numpy as np
import pytest
from pydantic import ValidationError

from organscope.decision import ProbabilityCurve, fit_probability_curve, fit_temperature, softmax
from organscope.decision.calibration import TEMPERATURE_RANGE
from organscope.errors import ShapeError, ValueRangeError


def _drawn(rng, logits):
    """Labels drawn with the probabilities of these logits: perfectly calibrated at temperature 1."""
    probabilities = softmax(logits)
    return (probabilities.cumsum(axis=1) < rng.random((len(logits), 1))).sum(axis=1)


def test_softmax_by_hand():
    found = softmax(np.log(np.array([[1.0, 2.0, 5.0]])))
    np.testing.assert_allclose(found, [[0.125, 0.25, 0.625]], rtol=1e-12)
    # At temperature 2 odds become their square roots: 1 : 3 instead of 1 : 9.
    np.testing.assert_allclose(softmax(np.log(np.array([[1.0, 9.0]])), 2.0), [[0.25, 0.75]], rtol=1e-12)


def test_softmax_of_huge_logits_is_finite():
    np.testing.assert_array_equal(softmax(np.array([[1e30, 0.0]], np.float32)), [[1.0, 0.0]])


@pytest.mark.parametrize("factor", [0.5, 1.0, 4.0])
def test_the_temperature_of_overconfident_logits_is_found(rng, factor):
    logits = rng.normal(size=(20_000, 5))
    labels = _drawn(rng, logits)
    # 20,000 draws determine T to about 1 %.
    assert fit_temperature((factor * logits).astype(np.float32), labels) == pytest.approx(factor, rel=0.04)


@pytest.mark.parametrize("n", [3, 9, 300])
def test_images_that_are_all_right_promise_no_more_than_their_number_allows(n):
    logits = np.tile(np.eye(3, dtype=np.float32), (n // 3, 1))
    temperature = fit_temperature(logits, np.tile(np.arange(3), n // 3))
    assert softmax(logits, temperature).max() == pytest.approx((n + 1) / (n + 2), rel=1e-3)


def test_a_temperature_without_limit_is_kept_in_its_range():
    logits = np.eye(3, dtype=np.float32)
    # Always wrong: the likeliest T is infinite. The search ends within 1 % of its bound.
    assert fit_temperature(logits, np.array([1, 2, 0])) == pytest.approx(TEMPERATURE_RANGE[1], rel=0.01)
    # A hundred thousand that are all right, with hardly a margin: it is nearly 0.
    sure = np.tile(0.01 * logits, (40_000, 1))
    assert fit_temperature(sure, np.tile(np.arange(3), 40_000)) == pytest.approx(TEMPERATURE_RANGE[0], rel=0.01)


@pytest.mark.parametrize("temperature", [0.0, -1.0, float("nan")])
def test_a_temperature_is_above_0(temperature):
    with pytest.raises(ValueRangeError, match="above 0"):
        softmax(np.zeros((1, 2)), temperature)


@pytest.mark.parametrize(
    ("logits", "labels", "error"),
    [
        (np.zeros((0, 2)), np.zeros(0, int), ShapeError),
        (np.zeros((3, 2)), np.zeros(2, int), ShapeError),
        (np.zeros((2, 2)), np.array([0, 2]), ValueRangeError),
        (np.zeros((2, 2)), np.array([-1, 0]), ValueRangeError),
        (np.full((2, 2), np.nan), np.array([0, 1]), ValueRangeError),
    ],
)
def test_labels_that_do_not_belong_are_refused(logits, labels, error):
    with pytest.raises(error, match="Expected"):
        fit_temperature(logits, labels)


def test_a_curve_undoes_a_distortion(rng):
    truth = rng.random(20_000)
    matched = rng.random(20_000) < truth
    curve = fit_probability_curve(np.sqrt(truth).astype(np.float32), matched)
    at = np.linspace(0.2, 0.95, 16)
    # 32 bins of 625 pairs: a share is known to about 0.02, and the curve lies straight between knots.
    np.testing.assert_allclose(curve.apply(at), at**2, atol=0.06)
    assert len(curve.x) <= 32


def test_few_pairs_promise_neither_0_nor_1():
    curve = fit_probability_curve(np.linspace(0.9, 1.0, 8), np.ones(8, bool))
    # One bin: (8 + 1) / (8 + 2).
    assert curve.y == (0.9,)
    np.testing.assert_allclose(curve.apply(np.array([0.0, 1.0])), 0.9)


def test_bins_of_one_raw_value_become_one_knot():
    curve = fit_probability_curve(np.full(200, 0.5), np.arange(200) % 2 == 0)
    assert curve.x == (0.5,)
    assert curve.y[0] == pytest.approx(0.5)


def test_a_curve_keeps_the_dtype_and_is_flat_beyond_its_ends():
    curve = ProbabilityCurve(x=(0.2, 0.6), y=(0.1, 0.9))
    found = curve.apply(np.array([0.0, 0.2, 0.4, 0.6, 1.0], np.float32))
    assert found.dtype == np.float32
    np.testing.assert_allclose(found, [0.1, 0.1, 0.5, 0.9, 0.9], rtol=1e-6)


@pytest.mark.parametrize(
    ("x", "y"),
    [((), ()), ((0.1,), (0.1, 0.2)), ((0.2, 0.1), (0, 1)), ((0.1, 0.1), (0, 1)), ((0, 1), (1, 0)), ((0, 2), (0, 1))],
)
def test_a_curve_rises(x, y):
    with pytest.raises(ValidationError):
        ProbabilityCurve(x=x, y=y)


@pytest.mark.parametrize(
    ("probability", "matched", "error"),
    [
        (np.zeros(0), np.zeros(0, bool), ShapeError),
        (np.zeros(2), np.zeros(3, bool), ShapeError),
        (np.array([0.5, 1.5]), np.zeros(2, bool), ValueRangeError),
        (np.array([0.5, np.nan]), np.zeros(2, bool), ValueRangeError),
    ],
)
def test_pairs_that_are_none_are_refused(probability, matched, error):
    with pytest.raises(error, match="Expected"):
        fit_probability_curve(probability, matched)
