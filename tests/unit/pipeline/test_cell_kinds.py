"""Kinds of cells in the results of a run: tables, outlines, the map, counts, the report; of images and of slides."""

import json

import numpy as np
import pandas as pd
import pytest
from PIL import Image as PillowImage

import organscope as osc
from kinds_set import KINDS, draw_kinds, write_kinds_index
from organscope.data.index import read_index
from organscope.errors import UsageError
from organscope.inference import CellKinds
from organscope.io.geojson import class_color
from organscope.models import CellKindsSpec, load_bundle
from organscope.pipeline import Streaming, load_models, plan_run, run_plan, with_cell_kinds
from organscope.pipeline.kind_counts import KindCounts, kind_palette, with_kinds
from organscope.pipeline.results import result_as_text, result_from_text
from organscope.training.teaching import teach_cells


@pytest.fixture(scope="module")
def kinds(tmp_path_factory):
    folder = tmp_path_factory.mktemp("kinds")
    teach_cells(read_index(write_kinds_index(folder, n_images=4, labeled=True)), folder / "bundle", name="kinds")
    return folder / "bundle"


@pytest.fixture(scope="module")
def results(kinds, tmp_path_factory):
    """An image of 25 cells, analyzed, and the kinds that were drawn."""
    folder = tmp_path_factory.mktemp("results")
    pixels, _, drawn = draw_kinds(np.random.default_rng(5))
    PillowImage.fromarray(pixels).save(folder / "tissue.png")
    done = osc.run(folder / "tissue.png", folder / "out", cell_kinds=kinds, um_per_px=0.5)
    return folder / "out", done, drawn


def test_every_cell_has_its_kind_in_the_tables(results):
    out, _, drawn = results
    table = pd.read_parquet(out / "tissue" / "cells.parquet")
    assert len(table) == len(drawn) == 25
    assert (table.sort_values(["centroid_y_px"])["kind"].isin(KINDS)).all()
    rows = (table["centroid_y_px"] // 32).astype(int) * 5 + (table["centroid_x_px"] // 32).astype(int)
    assert (np.array(drawn)[rows] == table["kind"]).mean() >= 0.9
    assert table["kind_probability"].between(0.5, 1).all()
    assert list(pd.read_csv(out / "tissue" / "cells.csv").columns) == list(table.columns)


def test_outlines_have_class_and_color(results):
    out, _, _ = results
    table = pd.read_parquet(out / "tissue" / "cells.parquet").set_index("id")
    for feature in json.loads((out / "tissue" / "cells.geojson").read_text())["features"]:
        cell = table.loc[int(feature["properties"]["name"])]
        expected = cell["kind"] if cell["kind_sure"] else "not sure"
        assert feature["properties"]["classification"] == {"name": expected, "color": list(class_color(expected))}


def test_counts_are_told_in_csv_report_and_map(results):
    out, done, drawn = results
    rows = pd.read_csv(out / "cell_kinds.csv").set_index("kind")
    assert rows["n_cells"].sum() == 25
    assert abs(rows.loc["small", "n_cells"] - drawn.count("small")) <= 2
    assert rows["per_mm2"].sum() == pytest.approx(25 / (160 * 0.5e-3) ** 2)
    assert done.images[0].kind_rows[0]["share"] == pytest.approx(rows.loc["pale", "share"])
    report = (out / "report.html").read_text()
    assert "Kinds of the cells" in report
    assert "per mm²" in report
    assert (out / "tissue" / "cell_kinds.png").is_file()
    assert result_from_text(result_as_text(done.images[0])).kinds == done.images[0].kinds


def test_a_slide_has_the_kinds_of_its_cells_too(kinds, tmp_path):
    pixels, _, _ = draw_kinds(np.random.default_rng(6))
    PillowImage.fromarray(np.tile(pixels, (3, 3, 1))).save(tmp_path / "slide.png")
    models = with_cell_kinds(load_models(("segmentation",)), kinds)
    found = [
        run_plan(plan_run([tmp_path / "slide.png"], tmp_path / name), models, streaming=streaming)
        for name, streaming in (("whole", None), ("slide", Streaming(window_px=256, whole_px=1)))
    ]
    assert not found[1].failures
    assert (tmp_path / "slide" / "slide" / "labels.ome.tif").is_file()
    assert (tmp_path / "slide" / "slide" / "cell_kinds.png").is_file()
    table = pd.read_parquet(tmp_path / "slide" / "slide" / "cells.parquet")
    assert set(table["kind"]) == set(KINDS)
    assert table["kind_sure"].dtype == bool
    whole, slide = (np.array(result.images[0].kinds.n_cells) for result in found)
    np.testing.assert_allclose(slide, whole, atol=0.1 * whole.sum())


def test_python_gives_the_same_and_none_where_kinds_were_not_asked_for(kinds):
    pixels, _, _ = draw_kinds(np.random.default_rng(5))
    assert osc.segment(pixels).kinds is None
    cells = osc.segment(pixels, cell_kinds=kinds)
    assert cells.kinds["n_cells"].tolist() == cells.table["kind"].value_counts().reindex(KINDS).tolist()


def test_a_bundle_in_the_wrong_place_is_refused_with_the_right_one(kinds, tmp_path):
    with pytest.raises(UsageError, match="cell kinds"):
        osc.segment(np.zeros((64, 64, 3), np.uint8), cell_kinds="organs")
    with pytest.raises(UsageError, match="--cell-kinds"):
        osc.segment(np.zeros((64, 64, 3), np.uint8), model=kinds)


def test_intervals_are_the_margins_of_left_out_patients():
    counts = KindCounts(("a", "b"), (30, 10), (20, 10), (0.1, 0.3), 0.9, 40)
    rows = counts.rows((1000, 1000), (1.0, 1.0))
    assert [(row["share"], row["share_low"], row["share_high"], row["per_mm2"]) for row in rows] == [
        pytest.approx((0.75, 0.65, 0.85, 30)),
        pytest.approx((0.25, 0.0, 0.55, 10)),
    ]
    assert counts.not_sure == 10
    assert "90% of 40" in counts.sentence
    assert counts.rows((10, 10), None)[0]["per_mm2"] is None
    assert KindCounts(("a",), (0,), (0,), (1.0,)).rows((10, 10), None) == []


def test_cells_that_are_not_sure_are_gray_and_named_all_the_same():
    found = CellKinds(
        ("a", "b"), np.array([[0.9, 0.1], [0.4, 0.6]], np.float32), np.zeros(2, np.float32), np.array([True, False])
    )
    places, palette = kind_palette(found.kind_index, found.sure, found.kinds)
    assert places.tolist() == [0, 2]
    assert palette[2] == (128, 128, 128)
    table = with_kinds(pd.DataFrame({"id": [1, 2], "touches_border": [False, False]}), found)
    assert table["kind"].tolist() == ["a", "b"]
    assert table["kind_sure"].tolist() == [True, False]


def test_the_spec_is_that_of_a_bundle_for_kinds(kinds):
    assert isinstance(load_bundle(kinds).manifest.spec, CellKindsSpec)
