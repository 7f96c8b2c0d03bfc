"""A tiny training from images to a verified bundle, interrupted and resumed, with every framework real."""

import json
from pathlib import Path

import pytest

from disc_pictures import CONFIG, write_discs
from organscope.data import import_folder, read_index
from organscope.errors import ConfigError, UsageError
from organscope.inference import segment_image
from organscope.io import open_image
from organscope.models import load_bundle, verify_bundle
from organscope.training.config import read_settings
from organscope.training.segmentation.config import SegmentationConfig
from organscope.training.segmentation.train import train_segmentation


@pytest.fixture(scope="module")
def config_file(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("discs")
    write_discs(folder / "set", 20)
    import_folder(folder / "set", folder / "index", holdout=0.2, seed=0)
    file = folder / "config.toml"
    file.write_text(CONFIG.format(index="index"))
    return file


@pytest.fixture(scope="module")
def run(config_file, tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("runs") / "whole"
    train_segmentation(config_file, folder)
    return folder


def test_the_bundle_verifies_and_finds_cells(run, config_file):
    bundle = load_bundle(run / "bundle")
    assert verify_bundle(bundle).ok
    sample = read_index(config_file.parent / "index").samples(fold=1)[0]
    with open_image(sample.image_path) as image:
        found = segment_image(image, bundle)
    truth = sample.read_labels()
    assert found.labels.shape == truth.shape
    # Nine discs on a dark ground, after 60 steps: most are found.
    assert 7 <= found.labels.max() <= 11
    scores = {(s.metric): s.value for s in bundle.manifest.scores}
    assert scores["dice"] > 0.8
    parity = {comparison.kind: comparison for comparison in bundle.certificate.comparisons}
    assert list(parity) == ["framework", "int8", "tiles", "threads"]
    assert parity["framework"].largest_difference < 1e-3  # other orders of adding
    assert parity["tiles"].n_changed == parity["threads"].n_changed == 0


def test_the_run_explains_itself(run):
    names = {"config.toml", "config.json", "split.csv", "metrics.jsonl", "environment.txt", "bundle"}
    assert names <= {file.name for file in run.iterdir()}
    metrics = [json.loads(line) for line in (run / "metrics.jsonl").read_text().splitlines()]
    assert [row["epoch"] for row in metrics] == [1, 2, 3]
    assert "keras==" in (run / "environment.txt").read_text()


def test_test_images_neither_train_nor_validate(run, config_file):
    import pandas as pd

    split = pd.read_csv(run / "split.csv", dtype={"id": str})
    tested = {s.id for s in read_index(config_file.parent / "index").samples(fold=1)}
    assert set(split.loc[split["part"] == "test", "id"]) == tested
    assert not set(split.loc[split["part"] != "test", "id"]) & tested


def test_calibration_was_measured_on_validation_images(run):
    import pandas as pd

    bundle = load_bundle(run / "bundle")
    split = pd.read_csv(run / "split.csv", dtype={"id": str})
    table = bundle.calibration()
    assert set(table["id"]) <= set(split.loc[split["part"] == "validation", "id"])
    assert table["matched"].any()
    assert bundle.manifest.spec.cell_calibration is not None


def test_a_resumed_training_ends_where_an_undisturbed_one_does(run, config_file, tmp_path):
    class InterruptedError(Exception):
        pass

    def interrupt(line: str) -> None:
        if line.startswith("epoch 2"):
            raise InterruptedError

    with pytest.raises(InterruptedError):
        train_segmentation(config_file, tmp_path / "run", report=interrupt)
    train_segmentation(config_file, tmp_path / "run", resume=True)
    expected, found = (
        [json.loads(line)["loss"] for line in (folder / "metrics.jsonl").read_text().splitlines()]
        for folder in (run, tmp_path / "run")
    )
    # The same batches from the same state; threads may add up in another order.
    assert found == pytest.approx(expected, rel=1e-3)


def test_a_run_is_not_overwritten(run, config_file):
    with pytest.raises(UsageError, match="--resume"):
        train_segmentation(config_file, run)
    with pytest.raises(UsageError, match="another configuration"):
        train_segmentation(config_file, run, resume=True, overrides=("fit.epochs=9",))


def test_an_unknown_key_is_named(config_file):
    with pytest.raises(ConfigError, match=r"network\.filters"):
        read_settings(SegmentationConfig, config_file, ("network.filters=3",))
