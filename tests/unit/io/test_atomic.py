"""Files appear complete or not at all."""

import subprocess
import sys
from pathlib import Path

import pytest

from organscope.errors import OutputError
from organscope.io import atomic_path


def test_appears_at_the_end_under_its_name(tmp_path):
    target = tmp_path / "a.ome.tif"
    with atomic_path(target) as path:
        path.write_text("new")
        assert not target.exists()
        assert (path.parent, path.name.endswith(".ome.tif"), path.name[0]) == (tmp_path, True, ".")
    assert [file.name for file in tmp_path.iterdir()] == ["a.ome.tif"]


@pytest.mark.parametrize("error", [KeyboardInterrupt, ValueError, SystemExit])
def test_any_interruption_leaves_the_old_file(tmp_path, error):
    target = tmp_path / "a.txt"
    target.write_text("old")

    def interrupted():
        with atomic_path(target) as path:
            path.write_text("half")
            raise error

    with pytest.raises(error):
        interrupted()
    assert target.read_text() == "old"
    assert len(list(tmp_path.iterdir())) == 1


@pytest.mark.parametrize("folder", ["gone", "file"])
def test_folder_that_cannot_be_written(tmp_path, folder):
    (tmp_path / "file").write_text("")
    found = f"Expected to write .*{folder}.*choose another folder"
    with pytest.raises(OutputError, match=found), atomic_path(tmp_path / folder / "a.txt") as path:
        path.write_text("")


def test_folder_in_the_way(tmp_path):
    (tmp_path / "a.txt").mkdir()
    with pytest.raises(OutputError, match="in the way"), atomic_path(tmp_path / "a.txt"):
        pass


def test_read_only_folder(tmp_path):
    tmp_path.chmod(0o500)
    try:
        (tmp_path / "probe").touch()
    except PermissionError:
        with pytest.raises(OutputError, match="not writable"), atomic_path(tmp_path / "a.txt"):
            pass
    else:
        pytest.skip("this user may write to read-only folders (root)")
    finally:
        tmp_path.chmod(0o700)


def test_names_as_long_as_the_file_system_takes(tmp_path):
    target = tmp_path / ("ü" * 120 + ".tif")
    with atomic_path(target) as path:
        path.touch()
    assert target.exists()


def test_full_disk_is_one_sentence_and_leaves_nothing(tmp_path):
    """A limit on the size of files stands in for the full disk: writing fails in the middle of the file."""
    code = """
import resource, sys, numpy as np, pandas as pd, shapely
resource.setrlimit(resource.RLIMIT_FSIZE, (20_000, 20_000))
from pathlib import Path
from organscope.errors import OutputError
from organscope.io import write_cells, write_geojson, write_labels
folder = Path(sys.argv[1])
noise = np.random.default_rng(0).integers(1, 2**30, (500, 500)).astype(np.int32)
table = pd.DataFrame({"id": noise.ravel()})
rings = [shapely.Polygon([[0, 0], [1, 0], [1, 1]])] * len(table)
for write in (
    lambda: write_labels(folder / "labels.tif", noise),
    lambda: write_cells(folder, table),
    lambda: write_geojson(folder / "cells.geojson", rings, table),
):
    try:
        write()
    except OutputError as error:
        print(error)
"""
    answer = subprocess.run([sys.executable, "-c", code, str(tmp_path)], capture_output=True, text=True, check=True)
    assert answer.stdout.count("File too large. Free space on the disk") == 3
    assert list(Path(tmp_path).iterdir()) == []
