"""Cells that another tool or a person outlined: measured and named without a search."""

import json

import numpy as np
import pandas as pd
import pytest
from PIL import Image as PillowImage

import organscope as osc
import tiny_bundles
from organscope.errors import ShapeError, UsageError, ValueRangeError
from organscope.io import open_image
from organscope.io.geojson import write_geojson_cells
from organscope.ops.regionprops import measure_cells


@pytest.fixture(scope="module")
def bundles(tmp_path_factory) -> list[str]:
    folder = tmp_path_factory.mktemp("bundles")
    return [
        str(tiny_bundles.write_tiny_classification(folder / "organs")),
        str(tiny_bundles.write_tiny_cell_organs(folder / "cell-organs")),
    ]


@pytest.fixture
def labels() -> np.ndarray:
    """Numbers with gaps, as after a person deleted some."""
    found = np.zeros((64, 96), np.uint16)
    found[3:12, 5:17] = 4
    found[30:41, 60:66] = 9
    found[50:55, 10:30] = 2
    return found


def test_labels_are_measured_under_their_own_numbers(picture, labels):
    cells = osc.measure(picture, labels, um_per_px=0.5)
    with open_image(picture) as image:
        expected = pd.DataFrame(measure_cells(labels.astype(np.int32), image.read_whole(), (0.5, 0.5)))
    pd.testing.assert_frame_equal(cells.table, expected)
    assert cells.table["id"].tolist() == [2, 4, 9]
    assert [cell.area for cell in cells.polygons] == [100, 108, 66]
    assert "66" in cells._repr_html_() or "3 cells" in cells._repr_html_()
    assert (osc.measure(picture, cells).labels == labels).all()


def test_wrong_labels_are_refused_with_a_remedy(picture, labels):
    for given, error, words in (
        (labels[:60], ShapeError, "64 x 96"),
        (labels > 0, UsageError, "skimage.measure.label"),
        (labels - 0.5, ValueRangeError, "whole numbers"),
        (labels.astype(int) - 1, ValueRangeError, "Set what is no cell to 0"),
        ("labels.png", UsageError, "whole numbers"),
    ):
        with pytest.raises(error, match=words):
            osc.measure(picture, given)
    with pytest.raises(UsageError, match="found both"):
        osc.analyze(picture, labels=labels, diameter_px=20)


def test_a_folder_of_labels_is_named_without_a_network_for_cells(tmp_path, colon, labels, bundles):
    (tmp_path / "images" / "deep").mkdir(parents=True)
    for name in ("a", "deep/b", "c", "d"):
        PillowImage.fromarray(colon[:64, :96]).save(tmp_path / "images" / f"{name}.png")
    (tmp_path / "labels" / "deep").mkdir(parents=True)
    PillowImage.fromarray(labels).save(tmp_path / "labels" / "a_cp_masks.png")
    with (tmp_path / "labels" / "deep" / "b.geojson").open("w") as stream:
        write_geojson_cells(stream, labels.astype(np.int32))
    PillowImage.fromarray(labels[:40]).save(tmp_path / "labels" / "c.tif")
    result = osc.run(tmp_path / "images", tmp_path / "out", models=bundles, labels=tmp_path / "labels")
    assert [image.target.stem.as_posix() for image in result.images] == ["a", "deep/b"]
    assert [failure.message.split(":")[-1].split(",")[0] for failure in result.failures] == [
        " expected labels of 64 x 96 px as the image",
        f"Expected labels of d in {tmp_path / 'labels'}",
    ]
    table = pd.read_parquet(tmp_path / "out" / "a" / "cells.parquet")
    assert table["id"].tolist() == [2, 4, 9]
    assert "probability" not in table
    assert table["organ"].notna().all()
    assert pd.read_parquet(tmp_path / "out" / "deep" / "b" / "cells.parquet")["area_px"].tolist() == [100, 108, 66]
    assert (osc.read_labels(tmp_path / "out" / "a" / "labels.tif") == labels).all()
    summary = pd.read_csv(tmp_path / "out" / "summary.csv")
    assert "those of a_cp_masks.png" in summary["notes"][0]
    assert summary["n_cells"][:2].tolist() == [3, 3]
    assert "nuclei" not in (tmp_path / "out" / "report.html").read_text()
    assert len(json.loads((tmp_path / "out" / "a" / "cells.geojson").read_text())["features"]) == 3


def test_several_files_of_one_image_are_a_question(tmp_path, picture, labels, bundles):
    (tmp_path / "labels").mkdir()
    for name in ("colon.png", "colon_masks.tif"):
        PillowImage.fromarray(labels).save(tmp_path / "labels" / name)
    result = osc.run(picture, tmp_path / "out", models=bundles, labels=tmp_path / "labels")
    assert "found colon.png, colon_masks.tif" in result.failures[0].message


def test_results_are_labels_again(tmp_path, picture, labels, bundles):
    osc.measure(picture, labels).save(tmp_path / "first")
    result = osc.run(picture, tmp_path / "out", models=bundles, labels=tmp_path / "first")
    assert result.images[0].n_cells == 3


def test_a_bundle_for_cells_beside_labels_is_refused(tmp_path, picture, labels, bundles):
    with pytest.raises(UsageError, match="beside given labels"):
        osc.analyze(picture, labels=labels, models=str(tiny_bundles.write_tiny_segmentation(tmp_path / "cells")))
    with pytest.raises(UsageError, match="found nothing at"):
        osc.run(picture, tmp_path / "out", models=bundles, labels=tmp_path / "gone")
