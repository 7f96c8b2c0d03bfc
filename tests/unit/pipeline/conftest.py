"""Loaded tiny bundles and a small real image."""

from pathlib import Path

import pytest
from PIL import Image as PillowImage

import tiny_bundles
from organscope.pipeline import Models


@pytest.fixture(scope="session")
def models(tmp_path_factory) -> Models:
    folder = tmp_path_factory.mktemp("bundles")
    return Models(
        cells=tiny_bundles.tiny_segmentation(folder / "cells"),
        organs=tiny_bundles.tiny_classification(folder / "organs"),
    )


@pytest.fixture
def picture(tmp_path, colon) -> Path:
    path = tmp_path / "colon.png"
    PillowImage.fromarray(colon[:64, :96]).save(path)
    return path
