"""Whether the image and its cells say the same."""

import numpy as np
import pytest

from organscope.decide import Decision
from organscope.jobs.cell_answer import answer_of_cells, joint_answer, with_cells_heard
from organscope.predict import CellOrgans, Classification

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
    heard = with_cells_heard(of_image, answer)
    assert (heard is of_image) == (expected != "disagree")


def test_a_contradiction_is_a_reason_to_abstain():
    answer = answer_of_cells(cells("liver"), whole("kidney"))
    heard = with_cells_heard(whole("kidney"), answer).decision
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


def test_image_and_cells_count_the_same_in_their_joint_answer():
    of_image = Classification(ORGANS, np.array([0.5, 0.4, 0.1]), np.zeros((1, 3)), np.zeros((1, 2)), decision("kidney"))
    turned = CellOrgans(ORGANS[::-1], np.ones((1, 3)) / 3, np.zeros(1), np.array([0.3, 0.6, 0.1]), decision("liver"))
    organ, confidence = joint_answer(of_image, answer_of_cells(turned, of_image))
    products = np.sqrt([0.5 * 0.1, 0.4 * 0.6, 0.1 * 0.3])
    assert organ == "liver"
    assert confidence == pytest.approx(products[1] / products.sum())


def test_there_is_no_joint_answer_without_cells_or_among_other_organs():
    assert joint_answer(whole("liver"), None) is None
    assert joint_answer(whole("liver"), answer_of_cells(cells(None), whole("liver"))) is None
    fewer = CellOrgans(("liver", "kidney"), *_one_cell())
    assert joint_answer(whole("liver"), answer_of_cells(fewer, whole("liver"))) is None


def _one_cell():
    probabilities = np.array([[0.9, 0.1]], np.float32)
    return probabilities, np.zeros(1, np.float32), np.array([0.9, 0.1]), Decision(0, 0.9, "accept", "", 0.1)
