"""The index on disk: what is written is read, damage is said clearly."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from organscope.data.index import COLUMNS, read_index, write_index
from organscope.errors import DatasetError, OutputError


def make_table(folder: Path, n_rows: int = 3, **columns) -> pd.DataFrame:
    rows = {
        "id": [f"s{n}" for n in range(n_rows)],
        "image": [str(folder / "images" / f"s{n}.tif") for n in range(n_rows)],
        "labels": ["", *(str(folder / "labels" / f"s{n}.tif") for n in range(1, n_rows))],
        "fold": list(range(1, n_rows + 1)),
        "split": ["test", *["train"] * (n_rows - 1)],
        "um_per_px_y": [0.5, *[float("nan")] * (n_rows - 1)],
        "um_per_px_x": [0.25, *[float("nan")] * (n_rows - 1)],
        "n_cells": [None, *range(1, n_rows)],
        "height_px": 10, "width_px": 20, "n_channels": 1,
        "organ": "lymph node", "species": "", "group": "a\nb", "dataset": "set", "dtype": "uint16",
        "sha256": "aa", "labels_sha256": "bb",
    }  # fmt: skip
    return pd.DataFrame(rows | columns)


def test_rows_survive_and_csv_tells_the_same(tmp_path):
    written = write_index(tmp_path / "index", make_table(tmp_path))
    read = read_index(tmp_path / "index")
    pd.testing.assert_frame_equal(read.table, written.table)
    assert list(read.table.columns) == list(COLUMNS)
    csv = pd.read_csv(tmp_path / "index" / "index.csv", dtype=COLUMNS, keep_default_na=False, na_values={
        "um_per_px_y": [""], "um_per_px_x": [""], "n_cells": [""]})  # fmt: skip
    pd.testing.assert_frame_equal(csv, read.table)


def test_an_index_of_square_pixels_of_an_earlier_version_is_read(tmp_path):
    old = make_table(tmp_path, um_per_px=[0.5, np.nan, np.nan]).drop(columns=["um_per_px_y", "um_per_px_x"])
    index = write_index(tmp_path / "index", old)
    assert [sample.um_per_px for sample in index.samples()] == [(0.5, 0.5), None, None]


def test_an_image_is_labeled_only_where_an_annotation_was_read(tmp_path):
    table = make_table(tmp_path, n_cells=[5, 0, 2], labeled=[True, True, False])
    index = write_index(tmp_path / "index", table)
    assert index.table["labeled"].tolist() == [False, True, False]
    assert index.table["n_cells"].isna().tolist() == [True, False, True]
    assert [sample.labels_path is not None for sample in read_index(tmp_path / "index").samples()] == [
        False, True, False]  # fmt: skip


def test_an_index_of_an_older_version_is_labeled_where_it_has_labels(tmp_path):
    write_index(tmp_path, make_table(tmp_path))
    table = pd.read_parquet(tmp_path / "index.parquet").drop(columns="labeled")
    table.to_parquet(tmp_path / "index.parquet", index=False)
    assert read_index(tmp_path).table["labeled"].tolist() == [False, True, True]


def test_paths_are_relative_so_that_the_whole_can_move(tmp_path):
    write_index(tmp_path / "a" / "index", make_table(tmp_path / "a"))
    (tmp_path / "a").rename(tmp_path / "b")
    first, second, _ = read_index(tmp_path / "b" / "index").samples()
    assert first.image_path == tmp_path / "b" / "images" / "s0.tif"
    assert first.labels_path is None
    assert second.labels_path == tmp_path / "b" / "labels" / "s1.tif"
    assert (first.um_per_px, second.um_per_px) == ((0.5, 0.25), None)


def test_samples_by_fold_and_by_split(tmp_path):
    index = write_index(tmp_path, make_table(tmp_path))
    assert [sample.id for sample in index.samples(2)] == ["s1"]
    assert [sample.id for sample in index.samples({1, 3})] == ["s0", "s2"]
    assert [[s.id for s in index.samples(fold)] for fold in index.table["fold"].unique()] == [["s0"], ["s1"], ["s2"]]
    assert [sample.id for sample in index.samples(split="test")] == ["s0"]
    assert len(index.samples()) == len(index) == 3


def test_fingerprint_follows_what_decides_a_score(tmp_path):
    table = make_table(tmp_path)
    fingerprint = write_index(tmp_path / "a", table).fingerprint()
    assert read_index(tmp_path / "a").fingerprint() == fingerprint
    assert write_index(tmp_path / "b", table[::-1]).fingerprint() == fingerprint
    for column, value in {"sha256": "cc", "labels_sha256": "cc", "fold": 1, "organ": "lung"}.items():
        assert write_index(tmp_path / "c", table.assign(**{column: value})).fingerprint() != fingerprint


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda table: table.drop(columns="organ"), "organ"),
        (lambda table: table.assign(id="same"), "more than once"),
        (lambda table: table.assign(fold="first"), "wrong type"),
        (lambda table: table[:0], "at least one sample"),
    ],
)
def test_impossible_rows_are_refused(tmp_path, change, message):
    with pytest.raises(DatasetError, match=message):
        write_index(tmp_path, change(make_table(tmp_path)))
    assert list(tmp_path.iterdir()) == []


def test_missing_and_damaged_indexes_are_refused(tmp_path):
    with pytest.raises(DatasetError, match="organscope data import"):
        read_index(tmp_path)
    write_index(tmp_path, make_table(tmp_path))
    path = tmp_path / "index.parquet"
    path.write_bytes(path.read_bytes()[:100])
    with pytest.raises(DatasetError, match="cannot be read"):
        read_index(tmp_path)


def test_a_file_in_the_way_is_an_output_error(tmp_path):
    (tmp_path / "index").write_text("in the way")
    with pytest.raises(OutputError, match="another folder"):
        write_index(tmp_path / "index", make_table(tmp_path))


def test_asking_for_labels_that_are_not_there(tmp_path):
    index = write_index(tmp_path, make_table(tmp_path))
    with pytest.raises(DatasetError, match="s0"):
        index.samples()[0].read_labels()
