"""Classification scores against a hand-worked case and scikit-learn."""

import numpy as np
import pytest
from sklearn import metrics as sklearn_metrics

from organscope.errors import ShapeError, ValueRangeError
from organscope.evaluation.metrics.classification import (
    classification_scores,
    confusion_matrix,
    one_vs_rest_auc,
    per_class_scores,
)

PROBS = np.array([[0.8, 0.1, 0.1], [0.4, 0.5, 0.1], [0.2, 0.7, 0.1], [0.6, 0.3, 0.1]])
LABELS = np.array([0, 0, 1, 1])


def random_case(rng, n=200, n_classes=6, *, decimals=2):
    logits = rng.normal(size=(n, n_classes))
    labels = rng.integers(0, n_classes - 1, n)
    logits[np.arange(n), labels] += 1
    # Rounding makes ties, which the area under the curve has to count as one half.
    probs = np.round(np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True), decimals)
    return probs / probs.sum(axis=1, keepdims=True), labels


def test_hand_worked_scores():
    scores = classification_scores(PROBS, LABELS)
    # Answers 0, 1, 1, 0: each of two classes is right once of twice; class 2 does not occur.
    assert scores["accuracy"] == scores["balanced_accuracy"] == scores["macro_f1"] == 0.5
    # Class 0: .8 and .4 against .2 and .6 wins 3 of 4; class 1: .7 and .3 against .1 and .5 wins 3 of 4.
    assert scores["macro_auc"] == 0.75
    # Confidences .8 (right), .5 (wrong), .7 (right), .6 (wrong), each in a bin of its own.
    assert scores["ece"] == pytest.approx((0.2 + 0.5 + 0.3 + 0.6) / 4)
    assert scores["brier"] == pytest.approx((0.06 + 0.62 + 0.14 + 0.86) / 4)
    assert scores["nll"] == pytest.approx(-np.log([0.8, 0.4, 0.7, 0.3]).mean())


def test_agrees_with_scikit_learn(rng):
    probs, labels = random_case(rng)
    predicted, present = probs.argmax(axis=1), np.unique(labels)
    scores = classification_scores(probs, labels)

    assert scores["accuracy"] == pytest.approx(sklearn_metrics.accuracy_score(labels, predicted))
    recall = sklearn_metrics.recall_score(labels, predicted, labels=present, average="macro")
    assert scores["balanced_accuracy"] == pytest.approx(recall)
    f1 = sklearn_metrics.f1_score(labels, predicted, labels=present, average="macro")
    assert scores["macro_f1"] == pytest.approx(f1)
    assert scores["nll"] == pytest.approx(
        sklearn_metrics.log_loss(labels, np.maximum(probs, 1e-12), labels=range(6)), rel=1e-9
    )
    areas = [sklearn_metrics.roc_auc_score(labels == k, probs[:, k]) for k in present]
    np.testing.assert_allclose(one_vs_rest_auc(probs, labels)[present], areas)
    assert np.isnan(one_vs_rest_auc(probs, labels)[5])


def test_per_class_scores_agree_with_scikit_learn(rng):
    probs, labels = random_case(rng)
    predicted = probs.argmax(axis=1)
    confusion = confusion_matrix(labels, predicted, n_classes=6)

    np.testing.assert_array_equal(confusion, sklearn_metrics.confusion_matrix(labels, predicted, labels=range(6)))
    expected = sklearn_metrics.precision_recall_fscore_support(labels, predicted, labels=range(6), zero_division=0)
    found = per_class_scores(confusion)
    for name, values in zip(("precision", "recall", "f1", "n"), expected, strict=True):
        np.testing.assert_allclose(found[name], values)


def test_float32_probabilities_score_alike(rng):
    probs, labels = random_case(rng, decimals=9)
    scores = classification_scores(probs, labels)
    # float32 keeps 7 digits.
    assert classification_scores(probs.astype(np.float32), labels) == pytest.approx(scores, rel=1e-5)


@pytest.mark.parametrize(
    ("probs", "labels", "error", "sentence"),
    [
        (PROBS, LABELS[:3], ShapeError, "one label a row"),
        (PROBS[:0], LABELS[:0], ShapeError, "one label a row"),
        (PROBS * 2, LABELS, ValueRangeError, "softmax"),
        (PROBS * np.nan, LABELS, ValueRangeError, "softmax"),
        (PROBS, LABELS + 2, ValueRangeError, "from 0 to 2"),
    ],
)
def test_wrong_input_is_refused(probs, labels, error, sentence):
    with pytest.raises(error, match=sentence):
        classification_scores(probs, labels)
