"""Calibration on cases worked by hand."""

import numpy as np
import pytest

from organscope.errors import ValueRangeError
from organscope.evaluation.metrics.classification import (
    brier_score,
    calibration_error,
    expected_calibration_error,
    negative_log_likelihood,
    reliability_sums,
    reliability_table,
)

CONFIDENCE = np.array([0.0, 0.1, 0.25, 0.5, 0.9, 1.0])
CORRECT = np.array([False, False, True, True, True, False])


def test_reliability_table_worked_by_hand():
    table = reliability_table(CONFIDENCE, CORRECT, n_bins=4)
    # A bin holds its upper edge: {0, .1, .25}, {.5}, {}, {.9, 1}.
    assert table["n"].tolist() == [3, 1, 0, 2]
    assert table["low"].tolist() == [0, 0.25, 0.5, 0.75]
    np.testing.assert_allclose(table["confidence"], [0.35 / 3, 0.5, np.nan, 0.95])
    np.testing.assert_allclose(table["accuracy"], [1 / 3, 1, np.nan, 0.5])


def test_calibration_error_worked_by_hand():
    # |.35 - 1| + |.5 - 1| + |1.9 - 1| over 6 answers.
    assert expected_calibration_error(CONFIDENCE, CORRECT, n_bins=4) == pytest.approx((0.65 + 0.5 + 0.9) / 6)


def test_sums_of_images_add_up():
    parts = [reliability_sums(CONFIDENCE[part], CORRECT[part]) for part in (slice(2), slice(2, 6))]
    assert calibration_error(sum(parts)) == pytest.approx(expected_calibration_error(CONFIDENCE, CORRECT))
    assert calibration_error(np.zeros((3, 15))) == 0


def test_honest_confidences_have_a_small_error(rng):
    confidence = rng.uniform(size=20_000)
    correct = rng.uniform(size=20_000) < confidence
    # 15 bins of some 1300 answers have a standard error of about .01 each.
    assert expected_calibration_error(confidence, correct) < 0.02
    assert expected_calibration_error(confidence**3, correct) > 0.1


def test_brier_and_likelihood_at_their_ends():
    probs = np.array([[1.0, 0.0], [0.0, 1.0]])
    assert brier_score(probs, np.array([0, 1])) == 0
    assert brier_score(probs, np.array([1, 0])) == 2
    assert negative_log_likelihood(probs, np.array([0, 1])) == 0
    assert negative_log_likelihood(probs, np.array([1, 0])) == pytest.approx(-np.log(1e-12))


def test_confidence_outside_its_range_is_refused():
    with pytest.raises(ValueRangeError, match="in \\[0, 1\\]"):
        expected_calibration_error(np.array([1.2]), np.array([True]))
