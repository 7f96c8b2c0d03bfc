"""What goes where is known before any work."""

from pathlib import Path

import pytest

from organscope.errors import OutputError, UsageError
from organscope.pipeline import plan_run, prepare_output


@pytest.fixture
def folder(tmp_path) -> Path:
    (tmp_path / "in" / "kidney").mkdir(parents=True)
    for name in ("a.png", "kidney/a.tif", "kidney/b.ome.tif"):
        (tmp_path / "in" / name).touch()
    return tmp_path / "in"


def test_targets_mirror_the_path_below_a_folder(folder, tmp_path):
    plan = plan_run([folder], tmp_path / "out")
    assert [target.stem.as_posix() for target in plan.targets] == ["a", "kidney/a", "kidney/b"]
    assert not plan.out.exists()


def test_two_images_with_one_target_are_refused(folder, tmp_path):
    (folder / "a.jpg").touch()
    with pytest.raises(UsageError, match="one target 'a'"):
        plan_run([folder], tmp_path / "out")


def test_file_of_another_folder_may_collide_too(folder, tmp_path):
    with pytest.raises(UsageError, match="one target 'a'"):
        plan_run([folder, folder / "kidney" / "a.tif"], tmp_path / "out")


@pytest.mark.parametrize("name", ["report.html.png", "summary.csv.tif", "predictions.csv.jpg"])
def test_image_that_would_hide_a_result_file_is_refused(tmp_path, name):
    (tmp_path / name).touch()
    with pytest.raises(UsageError, match="name of a result file"):
        plan_run([tmp_path / name], tmp_path / "out")


def test_folder_that_holds_results_alone_has_no_images(tmp_path):
    (tmp_path / "a").mkdir()
    for name in ("labels.tif", "overlay.png", "cells.parquet"):
        (tmp_path / "a" / name).touch()
    with pytest.raises(UsageError, match="found none"):
        plan_run([tmp_path], tmp_path)


def test_output_folder_is_made_and_tried(tmp_path):
    prepare_output(tmp_path / "x" / "y")
    assert list((tmp_path / "x" / "y").iterdir()) == []
    (tmp_path / "file").touch()
    with pytest.raises(OutputError, match="Expected an output folder"):
        prepare_output(tmp_path / "file")
