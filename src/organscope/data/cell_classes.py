"""Classes of cells, kept beside an index: one table a sample, one row a cell.

`label` is the number of the cell in the label image, 0 where only a point is known; `y_px`, `x_px` are its center
(of the first pixel: 0, 0); `color` is that of the class, `#rrggbb`, or "".
"""

import json
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import pandas as pd
from jaxtyping import Int32

from organscope.errors import AnnotationError
from organscope.io.paths import cannot_write, place_below
from organscope.ops.polygons import cell_regions

_CLASSES_FOLDER = "cells"
_CLASS_COLUMNS = {"label": "int64", "class": "str", "color": "str", "y_px": "float64", "x_px": "float64"}


def class_table(
    labels: Int32[np.ndarray, "y x"], names: Mapping[int, str], colors: Mapping[int, str] | None = None
) -> pd.DataFrame:
    """The classes of the cells of a label image.

    Args:
        labels: 0 is background, every other value is one cell.
        names: Class of each cell by its number; a cell without one has the class "".
        colors: Color of each cell's class.

    Returns:
        `CLASS_COLUMNS`, in order of label.
    """
    rows = []
    for number, top, left, mask in cell_regions(labels):
        y, x = np.nonzero(mask)
        center = round(top + float(y.mean()), 2), round(left + float(x.mean()), 2)
        rows.append((number, names.get(number, ""), (colors or {}).get(number, ""), *center))
    return pd.DataFrame(rows, columns=list(_CLASS_COLUMNS)).astype(_CLASS_COLUMNS)


def point_table(points: Sequence[tuple[float, float, str]]) -> pd.DataFrame:
    """The classes of points (y, x, class): cells without an outline."""
    rows = [(0, name, "", y, x) for y, x, name in points]
    return pd.DataFrame(rows, columns=list(_CLASS_COLUMNS)).astype(_CLASS_COLUMNS)


def write_class_table(index_folder: Path, sample_id: str, table: pd.DataFrame) -> Path:
    """Write the classes of a sample's cells into the folder of its index.

    Raises:
        OutputError: The folder is not writable or the disk is full.
    """
    from organscope.io.paths import atomic_path

    path = place_below(index_folder / _CLASSES_FOLDER, sample_id, ".csv")
    try:
        with atomic_path(path) as temporary:
            table.to_csv(temporary, index=False)
    except OSError as error:
        raise cannot_write(path, error) from error
    return path


def read_class_table(path: Path) -> pd.DataFrame:
    """The classes of a sample's cells.

    Raises:
        AnnotationError: The file is gone or damaged.
    """
    try:
        table = pd.read_csv(path, keep_default_na=False, dtype={"class": str, "color": str})
        return table[list(_CLASS_COLUMNS)].astype(_CLASS_COLUMNS)
    except (OSError, ValueError, KeyError) as error:
        raise AnnotationError(f"Cannot read the classes of cells in {path}: {error}. Import the data again.") from error


def count_text(table: pd.DataFrame) -> str:
    """Cells of each class as the index keeps them: JSON, the most frequent class first; "" without classes."""
    counts = Counter(name for name in table["class"] if name)
    return json.dumps(dict(counts.most_common()), ensure_ascii=False) if counts else ""


def parse_counts(text: str) -> dict[str, int]:
    """Cells of each class from the text that `count_text` makes."""
    return json.loads(text) if text else {}
