"""A run that also names the organ of each cell."""

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from PIL import Image as PillowImage

import tiny_bundles
from organscope.decision import fit_joint_calibration
from organscope.models import load_bundle
from organscope.pipeline import Models, decide_again, plan_run, run_plan
from organscope.pipeline.image import ReadOptions, work_on_image
from organscope.pipeline.plan import Target
from organscope.pipeline.results import read_policy


@pytest.fixture(scope="module")
def all_models(models, tmp_path_factory) -> Models:
    cell_organs = tiny_bundles.tiny_cell_organs(tmp_path_factory.mktemp("bundles") / "cell_organs")
    return Models(models.cells, models.organs, cell_organs)


def picture(path, ground, cells) -> None:
    """Dark discs in one color on a ground in another."""
    pixels = np.full((64, 96, 3), ground, np.uint8)
    y, x = np.mgrid[:64, :96]
    pixels[(y % 32 - 16) ** 2 + (x % 32 - 16) ** 2 < 60] = cells
    PillowImage.fromarray(pixels).save(path)


def test_every_row_names_an_organ(tmp_path, all_models):
    picture(tmp_path / "a.png", (255, 150, 150), (200, 0, 0))
    run_plan(plan_run([tmp_path / "a.png"], tmp_path / "out"), all_models)
    table = pd.read_parquet(tmp_path / "out" / "a" / "cells.parquet")
    assert table["organ"].tolist() == ["red organ"] * 6
    assert table["organ_probability"].between(0.5, 1).all()
    columns = table.columns.tolist()
    assert columns[columns.index("probability") :][:4] == [
        "probability",
        "organ",
        "organ_probability",
        "touches_border",
    ]
    written = pd.read_csv(tmp_path / "out" / "a" / "cells.csv")
    assert written["organ"].tolist() == table["organ"].tolist()
    features = json.loads((tmp_path / "out" / "a" / "cells.geojson").read_text())["features"]
    assert features[0]["properties"]["classification"]["name"] == "red organ"
    assert "organ_probability" in features[0]["properties"]["measurements"]
    with PillowImage.open(tmp_path / "out" / "a" / "cell_organs.png") as drawn:
        assert drawn.size == (96, 64)


def test_the_summary_says_what_the_cells_say(tmp_path, all_models):
    picture(tmp_path / "same.png", (255, 150, 150), (200, 0, 0))
    picture(tmp_path / "empty.png", (255, 70, 70), (255, 70, 70))
    result = run_plan(plan_run([tmp_path], tmp_path / "out"), all_models)
    assert not result.failures
    rows = pd.read_csv(tmp_path / "out" / "summary.csv").set_index("results")
    assert rows.loc["same", ["cells_organ", "agreement"]].tolist() == ["red organ", "agree"]
    assert rows.loc["same", "cells_confidence"] > 0.7
    assert rows.loc["same", "image_organ"] == "red organ"
    assert rows.loc["empty", "image_organ"] == "red organ"
    assert rows.loc["empty", "agreement"] == "no cells"
    assert pd.isna(rows.loc["empty", "cells_organ"])
    page = (tmp_path / "out" / "report.html").read_text()
    assert "All cells together say the same" in page
    assert "No cell was found, so the cells say nothing about the organ." in page
    assert "Organs of the single cells" in page


def test_cells_that_contradict_the_image_make_it_abstain(tmp_path, all_models):
    # The ground is red and so is the image as a whole; its few cells are blue, as far as their crops reach.
    pixels = np.full((64, 64, 3), (255, 70, 70), np.uint8)
    pixels[26:38, 26:38] = (0, 0, 180)
    PillowImage.fromarray(pixels).save(tmp_path / "a.png")
    run_plan(plan_run([tmp_path / "a.png"], tmp_path / "out"), all_models)
    row = pd.read_csv(tmp_path / "out" / "predictions.csv").iloc[0]
    assert (row["organ"], row["decision"]) == ("red organ", "abstain")
    assert "its cells together say blue organ" in row["reason"]
    summary = pd.read_csv(tmp_path / "out" / "summary.csv").iloc[0]
    assert (summary["cells_organ"], summary["agreement"]) == ("blue organ", "disagree")
    page = (tmp_path / "out" / "report.html").read_text()
    assert "Contradiction:" in page
    assert "the image as a whole says red organ, probability" in page


