"""organscope teach: what is printed, and how it is refused."""

import json

from kinds_set import write_kinds_index
from texture_set import write_texture_set


def test_figures_and_the_bundle_are_told(call, tmp_path):
    write_texture_set(tmp_path)
    result = call("teach", "organs", tmp_path / "index", "-o", tmp_path / "mine", "--name", "mine")
    assert result.exit_code == 0, result.output
    for words in ("color alone", "more for .95", "24 groups", f"Bundle: {tmp_path / 'mine'}"):
        assert words in result.output
    assert (tmp_path / "mine" / "manifest.json").is_file()
    told = call(
        "classify", tmp_path / "bark_0.png", "-o", tmp_path / "results", "--bundle", tmp_path / "mine", "--json"
    )
    assert told.exit_code == 0, told.output


def test_json_holds_every_table(call, tmp_path):
    write_texture_set(tmp_path)
    result = call("teach", "organs", tmp_path / "index", "-o", tmp_path / "mine", "--json")
    found = json.loads(result.stdout)
    assert [row["label"] for row in found["classes"]] == ["bark", "dots", "mesh"]
    assert {row["metric"] for row in found["scores"]} == {"accuracy", "balanced_accuracy", "macro_f1", "ece"}


def test_a_folder_without_an_index_is_wrong_use(call, tmp_path):
    result = call("teach", "organs", tmp_path, "-o", tmp_path / "mine")
    assert result.exit_code == 2
    assert "organscope data import" in result.output
    assert not (tmp_path / "mine").exists()


def test_kinds_of_cells_are_taught_and_told(call, tmp_path):
    index = write_kinds_index(tmp_path, n_images=4, labeled=True)
    result = call("teach", "cells", index, "-o", tmp_path / "mine")
    assert result.exit_code == 0, result.output
    for words in ("macro_f1", "color alone", "given the cells", "41 groups", f"Bundle: {tmp_path / 'mine'}"):
        assert words in result.output
    assert "--cell-kinds" in call("bundle", "show", tmp_path / "mine").output
