"""The forests see colours, or fine texture, and nothing else."""

import numpy as np

from organscope.evaluate.baseline import colour_forest_baseline, colour_histogram, gray_texture


def test_colour_histogram_counts_pixels():
    rgb = np.zeros((2, 2, 3), np.float32)
    rgb[0] = [1, 0, 0.5]
    shares = colour_histogram(rgb)
    # Level 7 of 8 in red, 0 in green, 4 in blue: bin (7 * 8 + 0) * 8 + 4.
    assert np.flatnonzero(shares).tolist() == [0, 452]
    assert shares[[0, 452]].tolist() == [0.5, 0.5]


def test_gray_texture_ignores_stain_brightness_and_contrast(colon):
    rgb = colon[:100, :100].astype(np.float32) / 255
    assert gray_texture(rgb).sum() == 2
    # Rounding moves single pixels from one level or pattern to the next.
    np.testing.assert_allclose(gray_texture(0.3 + 0.5 * rgb), gray_texture(rgb), atol=0.01)
    np.testing.assert_allclose(gray_texture(rgb[:, :, [2, 0, 1]]), gray_texture(rgb), atol=0.01)
    assert np.isfinite(gray_texture(np.zeros((5, 5, 3), np.float32))).all()


def test_each_fold_is_answered_by_the_others(organ_index):
    answers = colour_forest_baseline(organ_index)["colour_forest"]
    assert sorted(answers.index) == organ_index.table["id"].tolist()
    truth = organ_index.table.set_index("id").loc[answers.index, "organ"]
    wrong = answers.index[answers.idxmax(axis=1) != truth]
    # The pictures in another organ's colour; trained on, they would be known by heart.
    assert sorted(wrong) == ["blue organ 0", "green organ 0", "red organ 0"]


def test_the_seed_and_the_organs_decide(organ_index):
    one, two = (colour_forest_baseline(organ_index, 1, organs=["green organ", "red organ"]) for _ in range(2))
    assert one["gray_forest"].equals(two["gray_forest"])
    assert one["gray_forest"].columns.tolist() == ["green organ", "red organ"]
    assert len(one["gray_forest"]) == 12
