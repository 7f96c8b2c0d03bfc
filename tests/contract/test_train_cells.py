"""A tiny training on single cells, from labeled images to a bundle that names the organ of each cell."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from PIL import Image as PillowImage

from organscope.data.index import read_index, write_index
from organscope.errors import DatasetError, UsageError
from organscope.evaluation import evaluate_bundle
from organscope.inference import classify_cells, classify_image
from organscope.io import write_labels
from organscope.models import Bundle, verify_bundle
from organscope.training.classification.train import train_classification

SIDE_PX = 96

CONFIG = """
[data]
sources = [{ index = "index" }]
test_folds = [1]
validation_fraction = 0.25

[bundle]
name = "tiny-cell-organs"
summary = "Tells striped from plain cells; for tests only."

[network]
backbone = "resnet10t"
arguments = { channels = [8, 8, 16, 16] }

[field]
subject = "cell"
field_px = 32
input_px = 32

[cells]
per_epoch = 72
validation = 40

[augmentation]
crop = 0.67
rotation_deg = 0.0
scale = 0.0
shift = 0.5
mix = 0.0

[fit]
epochs = 20
batch = 16
learning_rate = 0.01
warm_up_epochs = 1
ema_decay = 0.8
precision = "fp32"
"""


def picture(organ: str, random: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """Nine discs, plain or striped, on a noisy ground; and their labels, one of them at the very edge."""
    y, x = np.mgrid[:SIDE_PX, :SIDE_PX]
    labels = np.zeros((SIDE_PX, SIDE_PX), np.int32)
    for number in range(9):
        center = (16 + 32 * (number // 3), 2 if number == 0 else 16 + 32 * (number % 3))
        labels[(y - center[0]) ** 2 + (x - center[1]) ** 2 < 81] = number + 1
    amount = np.where(labels > 0, 0.7, 0.1)
    if organ == "striped":
        amount = amount + 0.3 * np.sin(y * 1.5) * (labels > 0)
    amount = amount + random.normal(0, 0.03, amount.shape)
    return (255 * (1 - np.clip(amount, 0, 1)[..., None] * [0.3, 0.8, 0.4])).astype(np.uint8), labels


@pytest.fixture(scope="module")
def config_file(tmp_path_factory) -> Path:
    """An index of 8 labeled images an organ, two of them in fold 1, and a configuration beside it."""
    folder = tmp_path_factory.mktemp("discs")
    random = np.random.default_rng(0)
    rows = []
    for organ in ("plain", "striped"):
        for number in range(8):
            path = folder / f"{organ}_{number}.png"
            pixels, labels = picture(organ, random)
            PillowImage.fromarray(pixels).save(path)
            write_labels(path.with_suffix(".tif"), labels)
            rows.append(index_row(path, organ, fold=1 if number < 2 else 2))
    write_index(folder / "index", pd.DataFrame(rows))
    (folder / "tiny.toml").write_text(CONFIG)
    return folder / "tiny.toml"


def index_row(path: Path, organ: str, fold: int) -> dict:
    facts = {
        "height_px": SIDE_PX,
        "width_px": SIDE_PX,
        "n_channels": 3,
        "dtype": "uint8",
        "um_per_px_y": np.nan,
        "um_per_px_x": np.nan,
    }
    texts = dict.fromkeys(("species", "split", "labels_sha256"), "")
    names = {"id": path.stem, "image": str(path), "labels": str(path.with_suffix(".tif")), "organ": organ}
    return {**names, **facts, **texts, "group": path.stem, "dataset": "discs", "fold": fold, "n_cells": 9, "sha256": ""}


@pytest.fixture(scope="module")
def trained(config_file, tmp_path_factory) -> tuple[Bundle, list[str]]:
    lines: list[str] = []
    return train_classification(config_file, tmp_path_factory.mktemp("run"), report=lines.append), lines


def test_the_bundle_is_for_cells_and_verifies(trained):
    bundle, lines = trained
    spec = bundle.manifest.spec
    assert (spec.subject, spec.field_px, spec.input_px) == ("cell", 32, 32)
    assert spec.pooling is not None
    assert verify_bundle(bundle).ok
    assert "72 cells train, 36 of 36 tell when to stop" in lines
    assert "72 labeled cells of 8 images" in bundle.read("README.md").decode()


def test_scores_stand_beside_those_of_colors(trained):
    bundle, _ = trained
    scores = {score.metric: score for score in bundle.manifest.scores}
    assert list(scores)[:2] == ["accuracy", "colour_forest_accuracy"]
    assert scores["accuracy"].value >= 0.9  # chance is 1/2; all discs of an organ look alike
    assert {"gray_accuracy", "image_accuracy", "macro_f1", "ece", "gray_forest_accuracy"} <= set(scores)
    assert scores["accuracy"].n_images == 4


def test_cells_of_a_image_are_named_alone_and_together(trained, config_file):
    bundle, _ = trained
    sample = next(s for s in read_index(config_file.parent / "index").samples(fold=1) if s.organ == "striped")
    with sample.open() as image:
        found = classify_cells(image, sample.read_labels(), bundle)
        assert found.organs[found.decision.organ_index] == "striped"
        assert len(found.probabilities) == 9
        with pytest.raises(UsageError, match="single cells"):
            classify_image(image, bundle)


def test_the_calibration_table_has_a_row_a_cell(trained):
    table = trained[0].calibration()
    assert len(table) == 36
    assert table.groupby("id")["cell"].max().eq(9).all()
    np.testing.assert_allclose(table[["p_plain", "p_striped"]].sum(axis=1), 1, atol=1e-6)  # rounding of float64 sums


def test_a_sample_of_the_cells_is_scored(trained, config_file):
    bundle, _ = trained
    index = read_index(config_file.parent / "index")
    one, two = (evaluate_bundle(bundle, index, fold=1, cells_per_picture=4, baseline=False) for _ in range(2))
    assert one.per_image["n_cells"].tolist() == [4] * 4
    pd.testing.assert_frame_equal(one.tables["cells"], two.tables["cells"])


def test_images_without_labels_are_refused(config_file, tmp_path):
    table = read_index(config_file.parent / "index").table
    images = [str((config_file.parent / "index" / path).resolve()) for path in table["image"]]
    write_index(tmp_path / "index", table.assign(labels="", image=images))
    (tmp_path / "tiny.toml").write_text(CONFIG)
    with pytest.raises(DatasetError, match=r"images with labels of cells, found 0 to train"):
        train_classification(tmp_path / "tiny.toml", tmp_path / "run")
