"""Small indexes of real and of colored images."""

import numpy as np
import pandas as pd
import pytest
from PIL import Image as PillowImage

from organscope.data.index import COLUMNS, Index, write_index
from organscope.evaluation import baselines
from organscope.inference import segment_image
from organscope.io import open_image, write_labels
from tiny_bundles import tiny_classification, tiny_segmentation


@pytest.fixture(scope="session", autouse=True)
def _few_trees():
    """Enough for three colors, and quick."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(baselines, "_N_TREES", 100)
        yield


@pytest.fixture(scope="session")
def nuclei(tmp_path_factory):
    """A bundle that finds what is dark."""
    return tiny_segmentation(tmp_path_factory.mktemp("bundles") / "nuclei")


@pytest.fixture(scope="session")
def organs(tmp_path_factory):
    """A bundle that tells red, green and blue apart."""
    return tiny_classification(tmp_path_factory.mktemp("bundles") / "organs")


def make_index(folder, rows) -> Index:
    """An index of rows that say what is not the same for all."""
    defaults = {
        **dict.fromkeys(COLUMNS, ""),
        "dataset": "tiny",
        "fold": 1,
        **dict.fromkeys(("height_px", "width_px", "n_channels"), 1),
        "um_per_px_y": np.nan,
        "um_per_px_x": np.nan,
        "labeled": True,
        "n_cells": None,
    }
    return write_index(folder, pd.DataFrame([{**defaults, **row} for row in rows]))


@pytest.fixture(scope="session")
def index_of():
    """Writes an index of rows."""
    return make_index


@pytest.fixture(scope="session")
def cell_index(tmp_path_factory, nuclei, colon) -> Index:
    """Four crops of a real image, labeled with what the bundle finds, less the first cell of crop 2.

    Crop 3 is in fold 2, crop 4 is glass without a cell.
    """
    folder = tmp_path_factory.mktemp("cells")
    rows = []
    for number in (1, 2, 3, 4):
        crop = colon[:128, 128 * (number - 1) : 128 * number] if number < 4 else np.full((64, 64, 3), 255, np.uint8)
        image, labels = folder / f"{number}.png", folder / f"{number}.tif"
        PillowImage.fromarray(crop).save(image)
        truth = segment_image(open_image(image), nuclei).labels
        write_labels(labels, np.where(truth == 1, 0, truth) if number == 2 else truth)
        place = {"group": f"slide {number}", "fold": 2 if number == 3 else 1, "organ": "colon"}
        rows.append({"id": f"crop {number}", "image": str(image), "labels": str(labels), **place})
    return make_index(folder, rows)


@pytest.fixture(scope="session")
def organ_index(tmp_path_factory, organs) -> Index:
    """Two folds of 6 noisy images an organ in its color; the first of each organ has the next one's color."""
    folder = tmp_path_factory.mktemp("organs")
    generator = np.random.default_rng(0)
    rows = []
    for number in range(12):
        for channel, organ in enumerate(organs.manifest.classes):
            pixels = generator.integers(0, 40, (64, 64, 3)).astype(np.uint8)
            pixels[:, :, (channel + (number == 0)) % 3] += 180
            path = folder / f"{organ} {number}.png"
            PillowImage.fromarray(pixels).save(path)
            place = {"group": f"{organ} {number % 4}", "fold": 1 + number % 2}
            rows.append({"id": path.stem, "image": str(path), "organ": organ, **place})
    return make_index(folder, rows)
