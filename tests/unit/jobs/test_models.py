"""Which bundle does which task."""

import pytest

import tiny_bundles
from organscope.errors import UnknownNameError, UsageError
from organscope.jobs import load_models


@pytest.fixture(scope="module")
def paths(tmp_path_factory) -> dict[str, str]:
    folder = tmp_path_factory.mktemp("bundles")
    return {
        "cells": str(tiny_bundles.write_tiny_segmentation(folder / "cells")),
        "organs": str(tiny_bundles.write_tiny_classification(folder / "organs")),
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
