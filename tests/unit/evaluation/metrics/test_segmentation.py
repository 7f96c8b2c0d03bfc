"""Segmentation scores, worked by hand and by a second, slow implementation."""

import numpy as np
import pytest

from organscope.evaluation.metrics.segmentation import (
    IOU_THRESHOLDS,
    aggregated_jaccard,
    cell_counts,
    defined_mean,
    detection_scores,
    match_cells,
    segmentation_scores,
)

# True cells: 1 (4 px), 2 (2 px), 3 (2 px). Predicted: 1 (5 px, holds all of true 1), 2 (1 px, half of true
# 2), 4 (1 px, on background).
TRUTH = np.array([[1, 1, 0, 2, 2], [1, 1, 0, 0, 0], [0, 0, 3, 3, 0]])
PREDICTED = np.array([[1, 1, 1, 2, 0], [1, 1, 0, 0, 0], [4, 0, 0, 0, 0]])
EMPTY = np.zeros_like(TRUTH)


def test_hand_worked_scores():
    scores = segmentation_scores(TRUTH, PREDICTED)
    # Foreground: 8 true px, 7 predicted, 5 shared.
    assert scores["dice"] == pytest.approx(10 / 15)
    assert scores["iou"] == pytest.approx(5 / 10)
    # IoU 4/5 and 1/2. AJI: (4 + 1) / (5 + 2 + 2 for true 3 + 1 for predicted 4).
    assert scores["aji"] == pytest.approx(5 / 10)
    # At .5: 2 matches of 3 true and 3 predicted cells.
    assert scores["f1_50"] == scores["rq"] == pytest.approx(2 / 3)
    assert scores["sq"] == pytest.approx((0.8 + 0.5) / 2)
    assert scores["pq"] == pytest.approx(1.3 / 3)
    assert scores["missed_rate"] == scores["false_rate"] == pytest.approx(1 / 3)
    # At .6, .7 and .8 one match: 1 / 5. At .9 none.
    assert [scores[f"ap_{t}"] for t in (50, 60, 70, 80, 90)] == pytest.approx([2 / 4, 0.2, 0.2, 0.2, 0])
    assert scores["mean_ap"] == pytest.approx((0.5 + 0.6) / 5)


def test_aji_lets_true_cells_share_a_predicted_cell():
    truth = np.array([[1, 1, 2, 2, 2, 0]])
    predicted = np.array([[5, 5, 5, 5, 5, 5]])
    # Both take cell 5: (2 + 3) / (6 + 6). One to one (AJI+) it would be 3 / (6 + 2).
    assert aggregated_jaccard(match_cells(truth, predicted)) == pytest.approx(5 / 12)


@pytest.mark.parametrize(
    ("truth", "predicted", "agreement", "missed", "false"),
    [(TRUTH, EMPTY, 0, 1, 0), (EMPTY, PREDICTED, 0, 0, 1)],
    ids=["nothing predicted", "nothing true"],
)
def test_empty_cases(truth, predicted, agreement, missed, false):
    scores = segmentation_scores(truth, predicted)
    del scores["adapted_rand_error"]  # has a test of its own
    rates = {"missed_rate": missed, "false_rate": false}
    assert scores == {name: rates.get(name, agreement) for name in scores}


def test_an_image_without_cells_has_no_score():
    """A network that finds nothing anywhere is not perfect on images that show nothing."""
    assert all(np.isnan(value) for value in segmentation_scores(EMPTY, EMPTY).values())


def test_means_are_over_what_is_defined():
    nan = float("nan")
    assert defined_mean([1.0, nan, 0.5]) == 0.75
    assert np.isnan(defined_mean([nan, nan]))
    np.testing.assert_array_equal(defined_mean([[1, nan], [nan, nan]]), [1, nan])


