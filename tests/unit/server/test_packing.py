"""Columns and outlines come back as they were."""

import struct

import numpy as np
import pandas as pd
import pytest

from organscope.ops.regionprops import cell_outlines, measure_cells
from organscope.server.results import read_block, read_header, write_columns, write_outlines


@pytest.fixture
def labels() -> np.ndarray:
    labels = np.zeros((1100, 2100), np.int32)
    labels[10:20, 5:25] = 1
    labels[1050:1060, 2000:2040] = 2
    labels[40:45, 1020:1030] = 3
    return labels


@pytest.fixture
def table(labels) -> pd.DataFrame:
    return pd.DataFrame(measure_cells(labels, labels[:, :, None].astype(np.uint8), None))


def test_columns(tmp_path, table):
    table["organ"] = ["liver", "brain", "liver"]
    table["probability"] = np.array([0.5, np.nan, 1.0])
    write_columns(tmp_path / "a", table, len(table))
    header, begin = read_header(tmp_path / "a")
    values = np.fromfile(tmp_path / "a", "<f4", offset=begin).reshape(len(header["columns"]), header["n"])
    by_name = {column["name"]: (column, row) for column, row in zip(header["columns"], values, strict=True)}
    assert begin % 4 == 0
    np.testing.assert_allclose(by_name["area_px"][1], table["area_px"])
    assert [by_name["organ"][0]["categories"][int(code)] for code in by_name["organ"][1]] == ["liver", "brain", "liver"]
    assert np.isnan(by_name["probability"][1][1])
    assert by_name["touches_border"][0]["kind"] == "flag"


def test_outlines_lie_in_the_square_of_their_center(tmp_path, labels, table):
    rings = cell_outlines(labels)
    write_outlines(tmp_path / "a", rings, table, *labels.shape)
    found = {}
    for x in range(5):
        for y in range(3):
            rows, corners = unpack(read_block(tmp_path / "a", x, y))
            for row, ring in zip(rows, corners, strict=True):
                found[row] = ring + np.array([x * 512, y * 512])
    assert sorted(found) == [0, 1, 2]
    for row, ring in found.items():
        np.testing.assert_array_equal(ring, rings[row][: len(ring)])


def test_words_for_people(tmp_path, table):
    for n_channels, expected in ((1, ["Mean intensity"]), (2, ["Mean of channel 0", "Mean of channel 1"])):
        wide = table.assign(**{f"mean_intensity_{k}": 1.0 for k in range(n_channels)})
        write_columns(tmp_path / "a", wide, len(wide))
        columns = read_header(tmp_path / "a")[0]["columns"]
        assert [c["label"] for c in columns if c["name"].startswith("mean_intensity")] == expected


def test_no_cells(tmp_path, table):
    none = table.iloc[:0]
    write_outlines(tmp_path / "a", [], none, 100, 100)
    write_columns(tmp_path / "b", none, 0)
    assert unpack(read_block(tmp_path / "a", 0, 0)) == ([], [])
    assert read_header(tmp_path / "b")[0]["n"] == 0


def unpack(block: bytes) -> tuple[list[int], list[np.ndarray]]:
    """As the page reads it."""
    (n,) = struct.unpack_from("<I", block)
    rows = np.frombuffer(block, "<u4", n, 4).tolist()
    starts = np.frombuffer(block, "<u4", n + 1, 4 + 4 * n)
    corners = np.frombuffer(block, "<i2", offset=8 + 8 * n).reshape(-1, 2)
    return rows, [corners[starts[k] : starts[k + 1]] for k in range(n)]
