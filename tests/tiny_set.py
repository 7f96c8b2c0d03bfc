"""A data set that a test puts together image by image, with its index and survey."""

from pathlib import Path

import numpy as np
import pandas as pd
import tifffile

from organscope.data import Index, read_index, write_index
from organscope.data.records import hash_path
from organscope.data.survey import Survey, survey_index
from organscope.io import write_labels


class TinySet:
    """Writes images and labels into a folder and remembers their rows."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.rows: list[dict] = []
        self._random = np.random.default_rng(0)

    def add(self, name: str, pixels: np.ndarray | None = None, labels: np.ndarray | None = None, **columns) -> Path:
        """Write one image (noise without `pixels`) and its labels, if any; return the image's path.

        Further columns are those of the index, such as organ, group, fold and split; `um_per_px` is one number or
        height and width.
        """
        height_um, width_um = np.broadcast_to(columns.pop("um_per_px", np.nan), 2).tolist()
        pixels = self.noise() if pixels is None else pixels
        path = self.folder / f"{name}.tif"
        path.parent.mkdir(parents=True, exist_ok=True)
        tifffile.imwrite(path, pixels)
        row = {
            "id": name,
            "image": str(path),
            "organ": "",
            "species": "",
            "group": name,
            "labels": "",
            "dataset": "tiny",
            "split": "",
            "fold": 0,
            "height_px": pixels.shape[0],
            "width_px": pixels.shape[1],
            "n_channels": pixels.shape[2] if pixels.ndim == 3 else 1,
            "dtype": str(pixels.dtype),
            "um_per_px_y": height_um,
            "um_per_px_x": width_um,
            "n_cells": None,
            "sha256": hash_path(path),
            "labels_sha256": "",
        }
        if labels is not None:
            labels_path = self.folder / f"{name}.labels.tif"
            write_labels(labels_path, labels.astype(np.int32))
            row |= {"labels": str(labels_path), "labels_sha256": hash_path(labels_path), "n_cells": int(labels.max())}
        self.rows.append(row | columns)
        return path

    def noise(self, size: tuple[int, ...] = (32, 32), dtype: type = np.uint8) -> np.ndarray:
        """Pixels that no other image has."""
        return self._random.integers(0, np.iinfo(dtype).max, size, dtype)

    def index(self) -> Index:
        """Write the index and read it again."""
        write_index(self.folder / "index", pd.DataFrame(self.rows))
        return read_index(self.folder / "index")

    def survey(self) -> Survey:
        """Read all files."""
        return survey_index(self.index(), self.folder / "journal.jsonl")


def two_cells(size_px: int = 32) -> np.ndarray:
    """int32 labels with two square cells."""
    labels = np.zeros((size_px, size_px), np.int32)
    labels[4:10, 4:10] = 1
    labels[16:26, 12:26] = 2
    return labels
