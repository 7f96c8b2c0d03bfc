"""Slides through a run: the cells of the whole, again after a kill, and a broken slide alone."""

import gzip
import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import tifffile
from PIL import Image as Picture

import tiny_bundles
from organscope.images import open_image, read_labels
from organscope.jobs import Listener, Models, Reading, Streaming, plan_run, run_plan
from organscope.jobs.ledger import ledger_path
from organscope.predict import slide as predict_slide
from organscope.predict import segment_image

WINDOW_PX = 96


@pytest.fixture(scope="module")
def all_models(models, tmp_path_factory) -> Models:
    cell_organs = tiny_bundles.tiny_cell_organs(tmp_path_factory.mktemp("bundles") / "cell_organs")
    return Models(models.cells, models.organs, cell_organs)


@pytest.fixture(autouse=True)
def small_windows(monkeypatch) -> None:
    """Every image is a slide, of several windows."""
    monkeypatch.setattr("organscope.jobs.held.MAX_HELD_PX", 1000)
    monkeypatch.setattr("organscope.jobs.slides.SlideSettings", SmallWindows)
    for module in ("sorting", "slide_plan"):
        monkeypatch.setattr(f"organscope.jobs.{module}.WINDOW_PX", WINDOW_PX)


def SmallWindows(**settings) -> predict_slide.SlideSettings:  # noqa: N802
    return predict_slide.SlideSettings(window_px=WINDOW_PX, **settings)


@pytest.fixture
def slide(tmp_path, colon) -> Path:
    """Tissue beside glass."""
    pixels = np.full((300, 420, 3), 240, np.uint8)
    pixels[:, :260] = colon[:300, :260]
    path = tmp_path / "slide.tif"
    tifffile.imwrite(path, pixels, tile=(64, 64), photometric="rgb")
    return path


def run(path, out, models, **options):
    return run_plan(plan_run([path], out), models, Reading(um_per_px=0.5), streaming=Streaming(**options))


def same_partition(one, other) -> bool:
    pairs = np.unique(np.stack([one.ravel(), other.ravel()]), axis=1)
    return len(np.unique(pairs[0])) == len(np.unique(pairs[1])) == pairs.shape[1]


def test_cells_are_those_of_the_whole(tmp_path, slide, all_models):
    result = run(slide, tmp_path / "out", all_models, zarr_labels=True)
    assert not result.failures
    folder = tmp_path / "out" / "slide"
    with open_image(slide, um_per_px=0.5) as image:
        whole = segment_image(image, all_models.cells)
    labels = read_labels(folder / "labels.ome.tif")
    assert labels.max() == whole.labels.max() == result.images[0].n_cells
    assert same_partition(labels, whole.labels)
    with open_image(folder / "labels.ome.zarr") as zarr:
        np.testing.assert_array_equal(zarr.read_whole()[:, :, 0], labels)
