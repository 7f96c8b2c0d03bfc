"""Cells that come in parts: one table, files of whole features, the same bytes each time."""

import gzip
import json

import numpy as np
import pandas as pd
import pytest
from pyarrow import parquet

from organscope.io import tables
from organscope.io.geojson import SEPARATOR
from organscope.io.tables import write_cell_table, write_geojson_parts


def table(first: int, n: int) -> pd.DataFrame:
    numbers = np.arange(first, first + n)
    return pd.DataFrame({"id": numbers, "area_px": numbers * 2.0, "organ": ["liver"] * n, "edge": numbers % 2 == 0})


def feature(number: int) -> str:
    return json.dumps({"type": "Feature", "properties": {"name": str(number)}})


def runs(sizes):
    number = 0
    for size in sizes:
        yield size, SEPARATOR.join(feature(number + i) for i in range(size))
        number += size


def test_tables_lie_one_below_the_other(tmp_path, monkeypatch):
    monkeypatch.setattr(tables, "_ROWS_PER_GROUP", 7)
    parts = [table(1, 5), table(6, 4), table(10, 1)]
    write_cell_table(tmp_path / "cells.parquet", parts, table(0, 0).astype({"organ": object}))
    pd.testing.assert_frame_equal(
        pd.read_parquet(tmp_path / "cells.parquet"), pd.concat(parts, ignore_index=True), check_dtype=False
    )
    assert parquet.ParquetFile(tmp_path / "cells.parquet").num_row_groups == 2


def test_no_cell_is_a_table_with_columns(tmp_path):
    write_cell_table(tmp_path / "cells.parquet", [], table(0, 0).astype({"organ": object}))
    assert parquet.read_schema(tmp_path / "cells.parquet").names == ["id", "area_px", "organ", "edge"]


@pytest.mark.parametrize(("sizes", "in_files"), [([], [0]), ([4], [4]), ([3, 2, 0, 4, 6, 1], [5, 4, 6, 1])])
def test_features_are_parted_into_whole_files(tmp_path, monkeypatch, sizes, in_files):
    monkeypatch.setattr(tables, "_CELLS_PER_PART", 4)
    paths = write_geojson_parts(tmp_path, runs(sizes))
    documents = [json.loads(gzip.decompress(path.read_bytes())) for path in paths]
    assert [len(document["features"]) for document in documents] == in_files
    names = [feature["properties"]["name"] for document in documents for feature in document["features"]]
    assert names == [str(number) for number in range(sum(sizes))]


def test_same_features_give_the_same_bytes(tmp_path):
    for name in ("a", "b"):
        (tmp_path / name).mkdir()
        write_geojson_parts(tmp_path / name, runs([5, 6]))
    one, other = ((tmp_path / name / "cells-0001.geojson.gz").read_bytes() for name in ("a", "b"))
    assert one == other
