import numpy as np
import pytest

from organscope.decision.conformal import ConformalSets, fit_conformal, in_sets
from organscope.errors import ShapeError, ValueRangeError


def _two_classes(of_truth, labels):
    probabilities = np.stack([1 - of_truth, of_truth], axis=1)
    return np.where(np.array(labels)[:, None] == 1, probabilities, probabilities[:, ::-1])


def test_limit_by_hand():
    # (9 + 1) x .8 = 8: the 8th largest of the 9 probabilities .1 to .9 is .2.
    of_truth = np.linspace(0.1, 0.9, 9)
    sets = fit_conformal(_two_classes(of_truth, [1] * 9), np.ones(9, int), coverage=0.8)
    assert sets.limit == pytest.approx(0.2)
    assert (sets.n, sets.by_organ) == (9, {})


def test_nine_images_are_the_fewest_for_ninety_percent():
    of_truth = np.linspace(0.1, 0.9, 9)
    labels = np.ones(9, int)
    assert fit_conformal(_two_classes(of_truth, labels), labels).limit == pytest.approx(0.1)
    assert fit_conformal(_two_classes(of_truth[1:], labels[1:]), labels[1:]).limit == 0.0


def test_own_limits_from_nineteen_images_on(rng):
    labels = np.repeat([0, 1], [19, 18])
    sets = fit_conformal(_two_classes(rng.uniform(0, 1, 37), labels), labels)
    assert list(sets.by_organ) == [0]


def test_the_lower_limit_counts_so_that_both_promises_hold():
    sets = ConformalSets(coverage=0.9, n=50, limit=0.3, by_organ={0: 0.1, 2: 0.5})
    np.testing.assert_array_equal(sets.limits(3), [0.1, 0.3, 0.3])
    inside = in_sets(np.array([[0.2, 0.2, 0.6], [0.05, 0.3, 0.65]]), sets)
    np.testing.assert_array_equal(inside, [[True, False, True], [False, True, True]])


def test_no_set_is_empty():
    sets = ConformalSets(coverage=0.9, n=50, limit=0.9)
    np.testing.assert_array_equal(in_sets(np.array([[0.3, 0.45, 0.25]]), sets), [[False, True, False]])


def test_mapie_finds_the_same_limit(rng):
    """Split LAC of MAPIE, prefitted, on the same held-out probabilities."""
    classification = pytest.importorskip("mapie.classification", reason="MAPIE is a development extra")
    from sklearn.linear_model import LogisticRegression

    labels = rng.integers(0, 3, 200)
    look = np.eye(3)[labels] + rng.normal(scale=0.7, size=(200, 3))
    model = LogisticRegression().fit(look[:100], labels[:100])
    mapie = classification.SplitConformalClassifier(model, confidence_level=0.9, conformity_score="lac", prefit=True)
    mapie.conformalize(look[100:], labels[100:])
    asked = rng.normal(size=(500, 3))
    _, theirs = mapie.predict_set(asked)
    sets = fit_conformal(model.predict_proba(look[100:]), labels[100:]).model_copy(update={"by_organ": {}})
    ours = model.predict_proba(asked) >= sets.limit
    np.testing.assert_array_equal(ours, theirs[:, :, 0])


def test_wrong_use_is_explained():
    with pytest.raises(ShapeError):
        fit_conformal(np.zeros((0, 2)), np.zeros(0, int))
    with pytest.raises(ValueRangeError, match="coverage between 0 and 1"):
        fit_conformal(np.array([[0.5, 0.5]]), np.array([0]), coverage=90.0)
