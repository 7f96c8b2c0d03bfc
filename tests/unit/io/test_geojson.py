"""Outlines as QuPath reads them: ids, classes with colors, valid polygons."""

import io
import json
from itertools import combinations

import numpy as np
import pandas as pd
import pytest
from scipy import ndimage

from organscope.io import write_geojson
from organscope.io.geojson import class_color, write_geojson_cells
from organscope.models import load_bundle
from organscope.ops.polygons import cell_polygons, move_polygons
from organscope.ops.regionprops import measure_cells
from qupath_rules import read_like_qupath


@pytest.fixture(scope="module")
def ragged() -> np.ndarray:
    """Cells that touch themselves at corners, have holes, and lie in several parts."""
    rng = np.random.default_rng(8)
    smooth = ndimage.gaussian_filter(rng.random((200, 220)), 3)
    labels, _ = ndimage.label(smooth > np.median(smooth), np.ones((3, 3)))
    labels[rng.random(labels.shape) < 0.05] = 0
    return labels.astype(np.int32)


@pytest.fixture(scope="module")
def table(ragged) -> pd.DataFrame:
    measured = pd.DataFrame(measure_cells(ragged, np.zeros((*ragged.shape, 1), np.uint8)))
    measured["organ"] = np.where(np.arange(len(measured)) % 2, "human liver", "")
    return measured


def test_qupath_reads_every_cell(tmp_path, ragged, table):
    write_geojson(tmp_path / "cells.geojson", cell_polygons(ragged), table, "slide 1")
    found = read_like_qupath((tmp_path / "cells.geojson").read_text())
    assert [item.name for item in found] == table["id"].astype(str).tolist()
    assert all(item.kind == "detection" and item.geometry.is_valid for item in found)
    assert [item.geometry.area for item in found] == table["area_px"].tolist()
    assert any(item.geometry.geom_type == "MultiPolygon" for item in found)
    assert len({item.id for item in found} - {None}) == len(table)
    assert found[1].path_class == "human liver"
    assert found[1].color == class_color("human liver")
    assert found[0].path_class is None
    assert found[0].measurements["area_px"] == table["area_px"][0]


def test_ids_belong_to_image_and_outline(tmp_path, ragged, table):
    def ids(result, chosen, numbers):
        write_geojson(tmp_path / "cells.geojson", chosen, table.iloc[: len(chosen)].assign(id=numbers), result)
        return [item.id for item in read_like_qupath((tmp_path / "cells.geojson").read_text())]

    chosen = cell_polygons(ragged)[:5]
    first = ids("a", chosen, range(5))
    assert ids("a", chosen, range(10, 15)) == first
    assert not set(ids("b", chosen, range(5))) & set(first)
    assert not set(ids("a", move_polygons(chosen, 0, 1), range(5))) & set(first)


def test_exported_labels_are_the_same_outlines(ragged):
    stream = io.StringIO()
    numbers = np.unique(ragged)[1:]
    classes = {int(numbers[0]): ("Tumor", ""), int(numbers[1]): ("mine", "#0a0b0c")}
    assert write_geojson_cells(stream, ragged, classes) == len(numbers)
    found = read_like_qupath(stream.getvalue())
    assert all(one.geometry.equals(other) for one, other in zip(found, cell_polygons(ragged), strict=True))
    assert [(item.path_class, item.color) for item in found[:3]] == [
        ("Tumor", (200, 0, 0)), ("mine", (10, 11, 12)), (None, None),
    ]  # fmt: skip


def test_colors_of_the_shipped_classes_can_be_told_apart():
    colors = [np.array(class_color(name)) for name in load_bundle("organs").manifest.classes]
    assert min(np.abs(one - other).sum() for one, other in combinations(colors, 2)) >= 40


def test_a_cell_in_parts_begins_with_the_largest():
    labels = np.zeros((9, 9), np.int32)
    labels[0, 0] = labels[4:8, 4:8] = 1
    (cell,) = cell_polygons(labels)
    assert [part.area for part in cell.geoms] == [16, 1]


def test_a_collection_says_what_its_cells_are_worth(tmp_path):
    path = tmp_path / "cells.geojson"
    about = {"cells_trust": "check", "cells_missed": 0.4, "cells_quality": None}
    write_geojson(path, cell_polygons(np.ones((2, 2), np.int32)), pd.DataFrame({"id": [1]}), about=about)
    collection = json.loads(path.read_text())
    assert {name: collection[name] for name in about} == about
    assert len(collection["features"]) == 1