def slow_scores(truth, predicted):
    """One loop a cell and pair, from the definitions."""
    cells = [[labels == cell for cell in np.unique(labels) if cell] for labels in (truth, predicted)]
    iou = np.array([[np.sum(t & p) / np.sum(t | p) for p in cells[1]] for t in cells[0]])
    scores = {}
    for threshold in IOU_THRESHOLDS:
        n_matched = sum(any(row >= threshold) for row in iou)
        n_either = len(cells[0]) + len(cells[1]) - n_matched
        scores[f"ap_{round(100 * threshold)}"] = n_matched / n_either
    matched = iou[iou >= 0.5]
    scores["pq"] = matched.sum() / (matched.size + (iou.shape[0] + iou.shape[1] - 2 * matched.size) / 2)
    intersection, union, used = 0, 0, set()
    for t, row in zip(cells[0], iou, strict=True):
        best = int(np.argmax(row))
        if row[best] > 0:
            intersection += np.sum(t & cells[1][best])
            union += np.sum(t | cells[1][best])
            used.add(best)
        else:
            union += np.sum(t)
    union += sum(np.sum(p) for k, p in enumerate(cells[1]) if k not in used)
    scores["aji"] = intersection / union
    return scores


def moved_discs(rng, n_cells=25, size=120):
    """Overlapping discs, and the same with each center and radius changed; some are lost, some added."""
    y, x = np.mgrid[:size, :size]
    truth, predicted = np.zeros((2, size, size), np.int32)
    for cell in range(1, n_cells + 1):
        center, radius = rng.uniform(0, size, 2), rng.uniform(4, 12)
        truth[np.hypot(y - center[0], x - center[1]) < radius] = cell
        if cell % 5:
            center, radius = center + rng.normal(0, 2, 2), radius * rng.uniform(0.8, 1.2)
            predicted[np.hypot(y - center[0], x - center[1]) < radius] = n_cells + 1 - cell
    predicted[:10, :10] = n_cells + 7
    return truth, predicted


def test_agrees_with_a_slow_implementation(rng):
    for _ in range(5):
        truth, predicted = moved_discs(rng)
        scores, expected = segmentation_scores(truth, predicted), slow_scores(truth, predicted)
        assert {name: scores[name] for name in expected} == pytest.approx(expected)


def test_pooled_scores_weigh_images_by_their_cells():
    images = [(TRUTH, PREDICTED), (TRUTH, TRUTH), (EMPTY, EMPTY)]
    counts = [cell_counts(match_cells(*image)) for image in images]
    pooled = detection_scores({name: sum(count[name] for count in counts) for name in counts[0]})
    # 5 matches of 6 true and 6 predicted cells.
    assert pooled["ap_50"] == pytest.approx(5 / 7)
    assert pooled["pq"] == pytest.approx((1.3 + 3) / 6)
    assert pooled["missed_rate"] == pytest.approx(1 / 6)


def test_detection_scores_take_many_sums_at_once():
    one = cell_counts(match_cells(TRUTH, PREDICTED))
    none = cell_counts(match_cells(EMPTY, EMPTY))
    both = detection_scores({name: np.array([one[name], none[name]]) for name in one})
    np.testing.assert_allclose(both["ap_50"], [0.5, np.nan])
    np.testing.assert_allclose(both["sq"], [0.65, np.nan])


def test_adapted_rand_error_is_that_of_scikit_image(rng):
    from skimage.metrics import adapted_rand_error as independent

    for _ in range(5):
        truth = np.kron(rng.integers(0, 6, (6, 7)), np.ones((5, 5), int)).astype(np.int32)
        predicted = np.kron(rng.integers(0, 9, (10, 7)), np.ones((3, 5), int)).astype(np.int32)
        expected = independent(truth, predicted, ignore_labels=(0,))[0]
        # The same sums in another order.
        assert segmentation_scores(truth, predicted)["adapted_rand_error"] == pytest.approx(expected, abs=1e-12)


def test_adapted_rand_error_by_hand():
    truth = np.array([[1, 1, 2, 2]], np.int32)
    # One pair of pixels in each cell of the truth; merged, 2 of the 6 pairs are right: F = 2 * 2 / (2 + 6).
    merged = np.ones_like(truth)
    assert segmentation_scores(truth, merged)["adapted_rand_error"] == pytest.approx(0.5)
    assert segmentation_scores(truth, truth)["adapted_rand_error"] == 0
    empty = np.zeros_like(truth)
    assert np.isnan(segmentation_scores(empty, empty)["adapted_rand_error"])
    assert segmentation_scores(empty, truth)["adapted_rand_error"] == 1
