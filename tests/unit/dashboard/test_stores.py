"""What lies in a folder of runs, and whether it changed."""

import sqlite3

import pytest

from organscope.dashboard.stores import find_stores, stamp_of
from organscope.errors import UsageError


def test_stores_are_found_in_the_folder_and_directly_inside(runs_folder):
    stores = find_stores(runs_folder)
    assert stores.databases == (runs_folder / "mlflow.db",)
    assert stores.sweeps == {"s0": runs_folder / "sweep-rates"}
    above = find_stores(runs_folder.parent)
    assert above.databases == stores.databases
    assert above.sweeps == {}
    assert find_stores(runs_folder / "sweep-rates").sweeps == {"s0": runs_folder / "sweep-rates"}


def test_nothing_to_show_is_wrong_use(tmp_path):
    with pytest.raises(UsageError, match="found neither"):
        find_stores(tmp_path)


def test_the_stamp_changes_with_every_write(tmp_path):
    path = tmp_path / "a.db"
    stamps = [stamp_of([path])]
    for table in ("one", "two"):
        with sqlite3.connect(path) as connection:
            connection.execute(f"CREATE TABLE {table} (a)")
        connection.close()
        stamps.append(stamp_of([path]))
    assert len(set(stamps)) == 3
    assert stamp_of([path]) == stamps[-1]
