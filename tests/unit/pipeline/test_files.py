"""Results of one image appear together or not at all."""

from pathlib import Path

import pytest

from organscope.errors import OutputError
from organscope.pipeline.plan import is_result_file, remove_partial_outputs, result_folder


def write_and_raise(target: Path, error: BaseException) -> None:
    with result_folder(target) as partial:
        (partial / "labels.tif").write_text("half")
        raise error


def test_files_appear_together(tmp_path):
    target = tmp_path / "below" / "image"
    with result_folder(target) as partial:
        (partial / "labels.tif").write_text("labels")
        assert not target.exists()
    assert [path.name for path in target.iterdir()] == ["labels.tif"]
    assert [path.name for path in target.parent.iterdir()] == ["image"]


def test_failure_leaves_nothing(tmp_path):
    with pytest.raises(ValueError, match="broken"):
        write_and_raise(tmp_path / "image", ValueError("broken"))
    assert list(tmp_path.iterdir()) == []


def test_failure_keeps_the_results_of_an_earlier_run(tmp_path):
    with result_folder(tmp_path / "image") as partial:
        (partial / "labels.tif").write_text("earlier")
    with pytest.raises(KeyboardInterrupt):
        write_and_raise(tmp_path / "image", KeyboardInterrupt())
    assert (tmp_path / "image" / "labels.tif").read_text() == "earlier"


def test_results_are_replaced_and_what_else_lies_there_stays(tmp_path):
    target = tmp_path / "image"
    (target / "inner").mkdir(parents=True)
    (target / "inner" / "labels.tif").write_text("of another image")
    (target / "notes.txt").write_text("by the person")
    (target / "overlay.png").write_text("from an earlier run")
    with result_folder(target) as partial:
        (partial / "labels.tif").write_text("new")
    assert sorted(path.name for path in target.iterdir()) == ["inner", "labels.tif", "notes.txt"]
    assert (target / "inner" / "labels.tif").read_text() == "of another image"


def test_rest_of_a_killed_run_is_removed(tmp_path):
    (tmp_path / ".image.partial").mkdir()
    (tmp_path / ".image.partial" / "labels.tif").write_text("half")
    with result_folder(tmp_path / "image") as partial:
        (partial / "cells.csv").write_text("new")
    assert [path.name for path in (tmp_path / "image").iterdir()] == ["cells.csv"]
    assert not (tmp_path / ".image.partial").exists()


def test_file_in_the_way_is_an_output_error_and_stays(tmp_path):
    (tmp_path / "image").write_text("a file")
    with pytest.raises(OutputError, match="Expected to write results to"), result_folder(tmp_path / "image") as partial:
        (partial / "labels.tif").write_text("labels")
    assert (tmp_path / "image").read_text() == "a file"
    assert [path.name for path in tmp_path.iterdir()] == ["image"]


def test_results_are_told_from_images_by_their_company(tmp_path):
    (tmp_path / "labels.tif").touch()
    assert not is_result_file(tmp_path / "labels.tif")
    (tmp_path / "cells.parquet").touch()
    assert is_result_file(tmp_path / "labels.tif")
    assert not is_result_file(tmp_path / "photo.tif")


def test_halves_of_a_killed_run_are_removed(tmp_path):
    (tmp_path / ".partial-0123.csv").write_text("half")
    (tmp_path / ".organscope-abc.tmp").touch()
    (tmp_path / ".organscope").mkdir()
    (tmp_path / "summary.csv").touch()
    remove_partial_outputs(tmp_path)
    assert sorted(path.name for path in tmp_path.iterdir()) == [".organscope", "summary.csv"]


def test_results_of_a_slide_are_replaced_with_their_folders(tmp_path):
    target = tmp_path / "slide"
    (target / "labels.ome.zarr" / "0").mkdir(parents=True)
    (target / "cells-0002.geojson.gz").touch()
    with result_folder(target) as partial:
        (partial / "labels.ome.zarr").mkdir()
        (partial / "cells-0001.geojson.gz").touch()
    assert sorted(path.name for path in target.iterdir()) == ["cells-0001.geojson.gz", "labels.ome.zarr"]
    assert list((target / "labels.ome.zarr").iterdir()) == []
    (target / "organ_map.ome.zarr").mkdir()
    assert is_result_file(target / "labels.ome.zarr")
