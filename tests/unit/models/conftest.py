"""One written bundle of each task, copied for each test that changes it."""

import shutil
from pathlib import Path

import pytest

import tiny_bundles


@pytest.fixture(scope="session")
def written(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("bundles")
    tiny_bundles.write_tiny_segmentation(folder / "nuclei")
    tiny_bundles.write_tiny_classification(folder / "organs")
    return folder


@pytest.fixture
def nuclei(written, tmp_path) -> Path:
    return Path(shutil.copytree(written / "nuclei", tmp_path / "nuclei"))


@pytest.fixture
def organs(written, tmp_path) -> Path:
    return Path(shutil.copytree(written / "organs", tmp_path / "organs"))
