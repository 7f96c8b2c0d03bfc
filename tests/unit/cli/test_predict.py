"""organscope segment: what is said about the size of cells and about few misses."""

import io
import json

import numpy as np
import pandas as pd
import pytest
from PIL import Image as PillowImage

import tiny_bundles
from organscope.models import SegmentationSpec, load_bundle, write_bundle
from organscope.ops.instances import Decoder


@pytest.fixture(scope="module")
def measured(tmp_path_factory):
    """The bundle that finds what is dark, with the size of its cells and a table of operating points."""
    folder = tmp_path_factory.mktemp("bundles")
    plain = load_bundle(tiny_bundles.write_tiny_segmentation(folder / "plain"))
    table = io.BytesIO()
    rows = [("he", 0.5, 3, 100, 90, 80, 5, 60), ("he", 0.1, 3, 100, 130, 97, 40, 60)]
    columns = ["dataset", "threshold", "n_images", "n_truth", "n_predicted", "n_found", "n_false", "n_matched_50"]
    pd.DataFrame(rows, columns=columns).to_parquet(table, index=False)
    spec = SegmentationSpec(
        stride_px=4, halo_px=4, maps=["foreground", "distance"], decoder=Decoder(),
        typical_diameter_px=20.0, operating_points="points.parquet",
    )  # fmt: skip
    files = {name: plain.read(name) for name in plain.manifest.files} | {"points.parquet": table.getvalue()}
    return write_bundle(folder / "measured", plain.manifest.model_copy(update={"spec": spec, "files": {}}), files)


@pytest.fixture
def picture(tmp_path):
    """A dark disc and a pale one on white, 40 px wide."""
    y, x = np.mgrid[:100, :160]
    pixels = np.full((100, 160), 255, np.uint8)
    pixels[np.hypot(y - 50, x - 40) < 20] = 20
    pixels[np.hypot(y - 50, x - 110) < 20] = 160
    path = tmp_path / "discs.png"
    PillowImage.fromarray(pixels).save(path)
    return path


def test_few_misses_find_the_pale_cell_and_say_what_that_costs(call, measured, picture, tmp_path):
    usual = json.loads(call("segment", picture, "-o", tmp_path / "usual", "--bundle", measured, "--json").stdout)
    assert usual["images"][0]["n_cells"] == 1
    assert "few_misses" not in usual
    out = tmp_path / "few"
    result = call("segment", picture, "-o", out, "--bundle", measured, "--min-cell-recall", "0.95")
    assert result.exit_code == 0
    assert "97.0% of the cells at 0.40 false cells a true one" in result.stdout
    written = json.loads((out / "few_misses.json").read_text())
    assert (written["faint_threshold"], written["reached"]) == (0.1, True)
    assert len(pd.read_csv(out / "discs" / "cells.csv")) == 2


def test_the_former_name_of_the_option_still_works_and_says_its_new_one(call, measured, picture, tmp_path):
    result = call("segment", picture, "-o", tmp_path / "out", "--bundle", measured, "--min-recall", "0.95")
    assert result.exit_code == 0
    assert "--min-cell-recall" in result.stderr
    assert (tmp_path / "out" / "few_misses.json").is_file()


def test_analyze_finds_faint_cells_too(call, measured, organs, picture, tmp_path):
    out = tmp_path / "out"
    words = ("--bundle", measured, "--bundle", organs, "--min-cell-recall", "0.95")
    assert call("analyze", picture, "-o", out, *words).exit_code == 0
    assert len(pd.read_csv(out / "discs" / "cells.csv")) == 2


def test_a_given_diameter_scales_and_is_told(call, measured, picture, tmp_path):
    words = ("segment", picture, "-o", tmp_path / "out", "--bundle", measured, "--diameter-px", "40")
    assert "discs.png: The network saw the image at 0.5 times its size" in call(*words).stdout
    image = json.loads(call(*words, "--json").stdout)["images"][0]
    assert (image["scale"], image["scale_source"]) == (0.5, "cell diameter")
    # The disc of 40 px, found at half its size and brought back.
    assert image["median_area_px"] == pytest.approx(np.pi * 20**2, rel=0.05)


@pytest.mark.parametrize("option", [("--diameter-px", "30"), ("--min-cell-recall", "0.9")])
def test_what_a_bundle_does_not_know_is_wrong_use(call, cells, picture, tmp_path, option):
    result = call("segment", picture, "-o", tmp_path / "out", "--bundle", cells, *option)
    assert result.exit_code == 2
    assert option[0] in result.stderr
    assert not (tmp_path / "out").exists()
