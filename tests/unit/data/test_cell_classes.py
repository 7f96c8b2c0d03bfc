"""Classes of cells: read from annotations, kept in the index, written by exports; points without outlines."""

import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import tifffile

from organscope.data import import_folder, read_index
from organscope.data.export import export_labels
from organscope.data.index import PARQUET_NAME
from organscope.errors import DatasetError


def feature(x: int, name: str, color=None) -> dict:
    ring = [[x, 2], [x + 4, 2], [x + 4, 6], [x, 6], [x, 2]]
    kind = {"name": name} | ({"color": color} if color else {})
    properties = {"objectType": "detection"} | ({"classification": kind} if name else {})
    return {"type": "Feature", "geometry": {"type": "Polygon", "coordinates": [ring]}, "properties": properties}


@pytest.fixture
def folder(tmp_path) -> Path:
    """Two images with four cells: tumor, stroma, one without a class, tumor."""
    found = [feature(0, "Tumor", [200, 0, 0]), feature(8, "Stroma"), feature(16, ""), feature(24, "Tumor", [200, 0, 0])]
    (tmp_path / "set").mkdir()
    for name in "ab":
        tifffile.imwrite(tmp_path / "set" / f"{name}.tif", np.arange(32 * 16, dtype=np.uint16).reshape(16, 32))
    (tmp_path / "set" / "a.geojson").write_text(json.dumps(found))
    (tmp_path / "set" / "b.geojson").write_text(json.dumps([found[1], found[2] | {"properties": {}}]))
    return tmp_path / "set"


def test_classes_are_kept_in_the_index(tmp_path, folder):
    index = import_folder(folder, tmp_path / "index").index
    assert index.cell_classes() == {"Tumor": 2, "Stroma": 2}
    sample = read_index(tmp_path / "index").samples()[0]
    assert sample.class_names == ("Tumor", "Stroma")
    table = sample.read_classes()
    assert table["label"].tolist() == [1, 2, 3, 4]
    assert table["class"].tolist() == ["Tumor", "Stroma", "", "Tumor"]
    assert table["color"].tolist() == ["#c80000", "", "", "#c80000"]
    assert table["x_px"].tolist() == [1.5, 9.5, 17.5, 25.5]
    assert table["y_px"].tolist() == [3.5] * 4
    assert sample.classes_path == tmp_path / "index" / "cells" / "a.csv"


@pytest.mark.parametrize("format", ["coco", "geojson"])
def test_exports_keep_classes_and_read_back_the_same(tmp_path, folder, format):
    first = import_folder(folder, tmp_path / "index").index
    export_labels(first, tmp_path / "out", format)
    for path in folder.glob("*.geojson"):
        path.unlink()
    annotations = tmp_path / "out" / "annotations.json" if format == "coco" else tmp_path / "out"
    again = import_folder(folder, tmp_path / "again", annotations=annotations).index
    unnamed = {"cell": 2} if format == "coco" else {}  # COCO has no annotation without a category
    assert again.cell_classes() == first.cell_classes() | unnamed
    for one, other in zip(first.samples(), again.samples(), strict=True):
        np.testing.assert_array_equal(one.read_labels(), other.read_labels())
        names = one.read_classes()["class"].replace("", "cell" if format == "coco" else "")
        assert other.read_classes()["class"].tolist() == names.tolist()


def test_an_index_without_these_columns_is_read(tmp_path, folder):
    import_folder(folder, tmp_path / "index")
    path = tmp_path / "index" / PARQUET_NAME
    pd.read_parquet(path).drop(columns=["classes", "class_counts", "labeled"]).to_parquet(path)
    index = read_index(tmp_path / "index")
    assert index.cell_classes() == {}
    assert index.table["labeled"].all()
    with pytest.raises(DatasetError, match="classes"):
        index.samples()[0].read_classes()


@pytest.mark.parametrize(
    "text",
    [
        "y,x,class\n3,4,lymphocyte\n5.5,6,epithelial\n99,1,epithelial\n",
        "\ufeffX;Y;Type\n4;3;lymphocyte\n6;5,5;epithelial\n;;\n99;1;epithelial\nx;;",
    ],
)
def test_points_keep_their_classes_and_label_nothing(tmp_path, folder, text):
    (tmp_path / "points").mkdir()
    (tmp_path / "points" / "a.csv").write_text(text, encoding="utf-8")
    report = import_folder(folder, tmp_path / "index", annotations=tmp_path / "points")
    sample = report.index.samples()[0]
    assert sample.labels_path is None
    assert report.index.table["n_cells"].isna().all()
    assert report.index.cell_classes()["lymphocyte"] == 1
    table = sample.read_classes()
    assert table[["label", "class", "y_px", "x_px"]].to_numpy().tolist()[:2] == [
        [0, "lymphocyte", 3.0, 4.0],
        [0, "epithelial", 5.5, 6.0],
    ]
    assert any("no outlines" in problem.message for problem in report.problems)


def test_a_table_that_is_no_points_is_refused_and_labels_nothing(tmp_path, folder):
    (tmp_path / "points").mkdir()
    (tmp_path / "points" / "a.csv").write_text("area,perimeter\n3,4\n")
    report = import_folder(folder, tmp_path / "index", annotations=tmp_path / "points")
    assert report.n_failed == 1
    assert not report.index.table["labeled"].any()


def test_real_points(tmp_path, shared_data):
    source = shared_data / "brca_m2c"
    names = sorted(path.stem for path in (source / "points").iterdir())[:2]
    (tmp_path / "set").mkdir()
    (tmp_path / "points").mkdir()
    for name in names:
        (tmp_path / "set" / f"{name}.jpg").symlink_to(source / "images" / f"{name}.jpg")
        (tmp_path / "points" / f"{name}.csv").symlink_to(source / "points" / f"{name}.csv")
    index = import_folder(tmp_path / "set", tmp_path / "index", annotations=tmp_path / "points").index
    rows = pd.concat(pd.read_csv(source / "points" / f"{name}.csv") for name in names)
    assert index.cell_classes() == rows["class"].value_counts().to_dict()


def test_a_sheet_names_the_points_of_each_image(tmp_path, folder):
    for name in "ab":
        (folder / f"{name}.geojson").unlink()
        (folder / f"{name}.csv").write_text("y,x,class\n3,4,lymphocyte\n")
    (folder / "index.csv").write_text("name,image,points\na,a.tif,a.csv\nb,b.tif,b.csv\n")
    index = import_folder(folder, tmp_path / "index").index
    assert index.cell_classes() == {"lymphocyte": 2}
    assert not index.table["labeled"].any()
