"""organscope train, without a framework: what reaches the trainer and what is said."""

import json
import sys
from types import ModuleType, SimpleNamespace

import pytest

TRAINER = "organscope.training.segmentation.train"


@pytest.fixture
def config(tmp_path):
    path = tmp_path / "config.toml"
    path.write_text("")
    return path


@pytest.fixture
def calls(monkeypatch) -> list:
    """Stand in for the trainer's module, which loads TensorFlow; its calls are noted."""
    noted = []

    def train_segmentation(config, run_dir, *, overrides, resume, report):
        noted.append((config, run_dir, overrides, resume))
        report("epoch 1/1")
        manifest = SimpleNamespace(name="mine", version="1.0.0", scores=[])
        return SimpleNamespace(manifest=manifest)

    module = ModuleType(TRAINER)
    module.train_segmentation = train_segmentation
    monkeypatch.setitem(sys.modules, TRAINER, module)
    return noted


def test_settings_and_resume_reach_the_trainer(call, calls, config, tmp_path):
    words = ["--set", "fit.epochs=3", "--set", "network.depth=2", "--resume"]
    result = call("train", "segmentation", config, "-o", tmp_path / "run", *words)
    assert result.exit_code == 0, result.output
    overrides = ("tracking.to=mlflow", "fit.epochs=3", "network.depth=2")
    assert calls == [(config, tmp_path / "run", overrides, True)]
    assert result.stderr == "epoch 1/1\n"
    assert f"Bundle: {tmp_path / 'run' / 'bundle'}" in result.stdout


@pytest.mark.parametrize(
    ("text", "words", "expected"),
    [
        ("", [], ("tracking.to=mlflow",)),
        ("", ["--track", "both"], ("tracking.to=both",)),
        ('[tracking]\nto = "none"', [], ()),
        ('tracking.to = "none"', ["--track", "wandb"], ("tracking.to=wandb",)),
        ("", ["--set", "tracking.to=none"], ("tracking.to=none",)),
        ("no TOML", [], ()),
    ],
)
def test_the_tracker_is_the_options_then_the_configurations_then_mlflow(
    call, calls, config, tmp_path, text, words, expected
):
    config.write_text(text)
    call("train", "segmentation", config, "-o", tmp_path / "run", *words)
    assert calls[0][2] == expected


def test_json_is_all_that_stdout_holds(call, calls, config, tmp_path):
    result = call("train", "segmentation", config, "-o", tmp_path / "run", "--json")
    assert json.loads(result.stdout)["name"] == "mine"


def test_missing_framework_is_a_sentence_about_the_extra(call, config, tmp_path, monkeypatch):
    monkeypatch.delitem(sys.modules, TRAINER, raising=False)
    monkeypatch.setitem(sys.modules, "keras", None)
    result = call("train", "segmentation", config, "-o", tmp_path / "run")
    assert result.exit_code == 2
    assert "pip install '.[train]'" in result.stderr
    assert "keras" in result.stderr


def test_missing_configuration_is_wrong_use(call, tmp_path):
    result = call("train", "segmentation", tmp_path / "nothing.toml", "-o", tmp_path / "run")
    assert result.exit_code == 2
    assert "nothing.toml" in result.stderr
