"""What a ledger keeps of an image comes back as it was."""

import dataclasses

import numpy as np

from organscope.decision import Decision
from organscope.inference import Classification, Scale
from organscope.pipeline.plan import Target
from organscope.pipeline.results import CellAnswer, ImageResult, result_as_text, result_from_text


def result(tmp_path) -> ImageResult:
    decision = Decision(1, 0.7, "abstain", "too far", 0.9, prediction_set=(1, 0), flagged=True)
    probabilities = np.array([0.3, 0.7], np.float32)
    nothing = np.zeros((0, 2), np.float32)
    return ImageResult(
        target=Target(tmp_path / "a.tif", tmp_path / "a"),
        height_px=3,
        width_px=4,
        um_per_px=(0.1 + 0.2, 0.5),
        seconds=1.25,
        areas_px=np.array([3, 4], np.int32),
        classification=Classification(("x", "y"), probabilities, nothing, nothing[:, :0], decision),
        cell_answer=CellAnswer(("x", "y"), np.array([1, 1]), np.array([1 / 3, 2 / 3]), None, "no cells", "y", 0.7),
        scale=Scale(0.5, "pixel size", "half"),
        cell_count=2,
        fields_by_organ=np.array([0, 2]),
        notes=("cut",),
    )


def test_result_comes_back(tmp_path):
    before = result(tmp_path)
    after = result_from_text(result_as_text(before))
    for field in dataclasses.fields(ImageResult):
        one, other = getattr(before, field.name), getattr(after, field.name)
        if isinstance(one, np.ndarray):
            assert one.dtype == other.dtype
            np.testing.assert_array_equal(one, other)
        elif field.name not in ("classification", "cell_answer"):
            assert one == other
    np.testing.assert_array_equal(before.classification.probabilities, after.classification.probabilities)
    assert after.classification.probabilities.dtype == np.float32
    assert after.classification.decision == before.classification.decision
    np.testing.assert_array_equal(before.cell_answer.pooled, after.cell_answer.pooled)
    assert after.cell_answer.decision is None


def test_image_of_which_nothing_was_asked_comes_back(tmp_path):
    before = ImageResult(Target(tmp_path / "a", tmp_path / "a"), 1, 1, None, 0.5)
    assert result_from_text(result_as_text(before)) == before
