"""What is read of a file goes through a run: whole and by region, into every result, and into what is resumed."""

import json

import numpy as np
import pandas as pd
import pytest
import tifffile

from organscope.errors import UsageError
from organscope.io import read_labels
from organscope.pipeline import Models, ReadOptions, Streaming, plan_run, run_plan
from organscope.pipeline.results import result_as_text, result_from_text

SMALL = Streaming(window_px=96, whole_px=1000)


@pytest.fixture
def stack(tmp_path, colon):
    """Dark cells on light ground, each plane other ones; the first plane is empty."""
    gray = colon[:, :, 0]
    planes = np.stack([np.full((200, 260), 240, np.uint8), gray[:200, :260], gray[200:400, 200:460]])
    path = tmp_path / "stack.tif"
    tifffile.imwrite(path, planes, imagej=True, metadata={"axes": "ZYX"})
    return path, planes


def cells_of(out, path, models, reading, streaming=None):
    result = run_plan(plan_run([path], out), models, reading, streaming=streaming)
    assert not result.failures, result.failures
    return result.images[0]


@pytest.mark.parametrize("choice", [{}, {"z": 1}, {"z": 2}, {"project": "max"}])
def test_a_plane_gives_the_same_cells_as_the_plane_alone(tmp_path, stack, models, choice):
    path, planes = stack
    expected = planes.max(axis=0) if "project" in choice else planes[choice.get("z", 0)]
    tifffile.imwrite(tmp_path / "alone.tif", expected)
    only = Models(cells=models.cells)
    alone = cells_of(tmp_path / "alone", tmp_path / "alone.tif", only, ReadOptions())
    whole = cells_of(tmp_path / "whole", path, only, ReadOptions(**choice))
    by_region = cells_of(tmp_path / "regions", path, only, ReadOptions(**choice), SMALL)
    assert alone.n_cells == whole.n_cells == by_region.n_cells
    labels = read_labels(tmp_path / "alone" / "alone" / "labels.tif")
    np.testing.assert_array_equal(read_labels(tmp_path / "whole" / "stack" / "labels.tif"), labels)
    np.testing.assert_array_equal(read_labels(tmp_path / "regions" / "stack" / "labels.ome.tif") > 0, labels > 0)
    assert whole.notes == by_region.notes
    assert whole.selection == by_region.selection
    assert bool(whole.notes) == ("z" not in choice)
    assert result_from_text(result_as_text(whole)).selection == whole.selection


def test_another_choice_is_another_run(tmp_path, stack, models):
    path, _ = stack
    only = Models(cells=models.cells)
    counts = [
        cells_of(tmp_path / "out", path, only, reading, SMALL).n_cells
        for reading in (ReadOptions(), ReadOptions(z=1), ReadOptions())
    ]
    assert counts[0] == counts[2] == 0
    assert counts[1] > 0


def test_choice_is_in_tables_and_report(tmp_path, stack, models):
    path, _ = stack
    run_plan(plan_run([path], tmp_path / "out"), models)
    table = pd.read_csv(tmp_path / "out" / "summary.csv")
    assert table["notes"][0].startswith("Plane 1 of 3 in z was read (--plane z=0)")
    assert "Plane 1 of 3 in z was read" in (tmp_path / "out" / "report.html").read_text()


def test_channels_that_nobody_chose_fail_alone_and_one_is_measured_with_all(tmp_path, colon, models):
    pair = np.stack([np.full((100, 120), 240, np.uint8), colon[:100, :120, 0]])
    tifffile.imwrite(tmp_path / "pair.tif", pair, imagej=True, metadata={"axes": "CYX"})
    named = {"axes": "CYX", "Labels": ["GFP", "DAPI"]}
    tifffile.imwrite(tmp_path / "named.tif", pair, imagej=True, metadata=named)
    tifffile.imwrite(tmp_path / "alone.tif", pair[1])
    plan = plan_run([tmp_path / f"{name}.tif" for name in ("pair", "named", "alone")], tmp_path / "out")
    for streaming in (None, SMALL):
        result = run_plan(plan, Models(cells=models.cells), streaming=streaming)
        (failure,) = result.failures
        assert "found 2 channels (0, 1)" in failure.message
        named, alone = result.images
        assert named.n_cells == alone.n_cells > 0
        table = pd.read_parquet(tmp_path / "out" / "named" / "cells.parquet")
        assert {"mean_intensity_0", "mean_intensity_1"} <= set(table.columns)
        assert (table["mean_intensity_0"] == 240).all()


def test_twelve_bits_in_sixteen_are_seen_as_twelve(tmp_path, colon, models):
    tifffile.imwrite(tmp_path / "deep.tif", colon[:200, :200, 1].astype(np.uint16) * 16)
    image = cells_of(tmp_path / "out", tmp_path / "deep.tif", models, ReadOptions())
    if models.organs.manifest.preprocessing.intensity == "full_range":
        assert "4095" in " ".join(image.notes)


def test_pixels_without_a_value_are_said(tmp_path, colon, models):
    pixels = colon[:100, :100, 0].astype(np.float32) / 255
    pixels[:10] = np.nan
    tifffile.imwrite(tmp_path / "nan.tif", pixels)
    image = cells_of(tmp_path / "out", tmp_path / "nan.tif", Models(cells=models.cells), ReadOptions())
    assert image.notes == ("10.00% of the pixels are no finite numbers; they were seen as black, infinity as white.",)


def test_choices_that_no_file_can_have_are_refused_before_the_run():
    with pytest.raises(UsageError):
        ReadOptions(project="mean")


def test_command_line_says_and_takes_choices(tmp_path, stack):
    from typer.testing import CliRunner

    import tiny_bundles
    from organscope.cli.main import app

    path, _ = stack
    bundle = tiny_bundles.write_tiny_segmentation(tmp_path / "bundle")
    words = ["segment", str(path), "-o", str(tmp_path / "out"), "--bundle", str(bundle), "--json"]
    answer = CliRunner().invoke(app, words)
    (image,) = json.loads(answer.stdout)["images"]
    assert image["notes"][0].startswith("Plane 1 of 3")
    assert (image["selection"]["z"], image["selection"]["n_z"]) == (0, 3)
    assert "stack.tif: Plane 1 of 3 in z was read" in answer.stderr
    for more, z in ((["--plane", "z=1,t=0"], 1), (["--project", "max"], None)):
        (image,) = json.loads(CliRunner().invoke(app, [*words, *more]).stdout)["images"]
        assert image["selection"]["z"] == z
        # The brightest of all planes is the empty one.
        assert (image["n_cells"] > 0) == (z == 1)
    for more in (["--plane", "y=1"], ["--plane", "z"], ["--project", "sum"], ["--plane", "z=1", "--project", "max"]):
        assert CliRunner().invoke(app, [*words, *more]).exit_code == 2
    assert CliRunner().invoke(app, [*words, "--plane", "z=3"]).exit_code == 1
