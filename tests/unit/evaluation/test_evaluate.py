"""Whole evaluations of real bundles on small indexes, whose answers are known."""

import dataclasses

import numpy as np
import pytest

from organscope.data.index import Index
from organscope.errors import AnnotationError, DatasetError, ImageReadError, UsageError
from organscope.evaluation import evaluate_bundle, manifest_scores
from organscope.io import write_labels


def with_table(index: Index, **columns) -> Index:
    return dataclasses.replace(index, table=index.table.assign(**columns))


@pytest.fixture(scope="module")
def cells(nuclei, cell_index):
    return evaluate_bundle(nuclei, cell_index)


@pytest.fixture(scope="module")
def answers(organs, organ_index):
    return evaluate_bundle(organs, organ_index, fold=1)


def test_a_bundle_agrees_with_its_own_labels_but_for_the_cell_left_out(cells):
    images = cells.per_image.set_index("id")
    assert images.index.tolist() == ["crop 1", "crop 2", "crop 3", "crop 4"]
    assert images.loc["crop 4", ["dice", "aji", "pq", "mean_ap"]].isna().all()
    assert any(note.startswith("1 of 4 images show no cell") for note in cells.notes)
    for crop in ("crop 1", "crop 3"):
        assert images.loc[crop, ["dice", "aji", "pq", "mean_ap"]].tolist() == pytest.approx([1] * 4)

    n_predicted = images.loc["crop 2", "n_predicted"]
    assert images.loc["crop 2", "n_truth"] == n_predicted - 1 > 0
    assert images.loc["crop 2", "false_rate"] == pytest.approx(1 / n_predicted)
    assert cells.score("false_rate") == pytest.approx(1 / n_predicted / 3)  # the fourth has no score
    assert cells.score("pooled_false_rate") == pytest.approx(1 / images["n_predicted"].sum())
    assert cells.score("pooled_ap_50") == pytest.approx(1 - 1 / images["n_predicted"].sum())


def test_every_predicted_cell_has_its_probability_and_whether_it_matched(cells):
    table = cells.tables["cells"]
    assert len(table) == cells.per_image["n_predicted"].sum()
    assert table[~table["matched"]][["id", "cell"]].to_numpy().tolist() == [["crop 2", 1]]
    assert table["probability"].between(0.5, 1).all()


def test_intervals_hold_their_value(cells, answers):
    for scores in (cells.scores, answers.scores):
        known = scores[scores["value"].notna()]
        assert (known["low"] <= known["value"] + 1e-12).all()
        assert (known["value"] <= known["high"] + 1e-12).all()
        assert (scores["unit"] == "picture").all()


def test_one_fold_is_scored(nuclei, cell_index):
    evaluation = evaluate_bundle(nuclei, cell_index, fold=2)
    assert evaluation.subset == "fold 2"
    assert evaluation.per_image["id"].tolist() == ["crop 3"]
    assert evaluate_bundle(nuclei, cell_index, fold=[1, 2]).subset == "folds 1, 2"
    with pytest.raises(UsageError, match=r"\(1, 2\), found fold 7"):
        evaluate_bundle(nuclei, cell_index, fold=7)


def test_by_organ_pools_the_cells_of_its_images(cells):
    row = cells.tables["by_organ"].iloc[0]
    assert (row["organ"], row["n_images"]) == ("colon", 4)
    assert row["false_rate"] == pytest.approx(cells.score("pooled_false_rate"))
    assert row["pq"] == pytest.approx(cells.score("pq"))


def test_data_sets_are_scored_apart(nuclei, cell_index):
    index = with_table(cell_index, dataset=["a", "b", "a", "a"])
    evaluation = evaluate_bundle(nuclei, index)
    assert evaluation.score("pq", dataset="a") == pytest.approx(1)
    assert evaluation.score("pq", dataset="b") < 1
    assert [note[:2] for note in evaluation.notes] == ["a:", "b:", "1 "]


def test_progress_counts_images(nuclei, cell_index):
    told = []
    evaluate_bundle(nuclei, cell_index, fold=1, progress=lambda *counts: told.append(counts))
    assert told == [(0, 3), (1, 3), (2, 3), (3, 3)]


