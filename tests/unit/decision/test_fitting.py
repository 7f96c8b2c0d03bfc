import numpy as np
import pytest

from organscope.decision import Policy, fit_policy, measure_policy, nearest_distance
from organscope.decision.fitting import fit_min_confidence
from organscope.errors import ShapeError, ValueRangeError

CONFIDENCE = np.array([0.9, 0.8, 0.7, 0.6, 0.5])


def _limit(right, target_error, min_coverage=0.0, confidence=CONFIDENCE):
    return fit_min_confidence(confidence, np.array(right, bool), target_error, min_coverage)


def test_the_lowest_limit_within_the_target_by_hand():
    # Wrong among the accepted, from the surest down: 0, 0, 1/3, 1/4, 2/5.
    right = [1, 1, 0, 1, 0]
    assert _limit(right, 0.0) == 0.8
    assert _limit(right, 0.25) == 0.6
    assert _limit(right, 0.30) == 0.6
    assert _limit(right, 0.40) == 0.0


def test_order_does_not_matter(rng):
    mixed = rng.permutation(5)
    right = np.array([1, 1, 0, 1, 0], bool)
    assert _limit(right[mixed], 0.25, confidence=CONFIDENCE[mixed]) == 0.6


def test_equal_confidences_are_accepted_together():
    # The wrong one cannot be told from the right ones at 0.8.
    assert _limit([1, 1, 0, 1, 1], 0.3, confidence=np.array([0.9, 0.8, 0.8, 0.8, 0.1])) == 0.0
    assert _limit([1, 0, 1, 1, 0], 0.25, confidence=np.array([0.9, 0.8, 0.8, 0.8, 0.1])) == 0.8
    assert _limit([1, 0, 1, 1, 0], 0.20, confidence=np.array([0.9, 0.8, 0.8, 0.8, 0.1])) == 0.9


def test_where_the_target_cannot_be_had_the_best_with_coverage_is_taken():
    # The surest is wrong, so no limit keeps 0.1; of 2 or more accepted, all but the last is best (2/4).
    assert _limit([0, 1, 0, 1, 0], 0.1, min_coverage=0.4) == 0.6
    # Nothing is ever right: the lowest limit of equally bad ones.
    assert _limit([0, 0, 0, 0, 0], 0.1, min_coverage=0.4) == 0.0


def test_coverage_goes_before_the_target():
    assert _limit([1, 1, 0, 0, 0], 0.0, min_coverage=0.6) == 0.7


@pytest.mark.parametrize(("target", "coverage"), [(5.0, 0.5), (-0.1, 0.5), (0.05, 50.0)])
def test_shares_are_fractions(target, coverage):
    with pytest.raises(ValueRangeError, match="not percents"):
        _limit([1] * 5, target, coverage)


def _pictures(rng, n):
    """Embeddings around three directions; logits that are twice too sure, and often wrong where unsure."""
    labels = rng.integers(0, 3, n)
    features = 4 * np.eye(8)[labels] + rng.normal(scale=0.5, size=(n, 8))
    true_logits = 3.0 * np.eye(3)[labels] + rng.normal(scale=1.5, size=(n, 3))
    return (2 * true_logits).astype(np.float32), labels, features.astype(np.float32)


def test_a_fitted_policy_keeps_its_promises_on_other_images(rng):
    reference = _pictures(rng, 300)[2]
    logits, labels, features = _pictures(rng, 2000)
    known = nearest_distance(features, reference, Policy().n_neighbours)
    policy = fit_policy(logits, labels, known, target_error=0.05, reference="known.safetensors")
    assert policy.reference == "known.safetensors"
    assert policy.temperature > 1.2
    assert 0 < policy.min_confidence < 1
    other_logits, other_labels, other_features = _pictures(rng, 4000)
    distances = nearest_distance(other_features, reference, policy.n_neighbours)
    # 2,000 images determine shares of 5 % to about 0.005, and 4,000 measure them to 0.004.
    assert (distances > policy.max_distance).mean() == pytest.approx(0.05, abs=0.02)
    figures = measure_policy(other_logits, other_labels, distances, policy)
    assert figures.wrong_among_accepted == pytest.approx(0.05, abs=0.02)
    assert figures.coverage >= 0.5
    assert figures.n_images == 4000
    plain = measure_policy(other_logits, other_labels, distances, Policy())
    assert plain.coverage == 1.0
    assert plain.wrong_among_accepted > 0.1


def test_nothing_accepted_is_nothing_wrong():
    logits, distances = np.zeros((2, 2)), np.ones(2, np.float32)
    figures = measure_policy(logits, np.zeros(2, int), distances, Policy(max_distance=0.5))
    assert (figures.coverage, figures.wrong_among_accepted) == (0.0, 0.0)


def test_too_few_references_are_refused(rng):
    features = _pictures(rng, 20)[2]
    with pytest.raises(ShapeError, match="fewer neighbors"):
        nearest_distance(features, features[:4], 5)
