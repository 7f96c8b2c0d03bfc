"""Promises, sets and decisions keep their meaning for any probabilities."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from organscope.decision import (
    Policy,
    RecallGuarantee,
    Rules,
    decide,
    decide_all,
    fit_conformal,
    fit_recall_guarantees,
    in_sets,
    recall_guarantee,
)
from organscope.decision.risk_control import allowed_misses, level_of_misses, positives_needed, recall_threshold
from organscope.evaluation.metrics.classification import area_under_risk_coverage, risk_coverage
from organscope.evaluation.statistics import holm, mcnemar

LEVELS = st.floats(0.05, 0.995)
CONFIDENCES = st.floats(0.5, 0.99)
SHARES = st.floats(0, 1, width=32)


@st.composite
def labelled_probabilities(draw):
    """Probabilities of up to 40 images and 4 organs, often equal to one another, with labels."""
    n, c = draw(st.integers(1, 40)), draw(st.integers(2, 4))
    weights = draw(hnp.arrays(np.float64, (n, c), elements=st.sampled_from([0.1, 0.5, 1.0, 3.0, 20.0])))
    labels = draw(hnp.arrays(np.int64, n, elements=st.integers(0, c - 1)))
    return weights / weights.sum(axis=1, keepdims=True), labels


@given(hnp.arrays(np.float64, st.integers(1, 80), elements=SHARES), LEVELS, CONFIDENCES)
def test_threshold_misses_no_more_than_is_allowed(scores, level, confidence):
    threshold = recall_threshold(scores, level, confidence)
    allowed = allowed_misses(scores.size, level, confidence)
    if threshold is None:
        assert allowed == -1
        return
    assert (scores < threshold).sum() <= allowed
    # One more miss would break the promise.
    assert (scores <= threshold).sum() > allowed


@given(st.integers(1, 300), LEVELS, LEVELS, CONFIDENCES)
def test_higher_promises_allow_fewer_misses(n, one, other, confidence):
    low, high = sorted((one, other))
    assert allowed_misses(n, high, confidence) <= allowed_misses(n, low, confidence)


@given(st.integers(1, 200), st.data())
def test_level_of_misses_is_the_other_way_round(n, data):
    misses = data.draw(st.integers(0, n - 1))
    level = level_of_misses(misses, n)
    if 0.01 < level < 0.999:
        assert allowed_misses(n, level * (1 - 1e-6)) >= misses > allowed_misses(n, min(level * (1 + 1e-6), 0.9999)) - 1


@given(LEVELS, CONFIDENCES)
def test_fewest_positives(level, confidence):
    n = positives_needed(level, confidence)
    assert allowed_misses(n, level, confidence) >= 0
    assert n == 1 or allowed_misses(n - 1, level, confidence) == -1


@given(labelled_probabilities(), LEVELS)
def test_contract_says_what_its_threshold_does(found, asked):
    probabilities, labels = found
    organs = [f"organ {number}" for number in range(probabilities.shape[1])]
    contract = fit_recall_guarantees(probabilities, labels, organs)
    for number, organ in enumerate(organs):
        said = recall_guarantee(contract, organ, asked)
        flagged = probabilities[:, number] >= said.threshold
        assert said.n_false == flagged[labels != number].sum()
        assert said.n_missed == (~flagged)[labels == number].sum()
        assert said.kept == (said.level >= asked)


@given(labelled_probabilities(), st.floats(0.5, 0.95))
def test_sets_cover_the_calibration_images(found, coverage):
    probabilities, labels = found
    sets = in_sets(probabilities, fit_conformal(probabilities, labels, coverage=coverage))
    covered = sets[np.arange(labels.size), labels]
    assert covered.mean() >= coverage
    assert sets.any(axis=1).all()


@given(labelled_probabilities(), st.floats(0, 1), st.floats(0, 2), st.floats(0, 1))
def test_many_images_are_decided_as_each_alone(found, min_confidence, max_distance, threshold):
    probabilities, labels = found
    policy = Policy(min_confidence=min_confidence, max_distance=max_distance)
    said = RecallGuarantee("organ 0", 0.9, 0.9, 0.9, threshold, 1, 0, 1, 0)
    rules = Rules(promise=said, positive=0)
    distances = np.linspace(0, 2, labels.size)
    together = decide_all(probabilities, distances, policy, rules=rules)
    for i, row in enumerate(probabilities):
        alone = decide(row, float(distances[i]), policy, rules=rules)
        assert alone.organ_index == together.organ_index[i]
        assert (alone.decision == "accept") == together.accepted[i] == (alone.reason == "")
        assert alone.reason == together.reasons[i]
        assert alone.flagged == together.flagged[i]


@given(hnp.arrays(np.float64, st.integers(1, 30), elements=SHARES), st.data())
def test_risk_coverage_ends_at_the_error_rate(confidence, data):
    correct = data.draw(hnp.arrays(np.bool_, confidence.size))
    curve = risk_coverage(confidence, correct)
    assert np.all(np.diff(curve["coverage"]) > 0)
    assert curve["coverage"][-1] == 1
    assert np.isclose(curve["risk"][-1], (~correct).mean())
    assert 0 <= area_under_risk_coverage(confidence, correct) <= 1


@given(hnp.arrays(np.bool_, st.integers(1, 30)), st.data())
def test_mcnemar_is_symmetric(first, data):
    second = data.draw(hnp.arrays(np.bool_, first.size))
    one, other = mcnemar(first, second), mcnemar(second, first)
    assert one.p_value == other.p_value
    assert 0 < one.p_value <= 1
    assert one.only_first == other.only_second


@given(hnp.arrays(np.float64, st.integers(1, 20), elements=SHARES))
def test_holm_keeps_the_order(p_values):
    adjusted = holm(p_values)
    assert np.all((adjusted >= p_values) & (adjusted <= 1))
    order = np.argsort(p_values, kind="stable")
    assert np.all(np.diff(adjusted[order]) >= 0)