def test_images_without_labels(nuclei, cell_index):
    some = with_table(cell_index, labels=cell_index.table["labels"].where(cell_index.table["id"] == "crop 1", ""))
    evaluation = evaluate_bundle(nuclei, some)
    assert len(evaluation.per_image) == 1
    assert "3 images without labels" in evaluation.notes[-1]
    with pytest.raises(DatasetError, match="with labels"):
        evaluate_bundle(nuclei, with_table(cell_index, labels=""))


def test_labels_of_another_image_are_refused(nuclei, cell_index, tmp_path):
    write_labels(tmp_path / "other.tif", np.ones((30, 40), np.int32))
    with pytest.raises(AnnotationError, match=r"\(30, 40\)"):
        evaluate_bundle(nuclei, with_table(cell_index, labels=str(tmp_path / "other.tif")))


def test_a_damaged_image_stops_the_evaluation_by_name(nuclei, cell_index, tmp_path):
    (tmp_path / "broken.png").write_bytes(b"no picture")
    with pytest.raises(ImageReadError, match="broken"):
        evaluate_bundle(nuclei, with_table(cell_index, image=str(tmp_path / "broken.png")))


def test_organs_are_scored_beside_their_colors(answers, organs):
    # One image of each organ has a wrong color, of 6 in fold 1.
    assert answers.score("accuracy") == pytest.approx(15 / 18)
    confusion = answers.tables["confusion"].set_index("organ")
    assert confusion.to_numpy().tolist() == [[5, 1, 0], [0, 5, 1], [1, 0, 5]]
    assert answers.tables["per_class"]["recall"].tolist() == pytest.approx([5 / 6] * 3)
    # Color is all that this bundle knows, so a forest on colors knows as much; gray says nothing.
    assert answers.score("accuracy", model="colour_forest") == pytest.approx(15 / 18)
    assert answers.score("accuracy", model="gray_forest") < 0.7
    probs = answers.per_image[[f"p_{organ}" for organ in organs.manifest.classes]].to_numpy()
    np.testing.assert_allclose(probs.sum(axis=1), 1, rtol=1e-5)
    assert set(answers.per_image["colour_forest"]) <= set(organs.manifest.classes)


def test_without_another_fold_there_is_no_baseline(organs, organ_index):
    evaluation = evaluate_bundle(organs, with_table(organ_index, fold=1))
    assert set(evaluation.scores["model"]) == {"bundle"}
    assert "No color baseline" in evaluation.notes[-1]


def test_slides_on_both_sides_of_the_split_are_said(organs, organ_index, answers):
    assert not any("slide and stain" in note for note in answers.notes)
    shared = with_table(organ_index, group=organ_index.table["organ"])
    notes = evaluate_bundle(organs, shared, fold=1, baseline=False).notes
    assert "3 groups" in notes[-1]
    assert "slide and stain" in notes[-1]


def test_an_unknown_organ_is_named(organs, organ_index):
    names = organ_index.table["organ"].mask(organ_index.table["id"] == "red organ 2", "spleen")
    with pytest.raises(DatasetError, match="'spleen' for red organ 2"):
        evaluate_bundle(organs, with_table(organ_index, organ=names))
    with pytest.raises(UsageError, match="found spleen"):
        evaluate_bundle(organs, with_table(organ_index, organ="spleen"))


def test_scores_fit_a_manifest_with_the_most_telling_first(cells, answers):
    assert [score.metric for score in manifest_scores(cells)][:3] == ["pq", "dice", "aji"]
    scores = manifest_scores(answers)
    assert [score.metric for score in scores][:2] == ["accuracy", "colour_forest_accuracy"]
    assert (scores[0].dataset, scores[0].subset, scores[0].n_images) == ("tiny", "fold 1", 18)
    assert scores[0].low < scores[0].value < scores[0].high


def test_images_without_any_labeled_cell_are_refused_before_the_work(nuclei, cell_index):
    """On glass alone every score is undefined, and a network that finds nothing is not perfect."""
    glass = cell_index.table[cell_index.table["id"] == "crop 4"]
    with pytest.raises(DatasetError, match="labeled cells on the 1 images"):
        evaluate_bundle(nuclei, Index(cell_index.folder, glass))
