"""Two tiny networks of different folds become one bundle in eight-bit integers."""

from pathlib import Path

import numpy as np
import onnx
import pytest

from organscope.data.index import read_index
from organscope.errors import DatasetError, UsageError
from organscope.evaluation import evaluate_bundle
from organscope.inference import classify_image
from organscope.models import Bundle, load_bundle, verify_bundle
from organscope.training.classification.config import ClassificationConfig
from organscope.training.classification.copies import gray_copies
from organscope.training.classification.data import Images
from organscope.training.classification.ensemble import build_ensemble
from organscope.training.classification.export import prepared_fields
from organscope.training.classification.train import train_classification
from organscope.training.config import read_settings
from texture_set import ORGANS, write_texture_set


@pytest.fixture(scope="module")
def folder(tmp_path_factory) -> Path:
    """Images and two runs, which held out fold 1 and fold 2."""
    folder = tmp_path_factory.mktemp("ensemble")
    config = write_texture_set(folder)
    for fold in (1, 2):
        train_classification(
            config, folder / f"run{fold}", overrides=(f"data.test_folds=[{fold}]", "fit.epochs=14", "fit.monitor=none")
        )
    return folder


@pytest.fixture(scope="module")
def ensemble(folder) -> Bundle:
    return build_ensemble([folder / "run1", folder / "run2"], folder / "both")


def test_it_verifies_and_names_a_image_that_no_member_saw(ensemble, folder):
    assert verify_bundle(ensemble).ok
    sample = next(s for s in read_index(folder / "index").samples(fold=3) if s.organ == "dots")
    with sample.open() as image:
        found = classify_image(image, ensemble)
    assert found.organs[int(np.argmax(found.probabilities))] == "dots"


def test_logits_are_the_mean_of_members_in_integers(ensemble, folder):
    batch = ensemble.tensors("test.safetensors")["input"]
    members = [load_bundle(folder / f"run{fold}" / "bundle").run(batch) for fold in (1, 2)]
    mean = np.mean([member["logits"] for member in members], axis=0)
    found = ensemble.run(batch)
    # Eight bits in each of ten layers: a few hundredths, of one and of the largest logit.
    assert np.abs(found["logits"] - mean).max() < 0.05 + 0.05 * np.abs(mean).max()
    bias = found["logits"] - found["evidence"].mean(axis=(1, 2))
    np.testing.assert_allclose(bias, np.tile(bias[:1], (len(bias), 1)), atol=1e-4)  # float32 sums of the head
    assert found["features"].shape == members[0]["features"].shape


def test_ranges_of_integers_hold_gray_copies_too(ensemble, folder):
    """Stretched contrast leaves the ranges of colored fields: without copies among them the answers were others."""
    config = read_settings(ClassificationConfig, folder / "tiny.toml", ())
    images = Images(read_index(folder / "index").samples(fold=3), config.field, config.preprocessing, np.inf)
    fields = np.concatenate([images.fields(number) for number in range(len(images))])
    batch = prepared_fields(gray_copies(fields), config)
    members = [load_bundle(folder / f"run{fold}" / "bundle").run(batch)["logits"] for fold in (1, 2)]
    mean = np.mean(members, axis=0)
    assert np.abs(ensemble.run(batch)["logits"] - mean).max() < 0.05 + 0.05 * np.abs(mean).max()


def test_scores_on_its_own_images_say_that_they_are_no_test(ensemble, folder):
    evaluation = evaluate_bundle(ensemble, read_index(folder / "index"), fold=1, baseline=False)
    assert any("mean of 2 networks" in note and "no test" in note for note in evaluation.notes)


def test_the_backbones_are_quantized_and_both_their_ends_are_not(ensemble):
    graph = onnx.load_model_from_string(ensemble.read("graph.onnx")).graph
    made_by = {output: node.op_type for node in graph.node for output in node.output}
    convolutions = [node for node in graph.node if node.op_type == "Conv"]
    in_integers = [made_by.get(node.input[0]) == "DequantizeLinear" for node in convolutions]
    # The first convolution of each of both networks sees colors.
    assert in_integers.count(False) == 2
    products = [node for node in graph.node if node.op_type == "MatMul"]
    assert products
    assert all(made_by[node.input[0]] != "DequantizeLinear" for node in products)


def test_scores_and_policy_are_out_of_fold(ensemble, folder):
    samples = read_index(folder / "index").samples(fold={1, 2})
    assert {score.subset for score in ensemble.manifest.scores} == {"out of fold 1, 2"}
    assert ensemble.manifest.scores[0].n_images == len(samples) == 12
    table = ensemble.calibration()
    assert set(table["part"]) == {"out of fold"}
    assert set(table["id"]) == {sample.id for sample in samples}
    card = ensemble.read("README.md").decode()
    assert "Cross-validated: every score below is of the single networks" in card
    assert "of accuracy against floating point" in card
    assert ensemble.manifest.classes == list(ORGANS)
    assert [(c.kind, c.note) for c in ensemble.certificate.comparisons] == [
        ("framework", "PyTorch, network 1 of 2"),
        ("int8", ""),
        ("threads", ""),
    ]


def test_runs_that_do_not_belong_together_are_refused(folder, tmp_path):
    with pytest.raises(DatasetError, match=r"held out by one run at most.*6 scored twice"):
        build_ensemble([folder / "run1", folder / "run1"], tmp_path / "out")
    with pytest.raises(UsageError, match="two or more run folders"):
        build_ensemble([folder / "run1"], tmp_path / "out")
    with pytest.raises(UsageError, match="Expected a finished run"):
        build_ensemble([folder / "run1", tmp_path], tmp_path / "out")
