"""Positive cells on fields whose stains are known: shares, H-scores, intervals, the threshold; in all results."""

import json

import numpy as np
import pandas as pd
import pytest
from PIL import Image as PillowImage

import organscope as osc
from organscope.errors import InputError, UsageError
from organscope.io import Image, write_labels
from organscope.ops.stains import H_DAB
from organscope.pipeline.ihc import DabSettings, count_dab, dab_grades, dab_settings, measure_dab
from organscope.pipeline.results import result_as_text, result_from_text

SIDE_PX, STEP_PX, RADIUS_PX = 320, 32, 8
#: Optical density of DAB, and how many of the 100 cells of a field have it.
DENSITIES = {0.05: 40, 0.30: 30, 0.50: 20, 0.80: 10}


def stained_field(place="nucleus", seed=0):
    """A field of 100 cells (uint8 320 x 320 x 3), their labels, and the density of DAB of each in nucleus or ring."""
    random = np.random.default_rng(seed)
    density = random.permutation(np.repeat(list(DENSITIES), list(DENSITIES.values())))
    labels = np.zeros((SIDE_PX, SIDE_PX), np.int32)
    stain = np.zeros((SIDE_PX, SIDE_PX, 2))
    y, x = np.mgrid[:SIDE_PX, :SIDE_PX]
    for number, dab in enumerate(density):
        top, left = (STEP_PX // 2 + STEP_PX * part for part in divmod(number, 10))
        away = np.hypot(y - top, x - left)
        labels[away <= RADIUS_PX] = number + 1
        stain[away <= RADIUS_PX, 0] = 0.4
        brown = away <= RADIUS_PX if place == "nucleus" else (away > RADIUS_PX) & (away <= RADIUS_PX + 7)
        stain[brown, 1] = dab
    vectors = np.array(H_DAB.vectors) / np.linalg.norm(H_DAB.vectors, axis=1, keepdims=True)
    return np.rint(255 * 10 ** -(stain @ vectors)).clip(1, 255).astype(np.uint8), labels, density


@pytest.mark.parametrize("place", ["nucleus", "ring"])
def test_share_and_score_of_a_known_field(place):
    pixels, labels, density = stained_field(place)
    table = osc.measure(pixels, labels).table
    found, counts = measure_dab(table, Image.from_array(pixels), labels, None, DabSettings(0.2, place))
    np.testing.assert_allclose(found["dab_od"], density, atol=0.03)
    row = counts.row()
    assert [row[f"n_{name}"] for name in ("negative", "weak", "moderate", "strong")] == list(DENSITIES.values())
    assert (row["n_cells"], row["positive_share"], row["h_score"]) == (100, 0.6, 30 + 2 * 20 + 3 * 10)
    assert row["positive_low"] < 0.6 < row["positive_high"]
    assert row["h_score_low"] < 100 < row["h_score_high"]


def test_the_threshold_moves_the_share_and_is_shown():
    pixels, labels, _ = stained_field()
    table = osc.measure(pixels, labels).table
    for threshold, share in ((0.02, 1.0), (0.2, 0.6), (0.4, 0.3), (0.9, 0.0)):
        row = measure_dab(table, Image.from_array(pixels), labels, None, DabSettings(threshold))[1].row()
        assert (row["dab_threshold"], row["positive_share"]) == (threshold, share)


def test_grades_begin_at_the_threshold_and_its_multiples():
    densities = np.array([0.249, 0.25, 0.499, 0.5, 0.75, 2.0, -0.1, np.nan])
    assert dab_grades(densities, 0.25).tolist() == [0, 1, 1, 2, 3, 3, 0, 0]


def test_intervals_over_fields_are_wider_where_neighbors_are_alike():
    random = np.random.default_rng(0)
    centers = random.uniform(0, 256 * 8, (2000, 2))
    by_field = (centers // 256).sum(axis=1) % 2 == 0
    alike = count_dab(by_field.astype(int), centers, DabSettings())
    mixed = count_dab(random.permutation(by_field.astype(int)), centers, DabSettings())
    assert alike.intervals_over == mixed.intervals_over == "fields"
    assert np.ptp(alike.positive) > 3 * np.ptp(mixed.positive)


def test_intervals_of_few_fields_are_over_cells_and_cover_the_truth():
    covered = 0
    for seed in range(60):
        random = np.random.default_rng(seed)
        grades = random.binomial(1, 0.3, 150)
        low, high = count_dab(grades, random.uniform(0, 400, (150, 2)), DabSettings()).positive
        covered += low <= 0.3 <= high
    assert 50 <= covered < 60


def test_no_cells_have_no_share():
    row = count_dab(np.zeros(0, np.int64), np.zeros((0, 2)), DabSettings()).row()
    assert row["n_cells"] == 0
    assert np.isnan([row["positive_share"], row["h_score"], row["positive_low"]]).all()


def test_what_is_asked_for_must_make_sense():
    assert dab_settings(None, None) is None
    assert dab_settings(None, "ring") == DabSettings(0.2, "ring")
    with pytest.raises(UsageError, match="between 0 and 1"):
        dab_settings(2.0, None)
    with pytest.raises(UsageError, match="nucleus or ring"):
        dab_settings(0.2, "membrane")
    gray = np.zeros((64, 64), np.uint8)
    table = osc.measure(gray, np.zeros((64, 64), np.int32)).table
    with pytest.raises(InputError, match="color"):
        measure_dab(table, Image.from_array(gray), np.zeros((64, 64), np.int32), None, DabSettings())


def test_a_run_tells_it_in_every_result(tmp_path):
    pixels, labels, _ = stained_field()
    PillowImage.fromarray(pixels).save(tmp_path / "ki67.png")
    (tmp_path / "labels").mkdir()
    write_labels(tmp_path / "labels" / "ki67.tif", labels)
    done = osc.run(tmp_path / "ki67.png", tmp_path / "out", labels=tmp_path / "labels", dab_threshold=0.2)
    assert not done.failures
    row = pd.read_csv(tmp_path / "out" / "ihc.csv").iloc[0]
    assert (row["positive_share"], row["h_score"], row["dab_threshold"], row["dab_in"]) == (0.6, 100, 0.2, "nucleus")
    table = pd.read_parquet(tmp_path / "out" / "ki67" / "cells.parquet")
    assert (table["dab_grade"] > 0).mean() == 0.6
    feature = json.loads((tmp_path / "out" / "ki67" / "cells.geojson").read_text())["features"][0]
    assert "dab_od" in feature["properties"]["measurements"]
    report = (tmp_path / "out" / "report.html").read_text()
    assert "60.0 %" in report
    assert "0.20 in the nucleus" in report
    assert result_from_text(result_as_text(done.images[0])).dab == done.images[0].dab
