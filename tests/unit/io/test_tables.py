"""The table of cells as CSV and Parquet, and the outlines as GeoJSON."""

import json

import numpy as np
import pandas as pd
import pytest
from shapely.geometry import Polygon

from organscope.errors import OutputError, ShapeError
from organscope.io import write_cells, write_geojson
from organscope.io.geojson import class_color


@pytest.fixture
def table():
    return pd.DataFrame(
        {
            "id": [3, 9],
            "area_px": np.array([12, 40_000_000]),
            "centroid_y_px": [1 / 3, 123_456.78125],
            'odd "name", µm': [np.nan, np.inf],
            "touches_border": [True, False],
            "organ": ["lymph node", ""],
        }
    )


RINGS = [Polygon([[0, 0], [4, 0], [4, 3]]), Polygon([[1.5, 1], [20, 1], [20, 2]])]


def test_both_tables_hold_the_same(tmp_path, table):
    write_cells(tmp_path, table)
    pd.testing.assert_frame_equal(pd.read_parquet(tmp_path / "cells.parquet"), table)
    # An empty word and a missing one are the same in CSV.
    read = pd.read_csv(tmp_path / "cells.csv", keep_default_na=False, na_values={'odd "name", µm': [""]})
    pd.testing.assert_frame_equal(read, table, check_exact=True)


def test_no_cells(tmp_path, table):
    write_cells(tmp_path, table.iloc[:0])
    write_geojson(tmp_path / "cells.geojson", [], table.iloc[:0])
    assert list(pd.read_csv(tmp_path / "cells.csv").columns) == list(table.columns)
    assert json.loads((tmp_path / "cells.geojson").read_text())["features"] == []


def test_features_are_what_qupath_reads(tmp_path, table):
    write_geojson(tmp_path / "cells.geojson", RINGS, table)
    content = json.loads((tmp_path / "cells.geojson").read_text())
    first, second = content["features"]
    assert content["type"] == "FeatureCollection"
    assert first["type"] == "Feature"
    assert first["geometry"] == {"type": "Polygon", "coordinates": [[[0, 0], [4, 0], [4, 3], [0, 0]]]}
    assert second["geometry"]["coordinates"][0] == [[1.5, 1], [20, 1], [20, 2], [1.5, 1]]
    assert first["properties"] == {
        "objectType": "detection",
        "name": "3",
        "classification": {"name": "lymph node", "color": list(class_color("lymph node"))},
        "measurements": {"area_px": 12, "centroid_y_px": 0.333333333, "touches_border": 1},
    }
    assert "classification" not in second["properties"]
    assert second["properties"]["measurements"]["centroid_y_px"] == pytest.approx(123_456.781, abs=1e-3)


def test_outlines_and_rows_must_agree(tmp_path, table):
    with pytest.raises(ShapeError, match="1 outlines and 2 rows"):
        write_geojson(tmp_path / "cells.geojson", RINGS[:1], table)


def test_unwritable_place(tmp_path, table):
    with pytest.raises(OutputError):
        write_cells(tmp_path / "gone", table)
