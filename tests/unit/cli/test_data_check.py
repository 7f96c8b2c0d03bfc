"""organscope data check and data summary: what they print, and their exit codes."""

import json

import numpy as np
import pandas as pd
import pytest
from typer.testing import CliRunner, Result

from organscope.cli.main import app
from tiny_set import TinySet, two_cells


def call(*words: object) -> Result:
    return CliRunner().invoke(app, ["data", *(str(word) for word in words)])


@pytest.fixture
def tiny(tmp_path) -> TinySet:
    return TinySet(tmp_path / "tiny")


def add_sound(tiny: TinySet) -> None:
    for number in range(3):
        tiny.add(f"image {number}", labels=two_cells(), um_per_px=0.5)


def test_sound_set_is_exit_code_0(tiny: TinySet):
    add_sound(tiny)
    folder = tiny.index().folder
    # The three label images are equal, the images are not.
    result = call("check", folder, "--json")
    assert (result.exit_code, json.loads(result.stdout)["n_errors"]) == (1, 1)
    tiny.rows = [row | {"labels": "", "labels_sha256": ""} for row in tiny.rows]
    folder = tiny.index().folder
    result = call("check", folder)
    assert result.exit_code == 0, result.output
    assert "3 images: 0 errors, 0 warnings, 0 notes." in result.stdout
    assert pd.read_csv(folder / "findings.csv").empty
    assert sorted(path.name for path in folder.iterdir()) == ["findings.csv", "index.csv", "index.parquet"]


def test_warnings_are_exit_code_1_with_strict_only(tiny: TinySet):
    tiny.add("small", tiny.noise((10, 10)), um_per_px=0.5)
    folder = tiny.index().folder
    assert call("check", folder).exit_code == 0
    assert call("check", folder, "--strict").exit_code == 1


def test_errors_are_exit_code_1_named_and_explained(tiny: TinySet, tmp_path):
    tiny.add("a\nb", np.zeros((32, 32), np.uint8))
    tiny.add("gone").unlink()
    result = call("check", tiny.index().folder, "-o", tmp_path / "checked")
    assert result.exit_code == 1
    assert "unreadable-image" in result.stdout
    assert "a\\nb: Expected an image, found 0 in every pixel." in result.stdout
    assert "Copy the file again" in result.stdout
    table = pd.read_csv(tmp_path / "checked" / "findings.csv")
    assert table["severity"].tolist() == ["error", "error", "note"]
    assert table["check"].tolist() == ["unreadable-image", "constant-image", "unknown-pixel-size"]


def test_many_findings_of_one_check_are_one_row(tiny: TinySet):
    for number in range(5):
        tiny.add(f"flat {number}", np.full((32, 32), number, np.uint8))
    result = call("check", tiny.index().folder)
    assert "(and 4 more)" in result.stdout


def test_summary_says_where_the_page_is(tiny: TinySet, tmp_path):
    add_sound(tiny)
    result = call("summary", tiny.index().folder, "-o", tmp_path / "out", "--no-umap")
    assert result.exit_code == 0, result.output
    assert "3 images, 6 cells, 1 organs" in result.stdout
    assert (tmp_path / "out" / "summary.html").is_file()


def test_summary_tells_machines_the_same_and_names_failures(tiny: TinySet, tmp_path):
    add_sound(tiny)
    tiny.add("gone").unlink()
    result = call("summary", tiny.index().folder, "-o", tmp_path / "out", "--no-umap", "--json")
    assert result.exit_code == 1
    document = json.loads(result.stdout)
    assert (document["n_images"], document["n_cells"]) == (3, 6)
    assert [failure["image"] for failure in document["failures"]] == ["gone"]
    assert "Failed: gone: " in result.stderr


def test_wrong_use_is_exit_code_2(tiny: TinySet, tmp_path):
    tiny.add("a")
    folder = tiny.index().folder
    (tmp_path / "file").touch()
    for words in (
        ("check", tmp_path / "nothing"),
        ("check", folder, "-o", tmp_path / "file" / "out"),
        ("summary", folder),
        ("summary", folder, "-o", tmp_path / "file" / "out"),
    ):
        result = call(*words)
        assert result.exit_code == 2, result.output
        assert "Traceback" not in result.output
