"""A run of the organ classifier is trained again from its folder: the same numbers, and what changed is said."""

import json

import pandas as pd
import pytest
from typer.testing import CliRunner

from organscope.cli.main import app
from organscope.training.classification.train import train_classification
from organscope.training.origin import ORIGIN_FILE, read_origin
from texture_set import write_texture_set

# The learning rate follows the clock, as in the shipped configuration.
QUICK = ("fit.epochs=3", "fit.max_minutes=0.5", 'fit.precision="auto"')


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    config = write_texture_set(tmp_path_factory.mktemp("textures"))
    run = tmp_path_factory.mktemp("runs") / "organs"
    train_classification(config, run, overrides=QUICK)
    return run


def test_the_same_numbers_again(run):
    result = CliRunner().invoke(app, ["reproduce", str(run)])
    assert result.exit_code == 0, result.output
    assert "The same numbers: all 3 epochs" in result.stdout
    assert "Warning: Another" not in result.stderr
    again = run.with_name("organs-again")
    table = pd.read_csv(again / "reproduction.csv")
    assert (table["difference"] == 0).all()
    assert {"loss", "nll", "accuracy", "ece"} <= set(table["metric"])
    assert {"epoch 3", "textures, fold 1"} == set(table["part"])


def test_another_run_is_told_from_it(run, tmp_path):
    """A run whose record was changed: other numbers, another computer and other data."""
    import shutil

    other = tmp_path / "other"
    shutil.copytree(run, other, ignore=shutil.ignore_patterns("state"))
    rows = [json.loads(line) for line in (other / "metrics.jsonl").read_text().splitlines()]
    rows[1]["loss"] += 0.001
    (other / "metrics.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    origin = read_origin(other)
    computer = origin.computer | {"processor": "Abacus"}
    (other / ORIGIN_FILE).write_text(origin.model_copy(update={"computer": computer}).model_dump_json())
    result = CliRunner().invoke(app, ["reproduce", str(other), "-o", str(tmp_path / "new"), "--json"])
    assert result.exit_code == 1
    found = json.loads(result.stdout)
    assert not found["same"]
    assert found["first_difference"].startswith("loss of epoch 2")
    assert found["output_difference"] == 0
    assert any(change.startswith("Another processor: Abacus then") for change in found["changes"])
