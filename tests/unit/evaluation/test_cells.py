"""Scores of single cells in the colors of their organs, whose answers are known."""

import dataclasses

import numpy as np
import pandas as pd
import pytest
from PIL import Image as PillowImage

from organscope.data.index import COLUMNS, Index, write_index
from organscope.errors import AnnotationError, DatasetError
from organscope.evaluation import baselines, evaluate_bundle, manifest_scores
from organscope.evaluation.cells import ImageSums, confusion_of_images, summarize_sums
from organscope.evaluation.metrics.classification import classification_scores
from organscope.evaluation.robustness import gray_copy
from organscope.io import open_image, write_labels
from tiny_bundles import ORGANS, tiny_cell_organs

COLOURS = np.array([[220, 30, 30], [30, 220, 30], [30, 30, 220]], np.uint8)
N_CELLS = 6


@pytest.fixture(scope="module")
def bundle(tmp_path_factory):
    """Tells red, green and blue cells apart."""
    return tiny_cell_organs(tmp_path_factory.mktemp("bundles") / "cells")


@pytest.fixture(scope="module")
def index(tmp_path_factory) -> Index:
    """Two folds of two images an organ, each with 6 cells; the first cell of each has the next organ's color."""
    folder = tmp_path_factory.mktemp("cells")
    random, rows = np.random.default_rng(0), []
    for number in range(4):
        for organ, name in enumerate(ORGANS):
            pixels = np.repeat(COLOURS[[(organ + 1) % 3, *[organ] * (N_CELLS - 1)]], 10, axis=0)
            pixels = np.repeat(pixels[None], 10, axis=0) - random.integers(0, 20, (10, 60, 3)).astype(np.uint8)
            labels = np.zeros((10, 60), np.int32)
            for cell in range(N_CELLS):
                labels[3:7, 10 * cell + 3 : 10 * cell + 7] = 2 * cell + 1  # with gaps, as some annotations have
            path = folder / f"{name} {number}.png"
            PillowImage.fromarray(pixels).save(path)
            write_labels(path.with_suffix(".tif"), labels)
            rows.append(row(path, name, fold=1 + number % 2))
    return write_index(folder / "index", pd.DataFrame(rows))


def row(path, organ: str, fold: int) -> dict:
    facts = {
        "height_px": 10,
        "width_px": 60,
        "n_channels": 3,
        "um_per_px_y": np.nan,
        "um_per_px_x": np.nan,
        "n_cells": N_CELLS,
        "fold": fold,
        "labeled": True,
    }
    names = {"id": path.stem, "image": str(path), "labels": str(path.with_suffix(".tif")), "organ": organ}
    return {**dict.fromkeys(COLUMNS, ""), **facts, **names, "labeled": True, "group": path.stem, "dataset": "tiny"}


@pytest.fixture(scope="module")
def scored(bundle, index):
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(baselines, "_N_CELL_TREES", 20)
        return evaluate_bundle(bundle, index, fold=1)


def test_one_cell_of_six_has_another_color(scored):
    assert scored.score("accuracy") == pytest.approx(5 / 6)
    assert scored.score("balanced_accuracy") == pytest.approx(5 / 6)
    assert scored.per_image["cell_accuracy"].tolist() == pytest.approx([5 / 6] * 6)
    confusion = scored.tables["confusion"].set_index("organ").to_numpy()
    assert confusion.tolist() == [[10, 2, 0], [0, 10, 2], [2, 0, 10]]


def test_the_cells_of_a_image_together_are_right(scored):
    assert scored.score("image_accuracy") == 1.0
    assert scored.per_image["predicted"].tolist() == scored.per_image["organ"].tolist()


def test_gray_copies_tell_a_knower_of_colors_nothing(scored):
    # All three channels are equal, so the first organ is named each time.
    assert scored.score("gray_accuracy") == pytest.approx(1 / 3)
    assert set(scored.tables["cells"]["gray_predicted"]) == {ORGANS[0]}


