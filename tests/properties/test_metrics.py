"""What holds for every score on every image."""

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from organscope.evaluation.metrics.classification import classification_scores, reliability_sums
from organscope.evaluation.metrics.segmentation import segmentation_scores
from organscope.evaluation.statistics import bootstrap_mean

SHAPE = st.tuples(st.integers(1, 6), st.integers(1, 6))
SYMMETRIC = ("dice", "iou", "rq", "sq", "pq", "f1_50", "ap_50", "ap_70", "ap_90", "mean_ap")


@st.composite
def label_pairs(draw):
    shape = draw(SHAPE)
    labels = arrays(np.int32, shape, elements=st.integers(0, 5))
    return draw(labels), draw(labels)


@st.composite
def probabilities_and_labels(draw):
    n, n_classes = draw(st.integers(1, 12)), draw(st.integers(1, 5))
    weights = draw(arrays(np.float64, (n, n_classes), elements=st.floats(0.01, 1)))
    labels = draw(arrays(np.int64, n, elements=st.integers(0, n_classes - 1)))
    return weights / weights.sum(axis=1, keepdims=True), labels


@given(label_pairs())
def test_segmentation_scores_stay_in_bounds(pair):
    scores = segmentation_scores(*pair)
    assume(any(labels.any() for labels in pair))  # where there is no cell, there is no score
    # One rounding of the sum of matched IoU may lift a perfect score above 1.
    assert all(0 <= value <= 1 + 1e-12 for value in scores.values())
    assert scores["ap_50"] >= scores["ap_60"] >= scores["ap_70"] >= scores["ap_80"] >= scores["ap_90"]
    assert scores["iou"] <= scores["dice"] + 1e-12
    assert scores["pq"] == pytest.approx(scores["rq"] * scores["sq"])


@given(label_pairs())
def test_exchanging_truth_and_prediction_exchanges_the_error_rates(pair):
    forth, back = segmentation_scores(*pair), segmentation_scores(*pair[::-1])
    assert [forth[name] for name in SYMMETRIC] == pytest.approx([back[name] for name in SYMMETRIC], nan_ok=True)
    assert [forth["missed_rate"], forth["false_rate"]] == pytest.approx(
        [back["false_rate"], back["missed_rate"]], nan_ok=True
    )


@given(label_pairs())
def test_a_image_agrees_with_itself(pair):
    assume(pair[0].any())
    scores = segmentation_scores(pair[0], pair[0])
    assert scores.pop("missed_rate") == scores.pop("false_rate") == scores.pop("adapted_rand_error") == 0
    assert list(scores.values()) == pytest.approx([1] * len(scores))


@given(label_pairs(), st.permutations([1, 20, 300, 4000, 50000]))
def test_names_of_cells_do_not_matter(pair, names):
    truth, predicted = pair
    renamed = np.array([0, *names])[predicted]
    before, after = segmentation_scores(truth, predicted), segmentation_scores(truth, renamed)
    # Of two predicted cells that fit a true cell equally well, AJI takes the first, which names decide.
    del before["aji"], after["aji"]
    assert after == pytest.approx(before, nan_ok=True)


@given(probabilities_and_labels(), st.randoms(use_true_random=False))
def test_classification_scores_stay_in_bounds_and_ignore_order(case, random):
    probs, labels = case
    scores = classification_scores(probs, labels)
    bounded = {name: value for name, value in scores.items() if name not in ("brier", "nll")}
    assert all(0 <= value <= 1 + 1e-12 or np.isnan(value) for value in bounded.values())
    assert 0 <= scores["brier"] <= 2
    assert scores["nll"] >= 0

    order = np.array(random.sample(range(labels.size), labels.size))
    assert classification_scores(probs[order], labels[order]) == pytest.approx(scores, nan_ok=True)


@given(probabilities_and_labels())
def test_reliability_counts_every_answer(case):
    probs, labels = case
    sums = reliability_sums(probs.max(axis=1).clip(0, 1), probs.argmax(axis=1) == labels)
    assert sums[0].sum() == labels.size
    assert (sums[1:] <= sums[0] + 1e-12).all()


@settings(max_examples=30)
@given(arrays(np.float64, st.integers(1, 20), elements=st.floats(-10, 10)))
def test_an_interval_lies_within_its_values(values):
    low, high = bootstrap_mean(values, np.arange(values.size), n_resamples=100)
    # Means of equal values differ by rounding.
    assert values.min() - 1e-9 <= low <= high <= values.max() + 1e-9
    one_group = bootstrap_mean(values, np.zeros(values.size), n_resamples=100)
    assert one_group == pytest.approx([values.mean()] * 2)
