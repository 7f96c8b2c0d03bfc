"""Cells in regions of interest of QuPath, and in the tissue of a slide."""

import json

import numpy as np
import pandas as pd
import pytest
import tifffile

import organscope as osc
from organscope.errors import UsageError
from organscope.pipeline import Models, ReadOptions, Streaming, plan_run, run_plan
from organscope.pipeline.rois import write_rois
from qupath_rules import read_like_qupath


def regions(path, *features):
    made = [
        {
            "type": "Feature",
            "geometry": {"type": "Polygon", "coordinates": [[[x, y], [x2, y], [x2, y2], [x, y2], [x, y]]]},
            "properties": {"objectType": kind, "name": name, "classification": {"name": class_name}},
        }
        for kind, name, class_name, (x, y, x2, y2) in features
    ]
    path.write_text(json.dumps({"type": "FeatureCollection", "features": made}))
    return path


@pytest.fixture
def bundle(models) -> str:
    return str(models.cells.source)


def test_only_cells_in_a_region_count(tmp_path, picture, bundle):
    file = regions(
        tmp_path / "roi.geojson",
        ("annotation", "left", "Tumor", (0, 0, 48, 64)),
        ("annotation", "", "Stroma", (48, 0, 200, 64)),
        ("annotation", "", "Ignore*", (0, 0, 96, 32)),
        ("detection", "no region", "", (0, 0, 5, 5)),
    )
    result = osc.run(picture, tmp_path / "out", task="segment", models=bundle, roi=file, um_per_px=0.5)
    assert not result.failures
    found = pd.read_csv(tmp_path / "out" / "rois.csv")
    assert found["region"].tolist() == ["left", "Stroma"]
    assert found["area_px"].tolist() == [48 * 32, 48 * 32]
    np.testing.assert_allclose(found["area_mm2"], 48 * 32 * 0.25 / 1e6)
    table = pd.read_parquet(tmp_path / "out" / "colon" / "cells.parquet")
    low, left = table["centroid_y_px"] + 0.5 > 32, table["centroid_x_px"] + 0.5 < 48
    assert found["n_cells"].tolist() == [(low & left).sum(), (low & ~left).sum()]
    assert found["n_cells"].sum() > 0
    np.testing.assert_allclose(found["density_per_mm2"], found["n_cells"] / found["area_mm2"])
    inside = pd.read_parquet(tmp_path / "out" / "colon" / "roi_cells.parquet")
    assert sorted(inside["id"]) == sorted(table["id"][low])


def test_regions_that_cannot_be_used_are_a_sentence(tmp_path, picture, bundle):
    far = regions(tmp_path / "far.geojson", ("annotation", "far", "", (500, 500, 600, 600)))
    result = osc.run(picture, tmp_path / "out", task="segment", models=bundle, roi=far)
    assert "'far' outside of it" in result.failures[0].message
    (tmp_path / "folder").mkdir()
    result = osc.run(picture, tmp_path / "out", task="segment", models=bundle, roi=tmp_path / "folder")
    assert "Name the file colon.geojson" in result.failures[0].message
    with pytest.raises(UsageError, match="found nothing at"):
        osc.run(picture, tmp_path / "out", task="segment", models=bundle, roi=tmp_path / "gone.geojson")


def test_tissue_of_a_slide_is_a_region(tmp_path, colon, models):
    pixels = np.full((300, 420, 3), 245, np.uint8)
    pixels[20:280, 10:250] = colon[:260, :240]
    tifffile.imwrite(tmp_path / "slide.tif", pixels, tile=(64, 64), photometric="rgb")
    plan, reading = plan_run([tmp_path / "slide.tif"], tmp_path / "out"), ReadOptions(um_per_px=0.5)
    streaming = Streaming(window_px=96, whole_px=1000)
    result = write_rois(run_plan(plan, Models(models.cells), reading, streaming=streaming), reading, "tissue")
    assert not result.failures
    found = pd.read_csv(tmp_path / "out" / "rois.csv")
    # Within a pixel of the view, which stands for 8 of the slide, around the tissue.
    assert 244 * 224 < found["area_px"].sum() < 276 * 256
    assert found["n_cells"].sum() > 0.9 * result.images[0].n_cells
    written = read_like_qupath((tmp_path / "out" / "slide" / "tissue.geojson").read_text())
    assert {(item.kind, item.path_class) for item in written} == {("annotation", "Tissue")}
    assert all(item.geometry.is_valid for item in written)
    np.testing.assert_allclose([item.geometry.area for item in written], found["area_px"], rtol=1e-6)