def test_forests_on_the_same_crops_stand_beside_it(scored):
    assert scored.score("accuracy", model="colour_forest") == pytest.approx(5 / 6)
    assert scored.score("image_accuracy", model="colour_forest") == 1.0
    assert scored.score("accuracy", model="gray_forest") < 0.7
    assert [score.metric for score in manifest_scores(scored)][:2] == ["accuracy", "colour_forest_accuracy"]


def test_every_cell_has_its_label_and_answer(scored):
    cells = scored.tables["cells"]
    assert len(cells) == 36
    assert cells["cell"].tolist() == [1, 3, 5, 7, 9, 11] * 6
    assert cells.loc[~cells["correct"], "cell"].tolist() == [1] * 6


def test_intervals_hold_their_value(scored):
    known = scored.scores[scored.scores["value"].notna()]
    assert (known["low"] <= known["value"] + 1e-12).all()
    assert (known["value"] <= known["high"] + 1e-12).all()
    assert "36 cells of 6 images" in scored.notes[0]


def test_a_sample_of_the_cells_is_always_the_same(bundle, index):
    one, two = (evaluate_bundle(bundle, index, fold=1, cells_per_picture=2, baseline=False) for _ in range(2))
    assert one.per_image["n_cells"].tolist() == [2] * 6
    pd.testing.assert_frame_equal(one.tables["cells"], two.tables["cells"])
    assert one.tables["cells"]["cell"].nunique() > 2  # not the same two in every image


def test_without_another_fold_there_is_no_baseline(bundle, index):
    alone = dataclasses.replace(index, table=index.table.assign(fold=1))
    evaluation = evaluate_bundle(bundle, alone)
    assert set(evaluation.scores["model"]) == {"bundle"}
    assert "No color baseline" in evaluation.notes[-1]


def test_images_without_labels_or_cells(bundle, index, tmp_path):
    table = index.table
    some = table.assign(labels=table["labels"].where(table["id"] == f"{ORGANS[0]} 0", ""))
    evaluation = evaluate_bundle(bundle, dataclasses.replace(index, table=some), baseline=False)
    assert len(evaluation.per_image) == 1
    assert "11 images without labels" in evaluation.notes[-1]
    write_labels(tmp_path / "none.tif", np.zeros((10, 60), np.int32))
    with pytest.raises(DatasetError, match="labeled cells"):
        evaluate_bundle(bundle, dataclasses.replace(index, table=table.assign(labels=str(tmp_path / "none.tif"))))
    write_labels(tmp_path / "other.tif", np.ones((5, 60), np.int32))
    with pytest.raises(AnnotationError, match=r"10 x 60 px .* found 5 x 60 px"):
        evaluate_bundle(bundle, dataclasses.replace(index, table=table.assign(labels=str(tmp_path / "other.tif"))))


def test_scores_from_sums_are_those_of_the_metrics(rng):
    labels, probs = rng.integers(0, 4, 200), rng.dirichlet(np.ones(5), 200)
    position = rng.integers(0, 10, 200)
    confusion = confusion_of_images(position, labels, probs.argmax(axis=1), 10, 5)
    images = pd.DataFrame({"group": [str(n) for n in range(10)], "organ": "mixed"})
    table, _ = summarize_sums(ImageSums({"": confusion}), images)
    expected = classification_scores(probs, labels)
    for name, value in zip(table["metric"], table["value"], strict=True):
        assert value == pytest.approx(expected[name])


def test_a_gray_copy_has_one_stretched_channel(colon, tmp_path):
    PillowImage.fromarray(colon[:60, :50] // 2 + 40).save(tmp_path / "a.png")
    copy = gray_copy(open_image(tmp_path / "a.png"))
    pixels = copy.read_whole()
    assert (pixels.shape, pixels.dtype) == ((60, 50, 1), np.uint8)
    assert (pixels.min(), pixels.max()) == (0, 255)
    assert (copy.n_channels, copy.value_range) == (1, (0.0, 255.0))
