import numpy as np
import pytest
from pydantic import ValidationError

from organscope.decision import Policy, decide
from organscope.errors import ValueRangeError

POLICY = Policy(min_confidence=0.62, max_distance=0.35)


def _decide(confidence, distance, policy=POLICY):
    return decide(np.array([1 - confidence, confidence]), distance, policy)


def test_what_is_sure_and_known_is_accepted():
    decision = _decide(0.9, 0.1)
    assert (decision.organ_index, decision.confidence, decision.distance) == (1, 0.9, 0.1)
    assert (decision.decision, decision.reason) == ("accept", "")


def test_limits_themselves_are_accepted():
    assert _decide(0.62, 0.35).decision == "accept"


def test_reasons_are_in_plain_words():
    unsure = decide(np.array([0.3, 0.29, 0.41]), 0.1, POLICY)
    assert (unsure.decision, unsure.organ_index) == ("abstain", 2)
    assert unsure.reason == "confidence 0.41 is below 0.62"
    foreign = _decide(0.9, 0.61)
    assert foreign.decision == "abstain"
    assert foreign.reason == "unlike anything in the training images (distance 0.61, limit 0.35)"
    assert _decide(0.55, 0.61).reason == f"{foreign.reason}; confidence 0.55 is below 0.62"


def test_a_reason_shows_enough_decimals_to_be_seen():
    assert _decide(0.6199, 0.1).reason == "confidence 0.6199 is below 0.6200"
    assert "(distance 0.3504, limit 0.3500)" in _decide(0.9, 0.3504).reason


@pytest.mark.parametrize(("probabilities", "distance"), [([0.2, 0.2], 0.1), ([1.0, 0.0], np.nan), ([np.nan, 1.0], 0.1)])
def test_what_is_no_probability_is_refused(probabilities, distance):
    with pytest.raises(ValueRangeError, match="sum to 1"):
        decide(np.array(probabilities), distance, POLICY)


@pytest.mark.parametrize(
    "change", [{"temperature": 0}, {"min_confidence": 1.1}, {"max_distance": -1}, {"n_neighbours": 0}, {"cost": 1}]
)
def test_a_policy_is_checked(change):
    with pytest.raises(ValidationError):
        Policy(**change)
