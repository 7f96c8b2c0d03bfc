"""organscope decide, after organscope classify."""

import json

import numpy as np
import pytest
from PIL import Image as PillowImage


@pytest.fixture
def classified(tmp_path, call, organs):
    for name, color in (("red", (230, 20, 20)), ("blue", (20, 20, 230)), ("gray", (120, 120, 120))):
        PillowImage.fromarray(np.full((64, 64, 3), color, np.uint8)).save(tmp_path / f"{name}.png")
    out = tmp_path / "out"
    assert call("classify", *tmp_path.glob("*.png"), "-o", out, "--bundle", organs).exit_code == 0
    return out


def test_promise_and_price_are_printed(call, classified):
    result = call("decide", classified, "--positive", "red organ", "--min-recall", "0.9")
    assert result.exit_code == 0, result.output
    words = " ".join(result.stdout.split())
    assert "90 % cannot be promised for red organ: that takes 22 calibration images of it, and there are 1." in words
    assert "The price:" in words
    assert "exchangeable with the calibration images" in words
    assert (classified / "decisions.csv").is_file()


def test_json_is_all_that_stdout_holds(call, classified):
    data = json.loads(call("decide", classified, "--positive", "red organ", "--json").stdout)
    assert data["n_images"] == 3
    assert data["promise"]["organ"] == "red organ"
    assert data["promise"]["n_needed"] == 45
    assert sum(row["images"] for row in data["organs"]) == 3


def test_classify_takes_the_same_options(call, classified, organs, tmp_path):
    words = ("--positive", "blue organ", "--bundle", organs, "--json")
    data = json.loads(call("classify", tmp_path / "blue.png", "-o", tmp_path / "again", *words).stdout)
    # One calibration image, of probability 1: only what is as sure is flagged.
    assert data["images"][0]["flagged"] is False
    assert data["images"][0]["prediction_set"][0] == "blue organ"
    assert data["promise"]["n_positive"] == 1


def test_unknown_organ_names_near_ones(call, classified):
    result = call("decide", classified, "--positive", "red orgn")
    assert result.exit_code == 2
    assert "Did you mean red organ" in result.stderr
    assert result.stderr.count("\n") == 1


def test_nothing_to_decide_on_is_wrong_use(call, tmp_path):
    assert call("decide", tmp_path / "nothing").exit_code == 2
