"""A tiny training of the organ classifier, from images to a bundle that names their organ."""

import json
from pathlib import Path

import numpy as np
import onnx
import pandas as pd
import pytest
import safetensors.torch

from organscope.data.index import read_index, write_index
from organscope.errors import DatasetError, UsageError, VerificationError
from organscope.inference import classify_image
from organscope.models import Bundle, verify_bundle
from organscope.training.classification import fit as fit_module
from organscope.training.classification.augment import mix_pairs
from organscope.training.classification.config import NetworkConfig
from organscope.training.classification.export import check_graph
from organscope.training.classification.network import build_network
from organscope.training.classification.train import train_classification
from texture_set import CONFIG, ORGANS, write_texture_set


@pytest.fixture(scope="module")
def config_file(tmp_path_factory) -> Path:
    return write_texture_set(tmp_path_factory.mktemp("textures"))


@pytest.fixture(scope="module")
def trained(config_file, tmp_path_factory) -> tuple[Bundle, Path]:
    run = tmp_path_factory.mktemp("run")
    return train_classification(config_file, run), run


def test_the_bundle_verifies_and_says_how_it_was_made(trained):
    bundle, run = trained
    assert bundle.source == run / "bundle"
    assert verify_bundle(bundle).ok
    assert bundle.manifest.classes == list(ORGANS)
    assert {score.metric for score in bundle.manifest.scores} >= {"accuracy", "macro_f1", "ece"}
    assert all(score.subset == "fold 1" for score in bundle.manifest.scores)
    assert "random weights" in bundle.read("README.md").decode()
    framework, threads = bundle.certificate.comparisons
    assert (framework.kind, framework.note, threads.kind) == ("framework", "PyTorch", "threads")
    assert framework.largest_difference < 1e-3  # other orders of adding in ten layers
    assert (framework.n_changed, threads.n_changed) == (0, 0)


def test_the_network_learnt(trained):
    bundle, _ = trained
    accuracy = next(score.value for score in bundle.manifest.scores if score.metric == "accuracy")
    assert accuracy >= 5 / 6  # chance is 1/3; one of the six held-out images may be missed


def test_classify_names_a_image(trained, config_file):
    bundle, _ = trained
    sample = next(s for s in read_index(config_file.parent / "index").samples(fold=1) if s.organ == "mesh")
    with sample.open() as image:
        found = classify_image(image, bundle)
    assert found.organs[int(np.argmax(found.probabilities))] == "mesh"


def test_the_calibration_table_says_what_it_is(trained):
    bundle, run = trained
    table = bundle.calibration()
    split = pd.read_csv(run / "split.csv")
    assert set(table["part"]) == {"inner validation"}
    assert set(table["id"]) == set(split.loc[split["part"] == "validation", "id"])
    columns = [f"p_{organ}" for organ in bundle.manifest.classes]
    np.testing.assert_allclose(table[columns].sum(axis=1), 1, atol=1e-6)  # rounding of float64 sums


def test_the_stored_weights_are_those_of_the_graph(trained):
    import torch

    bundle, _ = trained
    architecture = bundle.manifest.weights.architecture
    network = build_network(
        NetworkConfig(**{key: architecture[key] for key in ("backbone", "arguments", "stages", "texture")}),
        architecture["n_organs"],
    ).eval()
    network.load_state_dict(safetensors.torch.load(bundle.read("weights.safetensors")))
    test = bundle.tensors("test.safetensors")
    with torch.inference_mode():
        logits, features = network(torch.from_numpy(test["input"]).permute(0, 3, 1, 2))
    # Sums of at most a few hundred float32 products in another order.
    np.testing.assert_allclose(logits.numpy(), test["logits"], atol=1e-4)
    np.testing.assert_allclose(features.numpy(), test["features"], atol=1e-4)


