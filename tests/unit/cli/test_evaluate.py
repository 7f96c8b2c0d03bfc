"""organscope evaluate, from images with label masks to the printed scores."""

import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from PIL import Image as PillowImage
from skimage.measure import label


@pytest.fixture
def index(tmp_path, colon, call) -> Path:
    """An index of four real crops whose truth is what the tiny bundle finds too: dark pixels."""
    for place in range(4):
        crop = colon[place * 80 : place * 80 + 64, 100:164]
        truth = label(crop.mean(axis=2) < 127).astype(np.uint16)
        for folder, pixels in (("images", crop), ("labels", truth)):
            (tmp_path / "set" / folder).mkdir(parents=True, exist_ok=True)
            PillowImage.fromarray(pixels).save(tmp_path / "set" / folder / f"{place}.png")
    folder = tmp_path / "index"
    result = call("data", "import", tmp_path / "set", "-o", folder, "--holdout", "0.5", "--workers", "1")
    assert result.exit_code == 0, result.output
    return folder


def test_scores_are_printed_with_intervals_and_written(call, cells, index, tmp_path):
    result = call("evaluate", cells, index, "--fold", "1", "-o", tmp_path / "scores")
    assert result.exit_code == 0, result.output
    assert "tiny-nuclei 1.0.0, fold 1" in result.stdout
    assert any("dice" in line and " to " in line for line in result.stdout.splitlines())
    table = pd.read_csv(tmp_path / "scores" / "scores.csv")
    assert table.loc[table["metric"] == "dice", "value"].item() > 0.9


def test_json_is_all_that_stdout_holds(call, cells, index, tmp_path):
    result = call("evaluate", cells, index, "-o", tmp_path / "scores", "--json")
    data = json.loads(result.stdout)
    assert data["task"] == "segmentation"
    assert str(tmp_path / "scores" / "scores.csv") in data["files"]


def test_fold_that_is_not_there_is_wrong_use(call, cells, index, tmp_path):
    result = call("evaluate", cells, index, "--fold", "9", "-o", tmp_path / "scores")
    assert result.exit_code == 2
    assert "fold 9" in result.stderr


def test_missing_index_is_wrong_use(call, cells, tmp_path):
    result = call("evaluate", cells, tmp_path / "nothing", "-o", tmp_path / "scores")
    assert result.exit_code == 2
    assert result.stderr.count("\n") == 1
