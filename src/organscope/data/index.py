"""The index: one row a sample, the only thing that the rest of organscope knows of a data set.

An index is a folder with `index.parquet` (which is read), `index.csv` (the same rows, for people) and, where
annotations were converted, `labels/`.

What could not be used, so that it can be named at the end while everything else goes on.
"""

import hashlib
import os
from collections import Counter
from collections.abc import Collection
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd
from jaxtyping import Int32

from organscope.data.cell_classes import parse_counts, read_class_table
from organscope.errors import DatasetError
from organscope.io.paths import make_folder
from organscope.io.selection import Choice, choice_as_options, choice_from_text
from organscope.ops.pixel_size import PixelSize

if TYPE_CHECKING:
    from organscope.io import Image


PARQUET_NAME = "index.parquet"
_CSV_NAME = "index.csv"
LABELS_FOLDER = "labels"
WORK_FOLDER = ".import"
"""What an import that is not finished has made so far."""

#: Columns that older indexes do not have, with their value there.
_NEW_COLUMNS = {"labeled": True, "classes": "", "class_counts": "", "choice": ""}
#: Column -> pandas type. Unknown text is "", an unknown pixel size not-a-number. `labeled` is true only where an
#: annotation was read; elsewhere `labels` says nothing about cells, and `n_cells` is missing. A labeled image without
#: a cell has `n_cells` 0. `classes` is the table of the classes of an image's cells (see `cell_classes`), which an
#: image with points alone has too, `class_counts` the number of cells of each class as JSON. `choice` is what of a
#: file is the image (channel, page, plane), as `organscope.io.selection.choice_as_text` writes it; "" by default.
COLUMNS = {
    "id": "str",
    "image": "str",
    "organ": "str",
    "species": "str",
    "group": "str",
    "labels": "str",
    "dataset": "str",
    "split": "str",
    "fold": "int64",
    "height_px": "int64",
    "width_px": "int64",
    "n_channels": "int64",
    "dtype": "str",
    "labeled": "bool",
    "n_cells": "Int64",
    "sha256": "str",
    "labels_sha256": "str",
    "um_per_px_y": "float64",
    "um_per_px_x": "float64",
    "classes": "str",
    "class_counts": "str",
    "choice": "str",
}


@dataclass(frozen=True)
class Sample:
    """One image of a data set with what is known about it.

    Attributes:
        id: Unique in its index.
        image_path: The image file or folder (OME-Zarr).
        labels_path: Label image of equal size, or None where the image is not labeled.
        organ: The class name exactly as delivered; "" where unknown.
        group: What must stay on one side of a split: a slide or a patient.
        dataset: Name of the set that the image came with.
        fold: 1, 2, ... or 0 where the sample is in no fold.
        split: "train", "test" or "" as the set was delivered.
        um_per_px: Height and width of a pixel, or None where unknown.
        classes_path: Table of the classes of its cells or points, or None where none are known.
        class_names: The classes of its cells, the most frequent one first.
        choice: Channel, page, plane and image of the file.
    """

    id: str
    image_path: Path
    labels_path: Path | None
    organ: str
    group: str
    dataset: str
    fold: int
    split: str
    um_per_px: PixelSize | None
    classes_path: Path | None = None
    class_names: tuple[str, ...] = ()
    choice: Choice = field(default_factory=Choice)

    def open(self) -> "Image":
        """Open the image lazily.

        Raises:
            ImageReadError: The file is no image, truncated or gone.
        """
        from organscope.io import open_image

        return open_image(self.image_path, um_per_px=self.um_per_px, **choice_as_options(self.choice))

    def read_labels(self, *, keep_ignored: bool = False) -> Int32[np.ndarray, "y x"]:
        """The label image: 0 is background, every other value is one cell.

        Args:
            keep_ignored: -1 stays where nothing is known; see `organscope.io.labels`.

        Raises:
            DatasetError: The sample has no labels.
            AnnotationError: They cannot be read.
        """
        from organscope.io import read_labels

        return read_labels(self._require_labels(), keep_ignored=keep_ignored)

    def read_label_region(
        self, y_px: int, x_px: int, height_px: int, width_px: int, *, keep_ignored: bool = False
    ) -> Int32[np.ndarray, "y x"]:
        """A region of the label image, see `read_labels`.

        Raises:
            DatasetError: The sample has no labels.
            AnnotationError: They cannot be read.
        """
        from organscope.io.labels import read_label_region

        return read_label_region(self._require_labels(), y_px, x_px, height_px, width_px, keep_ignored=keep_ignored)

    def read_classes(self) -> pd.DataFrame:
        """The class of each cell: `label` (0 for a point without an outline), `class`, `color`, `y_px`, `x_px`.

        Raises:
            DatasetError: No class of a cell of this sample is known.
            AnnotationError: They cannot be read.
        """
        if self.classes_path is None:
            raise DatasetError(
                f"Expected classes of the cells of {self.id}, found none in the index. "
                "Import annotations that name the class of each cell."
            )
        return read_class_table(self.classes_path)

    def _require_labels(self) -> Path:
        if self.labels_path is None:
            raise DatasetError(f"Expected labels for {self.id}, found none in the index. Import annotations.")
        return self.labels_path