def test_the_graph_is_plain_and_tells_nothing_of_the_machine(trained):
    bundle, _ = trained
    graph = bundle.read("graph.onnx")
    kinds = {node.op_type for node in onnx.load_model_from_string(graph).graph.node}
    body = {"Conv", "Relu", "MaxPool", "AveragePool", "Add"}
    arithmetic = {"Mul", "Sub", "Div", "Log", "MatMul", "ReduceMean", "Pow", "Clip"}
    assert kinds <= body | arithmetic | {"BatchNormalization", "Transpose", "Concat"}
    assert b"site-packages" not in graph
    outputs = bundle.run(np.zeros((3, 96, 64, 3), np.float32))
    assert outputs["logits"].shape == (3, 3)


def test_logits_are_the_mean_of_the_evidence_and_a_constant(trained):
    bundle, _ = trained
    random = np.random.default_rng(1)
    biases = []
    for shape in ((2, 96, 64, 3), (1, 75, 101, 3)):  # the second is no multiple of the network's stride
        outputs = bundle.run(random.standard_normal(shape, dtype=np.float32))
        assert outputs["evidence"].shape == (shape[0], -(-shape[1] // 32), -(-shape[2] // 32), 3)
        biases.append(outputs["logits"] - outputs["evidence"].mean(axis=(1, 2)))
    # Sums of a few hundred float32 products in another order.
    np.testing.assert_allclose(np.concatenate(biases), np.tile(biases[0][:1], (3, 1)), atol=1e-4)


def test_a_graph_of_another_network_is_refused(trained):
    bundle, _ = trained
    config = NetworkConfig(backbone="resnet10t", arguments={"channels": [8, 8, 16, 16]}, stages=3, texture=True)
    other = build_network(config, 3)
    with pytest.raises(VerificationError, match="Expected the exported graph within"):
        check_graph(bundle.read("graph.onnx"), other, bundle.tensors("test.safetensors")["input"])


def test_the_run_directory_explains_itself(trained):
    _, run = trained
    epochs = [json.loads(line) for line in (run / "metrics.jsonl").read_text().splitlines()]
    assert [row["epoch"] for row in epochs] == list(range(1, 31))
    assert set(epochs[0]) >= {"loss", "nll", "balanced_accuracy", "learning_rate", "seconds"}
    heads = pd.read_csv(run / "heads.csv")
    assert len(heads) == 6
    texts = {"heads.csv", "config.json", "config.toml", "split.csv", "environment.txt", "origin.json", "metrics.jsonl"}
    names = texts | {"bundle", "state"}
    assert names == {path.name for path in run.iterdir()}


class InterruptedAt:
    """`mix_pairs` until the call at which the person presses Ctrl-C."""

    def __init__(self, last_call: int) -> None:
        self.calls_left = last_call

    def __call__(self, *arguments):
        self.calls_left -= 1
        if self.calls_left == 0:
            raise KeyboardInterrupt
        return mix_pairs(*arguments)


def test_an_interrupted_run_goes_on_to_the_same_result(trained, config_file, tmp_path, monkeypatch):
    whole, _ = trained

    monkeypatch.setattr(fit_module, "mix_pairs", InterruptedAt(8))  # two steps an epoch: within the fourth
    with pytest.raises(KeyboardInterrupt, match=r"3 whole epochs .* --resume"):
        train_classification(config_file, tmp_path)
    monkeypatch.undo()
    with pytest.raises(UsageError, match="--resume"):
        train_classification(config_file, tmp_path)
    lines = []
    resumed = train_classification(config_file, tmp_path, resume=True, report=lines.append)
    assert any(line.startswith("epoch 4/30") for line in lines)
    assert not any(line.startswith("epoch 3/30") for line in lines)
    assert resumed.read("weights.safetensors") == whole.read("weights.safetensors")


def test_images_without_an_organ_are_refused(config_file, tmp_path):
    table = read_index(config_file.parent / "index").table
    images = [str((config_file.parent / "index" / path).resolve()) for path in table["image"]]
    write_index(tmp_path / "index", table.assign(organ="", image=images))
    (tmp_path / "tiny.toml").write_text(CONFIG)
    with pytest.raises(DatasetError, match=r"Expected an organ .* none for 24 of 24"):
        train_classification(tmp_path / "tiny.toml", tmp_path / "run")
