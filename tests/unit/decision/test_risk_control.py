"""The recall contract by hand, against MAPIE, and its limits."""

import warnings

import numpy as np
import pytest

from organscope.decision.risk_control import (
    allowed_misses,
    fit_recall_guarantees,
    highest_level,
    level_of_misses,
    positives_needed,
    recall_guarantee,
    recall_threshold,
)
from organscope.errors import ShapeError, UnknownNameError, ValueRangeError


@pytest.mark.parametrize(("level", "n"), [(0.95, 45), (0.90, 22), (0.5, 4), (0.99, 230)])
def test_positives_needed_for_a_level(level, n):
    assert positives_needed(level) == n
    assert allowed_misses(n, level) == 0
    assert allowed_misses(n - 1, level) == -1


def test_boundaries_are_not_lost_to_rounding():
    # .5 ** 3 = .125 is not above 1 - .875.
    assert all(allowed_misses(n, highest_level(n)) >= 0 for n in range(1, 400))
    assert positives_needed(0.5, confidence=0.875) == 3
    assert [highest_level(n) for n in (0, 1, 5, 22, 45, 60, 500)] == [0.0, 0.1, 0.63, 0.9, 0.95, 0.96, 0.995]


def test_misses_that_are_allowed_by_hand():
    # P(at most 1 of 4 misses) at a miss rate of one half is 5 / 16.
    assert allowed_misses(4, 0.5, confidence=1 - 5 / 16) == 1
    assert allowed_misses(4, 0.5, confidence=1 - 4 / 16) == 0
    assert level_of_misses(1, 4, confidence=1 - 5 / 16) == pytest.approx(0.5)
    assert level_of_misses(4, 4) == 0.0


def test_threshold_is_the_lowest_score_after_the_allowed_misses():
    scores = np.array([0.9, 0.2, 0.5, 0.7])
    assert recall_threshold(scores, 0.5, confidence=0.6) == 0.5
    assert recall_threshold(scores, 0.5, confidence=0.9) == 0.2
    assert recall_threshold(scores, 0.95) is None


def test_equal_scores_are_flagged_together():
    assert recall_threshold(np.array([0.3, 0.3, 0.3, 0.9]), 0.5, confidence=0.6) == 0.3


def _scores(rng, n_positive, n_negative):
    """Two-class probabilities and labels."""
    score = np.concatenate([rng.beta(4, 2, n_positive), rng.beta(2, 5, n_negative)])
    return np.stack([1 - score, score], axis=1), np.repeat([1, 0], [n_positive, n_negative])


@pytest.mark.parametrize("level", [0.6, 0.75, 0.9, 0.95])
@pytest.mark.parametrize("n_positive", [32, 64, 128])
def test_mapie_finds_the_same(rng, n_positive, level):
    """On a grid that holds every score, MAPIE's fixed-sequence test stops at the same threshold.

    With a power of two positives, n x (1 - recall) is exact; else MAPIE 1.6 may round one miss up to two.
    """
    risk_control = pytest.importorskip("mapie.risk_control", reason="MAPIE is a development extra")
    probabilities, labels = _scores(rng, n_positive, 40)
    controller = risk_control.BinaryClassificationController(
        predict_function=lambda rows: rows,
        risk="recall",
        target_level=level,
        confidence_level=0.9,
        list_predict_params=np.sort(probabilities[:, 1]),
        fwer_method="fixed_sequence",
    )
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        controller.calibrate(probabilities, labels)
    found = recall_threshold(probabilities[labels == 1, 1], level)
    assert found is not None or controller.best_predict_param is None
    if found is not None:
        assert controller.valid_predict_params.max() == found


@pytest.mark.parametrize("n_positive", [22, 45, 77, 100])
def test_mapie_is_never_bolder(rng, n_positive):
    risk_control = pytest.importorskip("mapie.risk_control", reason="MAPIE is a development extra")
    probabilities, labels = _scores(rng, n_positive, 20)
    controller = risk_control.BinaryClassificationController(
        lambda rows: rows, "recall", 0.9, 0.9, list_predict_params=np.linspace(0, 0.99, 500),
        fwer_method="fixed_sequence",
    )  # fmt: skip
    controller.calibrate(probabilities, labels)
    assert controller.best_predict_param <= recall_threshold(probabilities[labels == 1, 1], 0.9)


def _contract(rng):
    """Two organs, of which the first has 60 images and the second 5."""
    labels = np.repeat([0, 1], [60, 5])
    score = np.where(labels == 0, rng.uniform(0.4, 1, 65), rng.uniform(0, 0.6, 65))
    return fit_recall_guarantees(np.stack([score, 1 - score], axis=1), labels, ["liver", "lung"]), score, labels


def test_contract_keeps_its_counts(rng):
    contract, score, labels = _contract(rng)
    found = recall_guarantee(contract, "liver", 0.9)
    assert (found.level, found.kept, found.n_positive, found.n_negative) == (0.9, True, 60, 5)
    assert found.n_missed == (score[labels == 0] < found.threshold).sum() == allowed_misses(60, 0.9)
    assert found.n_false == (score[labels == 1] >= found.threshold).sum()
    assert found.false_alarm_rate == found.n_false / 5
    low, high = found.false_alarm_interval
    assert low <= found.false_alarm_rate <= high


def test_levels_between_are_rounded_up(rng):
    contract, *_ = _contract(rng)
    assert recall_guarantee(contract, "liver", 0.853).level == 0.86
    assert recall_guarantee(contract, "liver", 0.1).level == 0.5


def test_too_few_positives_promise_the_most_they_allow(rng):
    contract, *_ = _contract(rng)
    found = recall_guarantee(contract, "lung", 0.95)
    assert not found.kept
    assert found.level == highest_level(5) == 0.63
    assert (found.n_needed, found.n_missed) == (45, 0)
    assert recall_guarantee(contract, "liver", 0.99).level == highest_level(60)


def test_an_organ_without_images_promises_nothing():
    contract = fit_recall_guarantees(np.array([[0.7, 0.3]]), np.array([0]), ["liver", "lung"])
    found = recall_guarantee(contract, "lung")
    assert (found.level, found.threshold, found.kept) == (0.0, 0.0, False)
    assert recall_guarantee(contract, "liver").n_negative == 0
    assert np.isnan(recall_guarantee(contract, "liver").false_alarm_rate)


def test_contract_survives_json(rng):
    contract, *_ = _contract(rng)
    assert type(contract).model_validate_json(contract.model_dump_json()) == contract


def test_names_that_are_near_are_told(rng):
    contract, *_ = _contract(rng)
    with pytest.raises(UnknownNameError, match="Did you mean liver"):
        recall_guarantee(contract, "livr")


def test_wrong_use_is_explained(rng):
    with pytest.raises(ValueRangeError, match="between 0 and 1, found 95"):
        allowed_misses(10, 95.0)
    with pytest.raises(ValueRangeError, match="Expected a confidence"):
        positives_needed(0.9, 1.0)
    with pytest.raises(ShapeError, match="one row a labeled image"):
        fit_recall_guarantees(np.zeros((3, 2)), np.array([0, 1]), ["a", "b"])
