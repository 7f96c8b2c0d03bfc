import numpy as np
import pytest
from scipy.stats import binomtest, false_discovery_control

from organscope.errors import ShapeError, ValueRangeError
from organscope.evaluation.metrics.classification import classification_scores
from organscope.evaluation.statistics import holm, mcnemar, paired_difference, paired_mean_difference


def test_mcnemar_by_hand():
    first = np.array([1, 1, 1, 1, 0, 1, 0], bool)
    second = np.array([0, 0, 0, 1, 1, 1, 0], bool)
    found = mcnemar(first, second)
    assert (found.only_first, found.only_second) == (3, 1)
    # Two-sided: 2 x P(at most 1 of 4 heads) = 2 x 5 / 16.
    assert found.p_value == pytest.approx(10 / 16)


def test_mcnemar_is_the_binomial_test_of_scipy(rng):
    first, second = rng.random(300) < 0.9, rng.random(300) < 0.82
    found = mcnemar(first, second)
    expected = binomtest(found.only_first, found.only_first + found.only_second).pvalue
    assert found.p_value == pytest.approx(expected)
    assert mcnemar(second, first).p_value == found.p_value


def test_models_that_never_disagree_do_not_differ():
    assert mcnemar(np.ones(5, bool), np.ones(5, bool)).p_value == 1.0


def test_holm_by_hand():
    np.testing.assert_allclose(holm(np.array([0.04, 0.01, 0.03])), [0.06, 0.03, 0.06])
    np.testing.assert_allclose(holm(np.array([0.6, 0.7])), [1.0, 1.0])
    assert holm(np.zeros(0)).size == 0
    with pytest.raises(ValueRangeError):
        holm(np.array([1.2]))


def test_holm_lies_between_one_question_and_bonferroni(rng):
    p = rng.random(20) ** 3
    adjusted = holm(p)
    assert np.all(adjusted >= p)
    assert np.all(adjusted <= np.minimum(20 * p, 1))
    # Benjamini and Hochberg control less and so never adjust more.
    assert np.all(adjusted >= false_discovery_control(p) - 1e-12)


def test_holm_rejects_what_mapie_rejects(rng):
    control = pytest.importorskip("mapie.risk_control.fwer_control", reason="MAPIE is a development extra")
    for _ in range(20):
        p = rng.random(8) ** 4
        rejected = control.control_fwer(p, 0.05, "bonferroni_holm")
        np.testing.assert_array_equal(np.flatnonzero(holm(p) <= 0.05), rejected)


def test_difference_of_means_is_paired(rng):
    hard = rng.random(400) < 0.4
    first = ~hard | (rng.random(400) < 0.2)
    second = ~hard
    found = paired_mean_difference(first, second, np.arange(400))
    assert found.value == pytest.approx(first.mean() - second.mean())
    assert 0 < found.low < found.value < found.high
    assert found.p_value < 0.001
    mirrored = paired_mean_difference(second, first, np.arange(400))
    assert (mirrored.value, mirrored.low, mirrored.high) == pytest.approx((-found.value, -found.high, -found.low))


def test_equal_models_have_no_difference():
    right = np.array([True, False, True])
    found = paired_mean_difference(right, right, np.arange(3))
    assert (found.value, found.low, found.high, found.p_value) == (0, 0, 0, 1)


def test_few_groups_make_it_less_sure(rng):
    first, second = rng.random(200) < 0.9, rng.random(200) < 0.8
    alone = paired_mean_difference(first, second, np.arange(200))
    slides = np.repeat(np.arange(4), 50)
    together = paired_mean_difference(first & (slides > 0), second & (slides < 3), slides)
    assert together.high - together.low > alone.high - alone.low


def test_difference_of_any_score(rng):
    labels = rng.integers(0, 3, 120)
    sure = np.eye(3)[labels] * 0.8 + 0.2 / 3
    dull = np.full((120, 3), 1 / 3)

    def difference(drawn):
        return (
            classification_scores(sure[drawn], labels[drawn])["macro_f1"]
            - classification_scores(dull[drawn], labels[drawn])["macro_f1"]
        )

    found = paired_difference(difference, np.arange(120), n_resamples=50)
    assert found.value == pytest.approx(difference(np.arange(120)))
    assert found.low > 0.5
    assert found.p_value == pytest.approx(2 / 51)


def test_other_images_are_refused():
    with pytest.raises(ShapeError, match="same images"):
        mcnemar(np.ones(3, bool), np.ones(4, bool))


def test_images_without_a_score_are_left_out_of_paired_means():
    first, second = np.array([0.9, np.nan, 0.7, 0.5]), np.array([0.5, 0.0, 0.6, np.nan])
    groups = np.arange(4)
    found = paired_mean_difference(first, second, groups)
    assert found == paired_mean_difference(first[[0, 2]], second[[0, 2]], groups[:2])
    assert np.isnan(paired_mean_difference(first * np.nan, second, groups).value)
