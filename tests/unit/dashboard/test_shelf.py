"""What cannot be read is named, and the rest is shown."""

import shutil

from dashboard_store import write_sweep
from organscope.dashboard.shelf import Shelf
from organscope.dashboard.stores import find_stores


def test_a_broken_store_is_named_and_left_out(runs_folder, tmp_path):
    (tmp_path / "mlflow.db").write_bytes(b"no database at all, but long enough to be read as one" * 20)
    (tmp_path / "inside").mkdir()
    shutil.copyfile(runs_folder / "mlflow.db", tmp_path / "inside" / "mlflow.db")
    said: list[str] = []
    shelf = Shelf(find_stores(tmp_path), said.append)
    assert len(shelf.all_runs()) == 6
    assert len(said) == len(shelf.problems) == 1
    assert str(tmp_path / "mlflow.db") in said[0]
    assert "\n" not in said[0]


def test_a_sweep_that_changes_is_read_again(tmp_path):
    folder = tmp_path / "sweep"
    write_sweep(folder, 2, tmp_path / "base.toml")
    (sweep,) = Shelf(find_stores(tmp_path), print).sweeps.values()
    first = sweep.shown()
    assert sweep.shown() is first
    assert len(first.table) == 2
    write_sweep(folder, 4, tmp_path / "base.toml")
    assert len(sweep.shown().table) == 4
