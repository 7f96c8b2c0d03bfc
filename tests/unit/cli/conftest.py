"""The command line called in this process, and tiny bundles to give it."""

from collections.abc import Callable
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

import tiny_bundles
from organscope.cli.main import app


@pytest.fixture
def call() -> Callable[..., Result]:
    return lambda *words: CliRunner().invoke(app, [str(word) for word in words])


@pytest.fixture(scope="session")
def organs(tmp_path_factory) -> Path:
    return tiny_bundles.write_tiny_classification(tmp_path_factory.mktemp("bundle") / "organs")


@pytest.fixture(scope="session")
def cells(tmp_path_factory) -> Path:
    return tiny_bundles.write_tiny_segmentation(tmp_path_factory.mktemp("bundle") / "cells")
