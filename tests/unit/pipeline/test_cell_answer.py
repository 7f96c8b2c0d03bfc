"""Whether the image and its cells say the same."""

import numpy as np
import pytest

from organscope.decision import Decision, JointCalibration, Policy, Rules, fit_joint_calibration, recall_guarantee
from organscope.inference import CellOrgans, Classification
from organscope.pipeline.results import NO_CELLS, answer_of_cells, combine_with_cells

ORGANS = ("kidney", "liver", "spleen")


def decision(organ: str, decided: str = "accept") -> Decision:
    return Decision(ORGANS.index(organ), 0.9, decided, "" if decided == "accept" else "confidence is low", 0.1)


def whole(organ: str, decided: str = "accept") -> Classification:
    return Classification(ORGANS, np.full(3, 1 / 3), np.zeros((1, 3)), np.zeros((1, 2)), decision(organ, decided))


def cells(organ: str | None, decided: str = "accept") -> CellOrgans:
    if organ is None:
        return CellOrgans(ORGANS, np.zeros((0, 3), np.float32), np.zeros(0, np.float32), None, None)
    probabilities = np.array([[0.2, 0.7, 0.1], [0.1, 0.8, 0.1], [0.6, 0.2, 0.2]], np.float32)
    return CellOrgans(ORGANS, probabilities, np.zeros(3, np.float32), np.full(3, 1 / 3), decision(organ, decided))


@pytest.mark.parametrize(
    ("of_image", "of_cells", "expected"),
    [
        (whole("liver"), cells("liver"), "agree"),
        (whole("liver", "abstain"), cells("liver"), "agree"),
        (whole("kidney"), cells("liver"), "disagree"),
        (whole("kidney", "abstain"), cells("liver"), "unsure"),
        (whole("kidney"), cells("liver", "abstain"), "unsure"),
        (whole("kidney"), cells(None), "no cells"),
    ],
)
def test_only_two_confident_answers_contradict_each_other(of_image, of_cells, expected):
    answer = answer_of_cells(of_cells, of_image)
    assert answer.agreement == expected
    heard = combine_with_cells(of_image, answer)
    assert (heard is of_image) == (expected != "disagree")


def test_a_contradiction_is_a_reason_to_abstain():
    answer = answer_of_cells(cells("liver"), whole("kidney"))
    heard = combine_with_cells(whole("kidney"), answer).decision
    assert (heard.decision, heard.organ_index, heard.confidence) == ("abstain", 0, 0.9)
    assert heard.reason == ("the whole image says kidney (probability 0.90), its cells together say liver (0.90)")


def test_cells_are_counted_by_organ():
    assert answer_of_cells(cells("liver"), whole("liver")).counts.tolist() == [1, 2, 0]
    empty = answer_of_cells(cells(None), whole("liver"))
    assert empty.counts.tolist() == [0, 0, 0]
    assert empty.organ == ""


def test_organs_are_compared_by_name():
    other_order = CellOrgans(("liver", "kidney"), *_one_cell())
    assert answer_of_cells(other_order, whole("liver")).agreement == "agree"


@pytest.fixture(scope="module")
def together() -> JointCalibration:
    """Calibrated on three images that both name rightly."""
    sure = np.eye(3) * 0.7 + 0.1
    policy = Policy(min_confidence=0.9, max_distance=0.5)
    return fit_joint_calibration(sure, sure, np.arange(3), list(ORGANS), image_bundle="organs 1", image_policy=policy)


def opinion(probabilities: list[float], decided: str = "accept") -> Classification:
    organ = ORGANS[int(np.argmax(probabilities))]
    return Classification(ORGANS, np.array(probabilities), np.zeros((1, 3)), np.zeros((1, 2)), decision(organ, decided))


def test_calibrated_beside_each_other_image_and_cells_answer_together(together):
    of_image = opinion([0.5, 0.4, 0.1], "abstain")
    turned = CellOrgans(ORGANS[::-1], np.ones((1, 3)) / 3, np.zeros(1), np.array([0.3, 0.6, 0.1]), decision("liver"))
    answer = answer_of_cells(turned, of_image)
    heard = combine_with_cells(of_image, answer, together)
    powers = (np.array([0.5, 0.4, 0.1]) * [0.1, 0.6, 0.3]) ** (0.5 / together.policy.temperature)
    np.testing.assert_allclose(heard.probabilities, powers / powers.sum())
    assert (ORGANS[heard.decision.organ_index], heard.decision.decision) == ("liver", "accept")
    assert (answer.image_organ, answer.image_confidence) == ("kidney", 0.9)
    assert heard.decision.prediction_set, "sets are those of both"


def contradicting(pooled: list[float]) -> CellOrgans:
    return CellOrgans(ORGANS, np.ones((1, 3)) / 3, np.zeros(1), np.array(pooled), decision("liver"))


def test_a_contradiction_that_both_together_do_not_settle_is_a_reason_to_abstain(together):
    of_image = opinion([0.49, 0.48, 0.03])
    answer = answer_of_cells(contradicting([0.48, 0.49, 0.03]), of_image)
    heard = combine_with_cells(of_image, answer, together)
    assert answer.agreement == "disagree"
    assert heard.decision.decision == "abstain"
    assert "its cells together say liver" in heard.decision.doubt


def test_a_contradiction_is_settled_where_one_is_far_surer(together):
    of_image = opinion([0.98, 0.01, 0.01])
    answer = answer_of_cells(contradicting([0.4, 0.5, 0.1]), of_image)
    heard = combine_with_cells(of_image, answer, together)
    assert answer.agreement == "disagree"
    assert (heard.decision.organ_index, heard.decision.decision, heard.decision.doubt) == (0, "accept", "")


def test_without_a_cell_both_cannot_answer(together):
    of_image = opinion([0.9, 0.05, 0.05])
    heard = combine_with_cells(of_image, answer_of_cells(cells(None), of_image), together)
    assert (heard.decision.decision, heard.decision.doubt) == ("abstain", NO_CELLS)
    assert heard.probabilities is of_image.probabilities


def test_both_are_asked_about_the_organ_that_must_not_be_missed(together):
    promised = recall_guarantee(together.policy.contract, "spleen", 0.9)
    rules = Rules(promise=promised, positive=2)
    of_image = opinion([0.9, 0.06, 0.04])
    heard = combine_with_cells(of_image, answer_of_cells(cells("kidney"), of_image), together, rules)
    assert heard.decision.flagged is (bool(heard.probabilities[2] >= promised.threshold))


def _one_cell():
    probabilities = np.array([[0.9, 0.1]], np.float32)
    return probabilities, np.zeros(1, np.float32), np.array([0.9, 0.1]), Decision(0, 0.9, "accept", "", 0.1)
