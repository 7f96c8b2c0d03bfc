"""organscope compare, from images to the page."""

import json
import re
from pathlib import Path

import numpy as np
import pytest
from PIL import Image as PillowImage
from skimage.measure import label

import tiny_bundles


@pytest.fixture
def index(tmp_path, colon, call) -> Path:
    """An index of four real crops whose truth is what the tiny bundle finds too: dark pixels."""
    for place in range(4):
        crop = colon[place * 80 : place * 80 + 64, 100:164]
        truth = label(crop.mean(axis=2) < 127).astype(np.uint16)
        for folder, pixels in (("images", crop), ("labels", truth)):
            (tmp_path / "set" / folder).mkdir(parents=True, exist_ok=True)
            PillowImage.fromarray(pixels).save(tmp_path / "set" / folder / f"{place}.png")
    result = call("data", "import", tmp_path / "set", "-o", tmp_path / "index", "--holdout", "0.5", "--workers", "1")
    assert result.exit_code == 0, result.output
    return tmp_path / "index"


@pytest.fixture
def runs(tmp_path) -> Path:
    """Two finished trainings, one of which scales intensities so that it finds fewer cells."""
    for name, threshold in (("plain", 0.5), ("<b>strict</b>", 0.97)):
        run = tmp_path / "runs" / name.replace("/", "|")
        decoder = tiny_bundles.Decoder(head="distance", foreground_threshold=threshold)
        spec = tiny_bundles.SegmentationSpec(stride_px=4, halo_px=4, maps=["foreground", "distance"], decoder=decoder)
        tiny_bundles.write_tiny_segmentation(run / "bundle", spec=spec)
        rows = [{"epoch": epoch, "loss": 1 / epoch, "pq": 0.1 * epoch, "seconds": 3.0} for epoch in (1, 2)]
        (run / "metrics.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    return tmp_path / "runs"


def test_page_and_tables_are_written(call, index, runs, tmp_path):
    out = tmp_path / "out"
    result = call("compare", runs, "--on", index, "-o", out, "--rounds", "1", "--pictures", "2", "--threads", "1")
    assert result.exit_code == 0, result.output
    assert "plain" in result.stdout
    page = (out / "compare.html").read_text()
    assert "Which differences are real" in page
    assert "Where they disagree most" in page
    assert "<b>strict" not in page
    assert not re.search(r'(?:src|href)="https?:', page)
    assert {path.name for path in out.iterdir()} == {
        *("compare.html", "cost.png", "curves.png", "tables.md"),
        *("scores.csv", "tests.csv", "costs.csv", "organs.csv", "pictures.csv"),
    }


def test_json_is_all_that_stdout_holds(call, index, runs, tmp_path):
    options = ("--rounds", "0", "--pictures", "0", "--reference", "plain", "--json")
    result = call("compare", runs, "--on", index, "-o", tmp_path / "out", *options)
    data = json.loads(result.stdout)
    assert data["reference"] == "plain"
    assert {row["metric"] for row in data["tests"]} >= {"pq", "dice"}
    assert data["costs"][0]["speed"] is None


def test_models_for_two_tasks_are_wrong_use(call, index, cells, organs, tmp_path):
    result = call("compare", cells, organs, "--on", index, "-o", tmp_path / "out")
    assert result.exit_code == 2
    assert "one task" in result.stderr
    assert result.stderr.count("\n") == 1
