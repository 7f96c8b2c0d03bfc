"""organscope sweep: what is printed, and what is refused."""

import json
import sys

import pytest

import stand_in_training
from organscope.sweep import report, trial_process

SPACE = """
task = "segmentation"
config = "base.toml"
epochs = 2
trials = 2

[parameters]
"fit.learning_rate" = { min = 1e-3, max = 1e-2, log = true }
"""


@pytest.fixture
def space(tmp_path, monkeypatch):
    """A space whose trainings are stand-ins."""
    monkeypatch.setattr(trial_process, "PROGRAM", (sys.executable, "-S", stand_in_training.__file__))
    monkeypatch.setattr(trial_process, "POLL_SECONDS", 0.01)
    monkeypatch.setattr(report, "render_sweep_page", lambda study, space, table: "<!doctype html>")
    (tmp_path / "base.toml").write_text(stand_in_training.CONFIG)
    (tmp_path / "space.toml").write_text(SPACE)
    return tmp_path / "space.toml"


def test_a_line_a_trial_and_the_winner(call, space, tmp_path):
    result = call("sweep", space, "-o", tmp_path / "sweep")
    assert result.exit_code == 0, result.output
    lines = result.stderr.splitlines()
    assert [line.split("  ")[0] for line in lines] == ["[1/2] trial 0 complete", "[2/2] trial 1 complete"]
    assert "learning_rate=0.00" in lines[0]
    assert "2 complete" in result.stdout
    assert f"organscope train segmentation {tmp_path / 'sweep' / 'best.toml'}" in result.stdout


def test_json_is_all_that_stdout_holds(call, space, tmp_path):
    result = call("sweep", space, "-n", 1, "-o", tmp_path / "sweep", "--json")
    content = json.loads(result.stdout)
    assert content["trials"][0]["state"] == "complete"
    assert content["best"] == str(tmp_path / "sweep" / "best.toml")


def test_when_no_trial_succeeds_the_reason_is_said(call, space, tmp_path):
    (tmp_path / "base.toml").write_text(stand_in_training.CONFIG.replace("ends well", "crashes"))
    result = call("sweep", space, "-o", tmp_path / "sweep")
    assert result.exit_code == 1
    assert "No trial succeeded. The last one: exit code 1: Error: Expected images, found none." in result.stderr
    assert not (tmp_path / "sweep" / "best.toml").exists()


@pytest.mark.parametrize(
    ("words", "reason"),
    [
        (["--storage", "nonsense"], "Expected a storage such as"),
        (["--config", "missing.toml"], "missing.toml"),
        (["--jobs", "0"], "--jobs"),
        (["--task", "naming"], "--task"),
        (["-n", "-1"], "-n"),
    ],
)
def test_wrong_use_is_a_sentence(call, space, tmp_path, words, reason):
    result = call("sweep", space, "-o", tmp_path / "sweep", *words)
    assert result.exit_code == 2
    assert reason in result.stderr
    assert "Traceback" not in result.stderr


def test_wandb_is_given_one_objective(call, space, tmp_path):
    space.write_text("objectives = [{ metric = 'score' }, { metric = 'size_mb', direction = 'minimize' }]" + SPACE)
    result = call("sweep", space, "-o", tmp_path / "sweep", "--backend", "wandb")
    assert result.exit_code == 2
    assert "one objective" in result.stderr


def test_the_number_of_trials_must_be_known(call, space, tmp_path):
    space.write_text(SPACE.replace("trials = 2", ""))
    result = call("sweep", space, "-o", tmp_path / "sweep")
    assert result.exit_code == 2
    assert "number of trials" in result.stderr


def test_a_wandb_sweep_says_what_is_not_used(call, space, tmp_path):
    sweep = tmp_path / "sweep.yaml"
    sweep.write_text(
        "program: train.py\nmethod: random\nmetric: {name: validation/score, goal: maximize}\n"
        "parameters: {fit.learning_rate: {min: 0.001, max: 0.01}, fit.epochs: {value: 1}}\n"
    )
    base = tmp_path / "base.toml"
    result = call("sweep", sweep, "--config", base, "--task", "segmentation", "-n", 1, "-o", tmp_path / "sweep")
    assert result.exit_code == 0, result.output
    assert result.stderr.startswith("Note: program of ")
