"""Which bundle does which task."""

import pytest

import tiny_bundles
from organscope.errors import UnknownNameError, UsageError
from organscope.pipeline import load_models


@pytest.fixture(scope="module")
def paths(tmp_path_factory) -> dict[str, str]:
    folder = tmp_path_factory.mktemp("bundles")
    return {
        "cells": str(tiny_bundles.write_tiny_segmentation(folder / "cells")),
        "organs": str(tiny_bundles.write_tiny_classification(folder / "organs")),
        "cell organs": str(tiny_bundles.write_tiny_cell_organs(folder / "cell_organs")),
    }


def test_manifest_says_which_task_a_bundle_is_for(paths):
    models = load_models(("segmentation", "classification"), [paths["organs"], paths["cells"]], threads=1)
    assert models.cells.manifest.name == "tiny-nuclei"
    assert models.organs.manifest.name == "tiny-organs"
    assert models.loaded() == [models.cells, models.organs]


def test_only_what_the_run_needs_is_loaded(paths):
    models = load_models(("segmentation",), [paths["cells"]])
    assert models.organs is None


def test_bundle_for_another_task_is_refused(paths):
    with pytest.raises(UsageError, match="which is for classification"):
        load_models(("segmentation",), [paths["organs"]])


def test_two_bundles_for_one_task_are_refused(paths):
    with pytest.raises(UsageError, match="found two"):
        load_models(("segmentation", "classification"), [paths["cells"], paths["cells"]])


def test_unknown_name_is_refused():
    with pytest.raises(UnknownNameError, match="found 'nothing'"):
        load_models(("segmentation",), ["nothing"])


BOTH = ("segmentation", "classification")


def test_a_bundle_for_single_cells_joins_both_others(paths):
    models = load_models(BOTH, [paths["cells"], paths["organs"], paths["cell organs"]], threads=1)
    assert models.cell_organs.manifest.name == "tiny-cell-organs"
    assert models.organs.manifest.name == "tiny-organs"
    assert len(models.loaded()) == 3


@pytest.mark.parametrize("tasks", [("segmentation",), ("classification",)])
def test_a_bundle_for_single_cells_needs_both_others(paths, tasks):
    with pytest.raises(UsageError, match=r"classification of cells\. The organ of each cell .* `organscope analyze"):
        load_models(tasks, [paths["cell organs"]])


def test_the_bundle_of_the_package_joins_where_it_knows_the_same_organs(paths, tmp_path, monkeypatch):
    tiny_bundles.write_tiny_cell_organs(tmp_path / "cell-organs")
    monkeypatch.setattr("organscope.models.bundle.shipped_folder", lambda: tmp_path)
    given = [paths["cells"], paths["organs"]]
    assert load_models(BOTH, given, threads=1).cell_organs.manifest.name == "tiny-cell-organs"
    assert load_models(("classification",), [paths["organs"]], threads=1).cell_organs is None
    tiny_bundles.reseal(tmp_path / "cell-organs", classes=["red organ", "green organ", "other"])
    assert load_models(BOTH, given, threads=1).cell_organs is None


def test_without_a_bundle_of_the_package_no_cell_is_named(paths, tmp_path, monkeypatch):
    monkeypatch.setattr("organscope.models.bundle.shipped_folder", lambda: tmp_path)
    assert load_models(BOTH, [paths["cells"], paths["organs"]], threads=1).cell_organs is None
