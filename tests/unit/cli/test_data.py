"""The commands below `organscope data`: what they print, and their exit codes."""

import json

import pandas as pd
import pytest
from typer.testing import CliRunner, Result

from mission_standin import write_mission_set
from organscope.cli.main import app


def call(*words: object) -> Result:
    return CliRunner().invoke(app, ["data", *(str(word) for word in words)])


@pytest.fixture(scope="module")
def mission(tmp_path_factory):
    """The stand-in and its index."""
    folder = tmp_path_factory.mktemp("mission")
    write_mission_set(folder / "set", n_train=1, size_px=40)
    result = call("import", folder / "set", "-o", folder / "index", "--workers", "1")
    assert result.exit_code == 0, result.output
    assert "24 images (layout train-test), 24 with labels" in result.output
    assert "small intestine" in result.output
    return folder


def test_import_tells_machines_the_same(tmp_path, mission):
    (mission / "set" / "test" / "liver" / "broken.tif").write_text("no image")
    result = call("import", mission / "set", "-o", tmp_path / "index", "--json")
    (mission / "set" / "test" / "liver" / "broken.tif").unlink()
    assert result.exit_code == 1
    document = json.loads(result.stdout)
    assert document["n_images"] == 24
    assert document["folds"] == {"1": 12, "2": 4, "3": 4, "4": 4}
    assert document["organs"]["lymph node"] == 2
    assert [failure["source"] for failure in document["failures"]] == ["test/liver/broken.tif"]
    assert [note["source"] for note in document["notes"]] == ["annotations"]


def test_failures_are_named_on_stderr(tmp_path, mission):
    (mission / "set" / "train" / "liver" / "broken.tif").touch()
    result = call("import", mission / "set", "-o", tmp_path / "index")
    (mission / "set" / "train" / "liver" / "broken.tif").unlink()
    assert result.exit_code == 1
    assert "Failed: train/liver/broken.tif: " in result.stderr
    assert "24 images" in result.stdout


def test_wrong_use_is_exit_code_2(tmp_path, mission):
    (tmp_path / "empty").mkdir()
    (tmp_path / "file").touch()
    wrong = [
        ("import", tmp_path / "empty", "-o", tmp_path / "index"),
        ("import", mission / "set", "-o", tmp_path / "index", "--format", "unheard-of"),
        ("import", mission / "set", "-o", tmp_path / "index", "--holdout", "15"),
        ("import", mission / "set", "-o", tmp_path / "file" / "index"),
        ("split", tmp_path / "empty"),
        ("export", mission / "index", "-o", tmp_path / "out", "--format", "xml"),
        ("fetch", "unheard-of", "-o", tmp_path),
    ]
    for words in wrong:
        result = call(*words)
        assert result.exit_code == 2, words
        assert "Error: Expected" in result.stderr
        assert "Traceback" not in result.output


def test_split_draws_in_place(tmp_path, mission):
    call("import", mission / "set", "-o", tmp_path / "index")
    result = call("split", tmp_path / "index", "--holdout", "0.25", "--mix-test", "--group", r"/([a-z_ 0-9]+)_\d+\.tif")
    assert result.exit_code == 0, result.output
    table = pd.read_parquet(tmp_path / "index" / "index.parquet")
    assert (table["fold"] == 1).sum() == 6
    assert table.groupby("group")["fold"].nunique().max() == 1
    assert table["group"].nunique() == 12
    again = call("split", tmp_path / "index", "--json")
    assert json.loads(again.stdout)["folds"] == {"1": 6, "2": 6, "3": 6, "4": 6}


def test_export_and_its_document(tmp_path, mission):
    result = call("export", mission / "index", "-o", tmp_path / "out", "--fold", "1", "--json", "--workers", "1")
    assert result.exit_code == 0, result.output
    document = json.loads(result.stdout)
    assert document["n_images"] == 12
    assert document["path"] == str(tmp_path / "out" / "annotations.json")
    assert len(json.loads((tmp_path / "out" / "annotations.json").read_text())["annotations"]) == document["n_cells"]


def test_fetch_lists_the_sets():
    assert "nuinsseg" in call("fetch").stdout
    assert {public["name"] for public in json.loads(call("fetch", "--json").stdout)} == {"dsb2018", "nuinsseg"}


@pytest.mark.parametrize("command", ["import", "split", "export", "fetch"])
def test_help_has_examples_and_exit_codes(command):
    result = call(command, "--help")
    assert result.exit_code == 0
    assert f"organscope data {command}" in result.stdout
    assert "Exit codes" in result.stdout
