"""Calibration keeps the order, decisions keep their limits."""

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from organscope.decide import Policy, decide, fit_probability_curve, nearest_distance, softmax
from organscope.decide.policy_fit import fit_min_confidence

share = st.floats(0, 1)
logits = arrays(np.float32, st.tuples(st.integers(1, 5), st.integers(2, 6)), elements=st.floats(-50, 50, width=32))


@given(logits, st.floats(0.05, 20))
def test_probabilities_sum_to_1_and_keep_the_first(values, temperature):
    found = softmax(values, temperature)
    np.testing.assert_allclose(found.sum(axis=1), 1.0, rtol=1e-12)
    rows = np.arange(len(values))
    assert (found[rows, values.argmax(axis=1)] == found.max(axis=1)).all()


@given(st.lists(st.tuples(share, st.booleans()), min_size=1, max_size=300))
@settings(deadline=None)
def test_a_curve_never_turns_the_order_round(pairs):
    probability = np.array([p for p, _ in pairs])
    curve = fit_probability_curve(probability, np.array([m for _, m in pairs]))
    found = curve.apply(np.sort(probability))
    assert (np.diff(found) >= 0).all()
    assert (found > 0).all()
    assert (found < 1).all()


@given(
    st.lists(st.tuples(st.sampled_from([0.2, 0.4, 0.6, 0.8, 1.0]), st.booleans()), min_size=1, max_size=30),
    share,
    share,
)
def test_a_limit_keeps_the_target_wherever_it_can_be_had(pairs, target, coverage):
    confidence = np.array([c for c, _ in pairs])
    right = np.array([r for _, r in pairs])
    limit = fit_min_confidence(confidence, right, target, coverage)
    shares = {c: (~right[confidence >= c]).mean() for c in confidence if (confidence >= c).mean() >= coverage}
    accepted = confidence >= limit
    assert accepted.mean() >= coverage
    found = (~right[accepted]).mean()
    assert found <= target or found == min(shares.values())
    if min(shares.values()) <= target:
        lowest = min(c for c, wrong in shares.items() if wrong <= target)
        np.testing.assert_array_equal(accepted, confidence >= lowest)


@given(st.integers(2, 6), st.floats(0, 2), share, st.floats(0, 2), st.integers(0, 99))
def test_accepted_is_what_keeps_both_limits(n_classes, distance, min_confidence, max_distance, seed):
    probabilities = np.random.default_rng(seed).dirichlet(np.ones(n_classes))
    policy = Policy(min_confidence=min_confidence, max_distance=max_distance)
    decision = decide(probabilities, distance, policy)
    keeps = probabilities.max() >= min_confidence and distance <= max_distance
    assert (decision.decision == "accept") == keeps == (decision.reason == "")


@given(
    arrays(np.float32, (6, 4), elements=st.floats(-10, 10, width=32)),
    arrays(np.float32, (5, 4), elements=st.floats(-10, 10, width=32)),
    st.floats(0.1, 100),
)
def test_distances_lie_in_0_to_2_and_grow_with_k(asked, reference, factor):
    distances = np.stack([nearest_distance(asked, reference, k) for k in range(1, 6)])
    assert distances.min() >= 0
    assert distances.max() <= 2
    assert (np.diff(distances, axis=0) >= 0).all()
    scaled = nearest_distance((asked * np.float32(factor)), reference, 1)
    # Squares of float32 vectors: errors of 1e-7 in the square are 3e-4 in the distance.
    lengths = np.linalg.norm(asked, axis=1)
    np.testing.assert_allclose(scaled[lengths > 1e-3], distances[0][lengths > 1e-3], atol=1e-3)