@pytest.fixture(scope="module")
def calibrated_models(models, tmp_path_factory) -> Models:
    """Cells and images that were calibrated beside each other."""
    sure = np.eye(3) * 0.7 + 0.1
    organs = models.organs.manifest
    together = fit_joint_calibration(
        sure, sure, np.arange(3), organs.classes, image_bundle=organs.title, image_policy=models.organs.policy
    )
    folder = tmp_path_factory.mktemp("bundles") / "cell_organs"
    spec = tiny_bundles.tiny_cell_organs(folder).manifest.spec.model_copy(update={"together": together})
    return Models(models.cells, models.organs, load_bundle(tiny_bundles.write_tiny_cell_organs(folder, spec=spec)))


def test_image_and_cells_that_were_calibrated_beside_each_other_answer_together(tmp_path, models, calibrated_models):
    picture(tmp_path / "a.png", (255, 150, 150), (200, 0, 0))
    run_plan(plan_run([tmp_path / "a.png"], tmp_path / "alone"), models)
    run_plan(plan_run([tmp_path / "a.png"], tmp_path / "both"), calibrated_models)
    alone, both = (pd.read_csv(tmp_path / name / "predictions.csv").iloc[0] for name in ("alone", "both"))
    summary = pd.read_csv(tmp_path / "both" / "summary.csv").iloc[0]
    assert summary["image_confidence"] == alone["confidence"] != both["confidence"]
    assert summary["organ"] == both["organ"] == "red organ"
    assert "The answer counts the image and its cells alike." in (tmp_path / "both" / "report.html").read_text()
    stored = [read_policy(tmp_path / name / "policy.json") for name in ("alone", "both")]
    assert stored[1].bundle == "tiny-organs 1.0.0 with tiny-cell-organs 1.0.0"
    assert stored[0].bundle_sha256 != stored[1].bundle_sha256
    again = decide_again(tmp_path / "both").table.iloc[0]
    assert again["confidence"] == both["confidence"]
    assert again["decision"] == both["decision"]


def test_another_version_of_the_bundle_for_images_answers_alone(calibrated_models, tmp_path):
    other = load_bundle(tiny_bundles.write_tiny_classification(tmp_path / "organs", version="2.0.0"))
    changed = replace(calibrated_models, organs=other)
    assert calibrated_models.together is not None
    assert changed.together is None
    assert changed.policy == other.policy


def test_progress_goes_on_through_the_organs(tmp_path, all_models):
    picture(tmp_path / "a.png", (255, 150, 150), (200, 0, 0))
    told: list[float] = []
    target = Target(tmp_path / "a.png", Path("a"))
    work_on_image(target, tmp_path / "out", all_models, ReadOptions(), told.append)
    assert told == sorted(told)
    assert 0.8 in told
    assert told[-1] == 1.0


def test_without_a_bundle_for_cells_nothing_is_said_of_them(tmp_path, models):
    picture(tmp_path / "a.png", (255, 150, 150), (200, 0, 0))
    run_plan(plan_run([tmp_path / "a.png"], tmp_path / "out"), models)
    assert not {"organ", "organ_probability"} & set(pd.read_parquet(tmp_path / "out" / "a" / "cells.parquet").columns)
    assert "cells_organ" not in pd.read_csv(tmp_path / "out" / "summary.csv").columns
    assert not (tmp_path / "out" / "a" / "cell_organs.png").exists()
    assert "together" not in (tmp_path / "out" / "report.html").read_text()
