"""More measures on request: of images, of slides, of given labels."""

import gzip
import json

import numpy as np
import pandas as pd
import pytest
import tifffile
from PIL import Image as PillowImage

import organscope as osc
from organscope.errors import InputError, UsageError
from organscope.pipeline import Models, ReadOptions, Streaming, plan_run, run_plan
from organscope.pipeline.measures import MEASURES

COLUMNS = {
    "gray_std", "haralick_contrast", "hematoxylin_od_nucleus", "dab_od_ring", "eosin_od_ring", "neighbor_count",
    "nearest_distance_um", "density_per_mm2", "delaunay_degree",
}  # fmt: skip


def test_a_slide_has_the_numbers_of_the_whole_image(tmp_path, colon, models):
    tifffile.imwrite(tmp_path / "tissue.tif", colon[:300, :260], tile=(64, 64), photometric="rgb")
    plan, reading = plan_run([tmp_path / "tissue.tif"], tmp_path / "out"), ReadOptions(um_per_px=0.5, measures=MEASURES)
    only_cells = Models(models.cells)
    streaming = Streaming(window_px=96, whole_px=1000)
    assert not run_plan(plan, only_cells, reading, streaming=streaming).failures
    folder = tmp_path / "out" / "tissue"
    table = pd.read_parquet(folder / "cells.parquet")
    assert set(table) > COLUMNS
    labels = tifffile.imread(folder / "labels.ome.tif")
    whole = osc.measure(tmp_path / "tissue.tif", labels, measures=MEASURES, um_per_px=0.5).table
    more = [name for name in whole if name in table and name not in ("touches_border", "perimeter_px")]
    pd.testing.assert_frame_equal(table[more], whole[more])
    with gzip.open(folder / "cells-0001.geojson.gz", "rt") as file:
        features = json.load(file)["features"]
    found = [feature["properties"]["measurements"]["gray_std"] for feature in features]
    np.testing.assert_allclose(found, table["gray_std"], rtol=1e-8)


def test_only_what_was_asked_for(picture):
    labels = np.zeros((64, 96), np.int32)
    labels[5:20, 5:20], labels[30:50, 30:60] = 3, 8
    plain, more = osc.measure(picture, labels), osc.measure(picture, labels, measures="neighbors")
    assert set(more.table) - set(plain.table) == {
        "neighbor_count", "nearest_distance_px", "density_per_mpx", "delaunay_degree",
    }  # fmt: skip
    assert more.table["neighbor_count"].tolist() == [1, 1]
    with pytest.raises(UsageError, match="texture, stain, neighbors, found shape"):
        osc.measure(picture, labels, measures=["shape"])


def test_stains_of_a_gray_image_are_refused(tmp_path, models):
    PillowImage.fromarray(np.full((64, 64), 90, np.uint8)).save(tmp_path / "gray.png")
    plan = plan_run([tmp_path / "gray.png"], tmp_path / "out")
    result = run_plan(plan, Models(models.cells), ReadOptions(measures=("stain",)))
    assert "Expected a color image to measure stains in" in result.failures[0].message
    assert not (tmp_path / "out" / "gray").exists()
    with pytest.raises(InputError, match="one channel"):
        osc.measure(np.zeros((8, 8), np.uint8), np.eye(8, dtype=np.int32), measures=["stain"])