@dataclass(frozen=True)
class Index:
    """A data set: its folder and its table (columns: `COLUMNS`, rows in order of id).

    Paths in the table are relative to the folder where possible.
    """

    folder: Path
    table: pd.DataFrame

    def __len__(self) -> int:
        return len(self.table)

    def samples(self, fold: int | Collection[int] | None = None, *, split: str | None = None) -> list[Sample]:
        """The samples of some folds (all without `fold`) and of one split ("train", "test"; all without)."""
        table = self.table
        if fold is not None:
            table = table[table["fold"].isin(fold_numbers(fold))]
        if split is not None:
            table = table[table["split"] == split]
        return [self._sample(row) for row in table.itertuples(index=False)]

    def resolve(self, path: str) -> Path:
        """A path of the table as an absolute path."""
        return Path(os.path.normpath(self.folder / path))

    def cell_classes(self) -> dict[str, int]:
        """The classes that cells of the index have, with the number of cells of each, the most frequent first."""
        counts: Counter[str] = Counter()
        for text in self.table["class_counts"]:
            counts.update(parse_counts(text))
        return dict(counts.most_common())

    def fingerprint(self) -> str:
        """SHA-256 over what decides a score: ids, hashes of images and labels, organs, splits and folds."""
        columns = ["id", "sha256", "labels_sha256", "organ", "split", "fold"]
        if self.table["choice"].any():
            columns.append("choice")
        rows = self.table[columns].sort_values("id").itertuples(index=False)
        text = "\n".join("\t".join(str(value) for value in row) for row in rows)
        return hashlib.sha256(text.encode()).hexdigest()

    def _sample(self, row) -> Sample:
        return Sample(
            id=row.id,
            image_path=self.resolve(row.image),
            labels_path=self.resolve(row.labels) if row.labeled and row.labels else None,
            organ=row.organ,
            group=row.group,
            dataset=row.dataset,
            fold=int(row.fold),
            split=row.split,
            um_per_px=_pixel_size(row),
            classes_path=self.resolve(row.classes) if row.classes else None,
            class_names=tuple(parse_counts(row.class_counts)),
            choice=choice_from_text(row.choice),
        )


def _pixel_size(row) -> PixelSize | None:
    sides = float(row.um_per_px_y), float(row.um_per_px_x)
    return None if np.isnan(sides).any() else sides


def fold_numbers(fold: int | Collection[int]) -> tuple[int, ...]:
    """One fold or several, of Python or of a table's column, as plain numbers in ascending order."""
    return (int(fold),) if isinstance(fold, int | np.integer) else tuple(sorted(int(number) for number in fold))


