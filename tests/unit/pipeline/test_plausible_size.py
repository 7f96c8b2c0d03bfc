"""Pixel sizes that cannot be true of the cells that were found: said, and used only where a person gave them."""

import gzip
import json
from copy import copy

import numpy as np
import pandas as pd
import pytest
import tifffile

from organscope.io import open_image
from organscope.io.pixel_size import judge_pixel_size
from organscope.pipeline import Models, ReadOptions, Streaming, plan_run, run_plan

SLIDE = {"window_px": 96, "whole_px": 1000}
IN_UM = {"area_um2", "perimeter_um", "centroid_y_um", "centroid_x_um"}


@pytest.mark.parametrize(
    ("um_per_px", "is_true"), [((0.5, 0.5), True), ((0.05, 0.05), True), ((5.0, 5.0), False), ((0.02, 0.02), False)]
)
@pytest.mark.parametrize("is_given", [False, True])
def test_median_cell_must_be_possible(um_per_px, is_true, is_given):
    areas = np.array([300, 364, 500])
    size, notes = judge_pixel_size(um_per_px, areas, is_given=is_given)
    assert size == (um_per_px if is_true or is_given else None)
    assert bool(notes) != is_true


def test_few_cells_and_unknown_sizes_say_nothing():
    assert judge_pixel_size((5.0, 5.0), np.array([364]), is_given=False) == ((5.0, 5.0), ())
    assert judge_pixel_size(None, np.full(9, 364), is_given=False) == (None, ())


@pytest.fixture
def large_cells(tmp_path, colon):
    """Tissue whose file states pixels of 15 um, in a unit that microscopes use."""
    path = tmp_path / "a.tif"
    metadata = {"unit": "um"}
    tifffile.imwrite(path, colon[:256, :256].mean(axis=2).astype(np.uint8), imagej=True, resolution=(1 / 15,) * 2,
                     metadata=metadata)  # fmt: skip
    return path


@pytest.mark.parametrize("streaming", [None, Streaming(**SLIDE)])
@pytest.mark.parametrize("given", [None, 15.0])
def test_a_size_of_the_file_is_left_out_everywhere(tmp_path, large_cells, models, streaming, given):
    plan = plan_run([large_cells], tmp_path / "out")
    cells = copy(models.cells)
    # As those that ship: pixel sizes say nothing of the scale.
    cells.manifest = cells.manifest.model_copy(update={"um_per_px": None})
    result = run_plan(plan, Models(cells=cells), ReadOptions(um_per_px=given), streaming=streaming)
    (image,) = result.images
    assert image.n_cells > 3
    assert image.um_per_px == (None if given is None else (15.0, 15.0))
    assert any("the median cell would be" in note for note in image.notes)
    folder = plan.out / "a"
    table = pd.read_parquet(folder / "cells.parquet")
    assert IN_UM.isdisjoint(table.columns) == (given is None)
    with open_image(next(folder.glob("labels*.tif"))) as labels:
        assert labels.um_per_px == (None if given is None else pytest.approx((15.0, 15.0)))
    features = next(folder.glob("cells*.geojson*"))
    written = features.read_bytes()
    text = written if features.suffix == ".geojson" else gzip.decompress(written)
    measured = json.loads(text)["features"][0]["properties"]["measurements"]
    assert IN_UM.isdisjoint(measured) == (given is None)
    assert "area_px" in measured
