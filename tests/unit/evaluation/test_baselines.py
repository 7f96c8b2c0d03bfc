"""The forests see colors, or fine texture, and nothing else."""

from organscope.evaluation.baselines import color_forest_baseline


def test_each_fold_is_answered_by_the_others(organ_index):
    answers = color_forest_baseline(organ_index)["colour_forest"]
    assert sorted(answers.index) == organ_index.table["id"].tolist()
    truth = organ_index.table.set_index("id").loc[answers.index, "organ"]
    wrong = answers.index[answers.idxmax(axis=1) != truth]
    # The images in another organ's color; trained on, they would be known by heart.
    assert sorted(wrong) == ["blue organ 0", "green organ 0", "red organ 0"]


def test_the_seed_and_the_organs_decide(organ_index):
    one, two = (color_forest_baseline(organ_index, 1, organs=["green organ", "red organ"]) for _ in range(2))
    assert one["gray_forest"].equals(two["gray_forest"])
    assert one["gray_forest"].columns.tolist() == ["green organ", "red organ"]
    assert len(one["gray_forest"]) == 12