def read_index(folder: str | Path) -> Index:
    """Read the index in a folder.

    Raises:
        DatasetError: There is no index, it is empty, damaged or misses columns.
    """
    folder = Path(folder).resolve()
    path = folder / PARQUET_NAME
    if not path.is_file():
        raise DatasetError(
            f"Expected an index ({PARQUET_NAME}) in {folder}, found none. "
            f"Make one with: organscope data import IMAGES -o {folder}"
        )
    try:
        table = pd.read_parquet(path)
    except (OSError, ValueError) as error:
        raise DatasetError(f"{path} cannot be read ({error}). Import the data again.") from error
    return Index(folder, _check_table(table, source=str(path)))


def write_index(folder: str | Path, table: pd.DataFrame) -> Index:
    """Write rows as `index.parquet` and `index.csv` and return them as an index.

    Args:
        folder: Made where it does not exist.
        table: The columns of `COLUMNS`; paths absolute or relative to `folder`.

    Raises:
        DatasetError: Rows are missing, ids are not unique, or a column is missing.
        OutputError: The folder cannot be written.
    """
    from organscope.io.paths import atomic_path

    folder = make_folder(Path(folder).resolve())
    table = table.assign(
        **{c: [_relative_to(p, folder) for p in table[c]] for c in ("image", "labels", "classes") if c in table}
    )
    table = _check_table(table, source="the rows to write")
    with atomic_path(folder / _CSV_NAME) as path:
        table.to_csv(path, index=False)
    with atomic_path(folder / PARQUET_NAME) as path:
        table.to_parquet(path, index=False)
    return Index(folder, table)


def _check_table(table: pd.DataFrame, source: str) -> pd.DataFrame:
    """Bring a table to the columns, types and order of an index.

    An image without labels is not labeled, whatever the table says; in a table without the column `labeled`, which
    older indexes are, every image with labels is.

    Raises:
        DatasetError: Columns are missing, values have the wrong type, ids repeat, or there are no rows.
    """
    if "labels" in table.columns:
        table = table.assign(**{name: value for name, value in _NEW_COLUMNS.items() if name not in table.columns})
    if "um_per_px" in table.columns and "um_per_px_y" not in table.columns:
        # Of an index made before pixels had two sides.
        table = table.assign(um_per_px_y=table["um_per_px"], um_per_px_x=table["um_per_px"])
    missing = [name for name in COLUMNS if name not in table.columns]
    if missing:
        raise DatasetError(f"Expected the columns {', '.join(missing)} in {source}. Import the data again.")
    if table.empty:
        raise DatasetError(f"Expected at least one sample in {source}, found none.")
    try:
        table = table[list(COLUMNS)].astype(COLUMNS)
    except (TypeError, ValueError) as error:
        raise DatasetError(f"A column of {source} has the wrong type: {error}.") from error
    repeated = table["id"][table["id"].duplicated()].unique()
    if len(repeated):
        raise DatasetError(f"Expected unique ids in {source}, found {', '.join(repeated[:3])} more than once.")
    labeled = table["labeled"] & (table["labels"] != "")
    table = table.assign(labeled=labeled, n_cells=table["n_cells"].where(labeled))
    return table.sort_values("id", ignore_index=True)


def _relative_to(path: str | Path, folder: Path) -> str:
    """`path` as seen from `folder`; unchanged on another drive, where no relative path exists; "" stays."""
    if not str(path):
        return ""
    try:
        return Path(os.path.relpath(folder / path, folder)).as_posix()
    except ValueError:
        return str(path)


@dataclass(frozen=True)
class Problem:
    """One sentence about one input.

    Attributes:
        source: The file, or the part of the data set.
        message: What was expected, what was found, what to do.
        failed: Something is missing from the result because of it; otherwise it is only worth knowing.
    """

    source: str
    message: str
    failed: bool
