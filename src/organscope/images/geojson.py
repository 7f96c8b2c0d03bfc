"""Cells as GeoJSON for QuPath: one polygon a cell with its measurements."""

import json
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from jaxtyping import Num

from organscope.errors import ShapeError
from organscope.images.atomic import atomic_path

if TYPE_CHECKING:
    import pandas as pd

#: Columns that are no measurement but name the cell or its class.
ID_COLUMN, CLASS_COLUMN = "id", "organ"

#: What stands before the first feature of a file, between two, and after the last.
HEAD, SEPARATOR, TAIL = '{"type":"FeatureCollection","features":[\n', ",\n", "\n]}\n"


def write_geojson(path: str | Path, outlines: Sequence[Num[np.ndarray, "n 2"]], table: "pd.DataFrame") -> None:
    """Write a QuPath FeatureCollection, feature by feature, so that memory does not grow with the cells.

    Every feature has objectType `detection`, the cell's `id` as name, the numeric columns of the table as
    measurements (9 significant digits; missing values are left out) and, where the table has a column
    `organ`, that as classification.

    Args:
        path: The file; its folder exists.
        outlines: One ring a cell, x and y in level-0 pixels; closed here where it is open.
        table: One row a cell, in the order of the outlines, with a column `id`.

    Raises:
        ShapeError: The numbers of outlines and rows differ.
        OutputError: The folder is not writable or the disk is full.
    """
    if len(outlines) != len(table):
        raise ShapeError(f"Expected one row a cell for {path}, found {len(outlines)} outlines and {len(table)} rows.")
    with atomic_path(path) as temporary, temporary.open("w", encoding="utf-8", newline="\n") as file:
        file.write(HEAD)
        separator = ""
        for feature in geojson_features(outlines, table):
            file.write(separator + feature)
            separator = SEPARATOR
        file.write(TAIL)


def geojson_features(outlines: Sequence[Num[np.ndarray, "n 2"]], table: "pd.DataFrame") -> Iterator[str]:
    """The features of `write_geojson`, one text a cell."""
    for ring, properties in zip(outlines, _properties(table), strict=True):
        geometry = f'{{"type":"Polygon","coordinates":[{_closed_ring(ring)}]}}'
        yield f'{{"type":"Feature","geometry":{geometry},"properties":{properties}}}'


def _closed_ring(ring: Num[np.ndarray, "n 2"]) -> str:
    points = ring.tolist()
    if points[0] != points[-1]:
        points.append(points[0])
    # The text of a list of numbers is JSON, and much faster than an encoder.
    return str(points).replace(" ", "")


def _properties(table: "pd.DataFrame") -> Iterator[str]:
    """The properties of every cell as JSON."""
    numeric = [name for name in table.select_dtypes(["number", "bool"]).columns if name != ID_COLUMN]
    names = [f"{json.dumps(name)}:" for name in numeric]
    columns = [_numbers(table[name]) for name in numeric]
    measured = zip(*columns, strict=True) if columns else iter([()] * len(table))
    classes: Iterable[str] = table[CLASS_COLUMN] if CLASS_COLUMN in table else [""] * len(table)
    for cell, organ, values in zip(table[ID_COLUMN], classes, measured, strict=True):
        pairs = ",".join(name + value for name, value in zip(names, values, strict=True) if value)
        classification = f'"classification":{{"name":{json.dumps(organ)}}},' if organ else ""
        yield (f'{{"objectType":"detection","name":"{cell}",{classification}"measurements":{{{pairs}}}}}')


def _numbers(column: "pd.Series") -> Iterator[str]:
    """Values as JSON numbers, "" where missing or infinite (JSON has no word for these)."""
    values = column.to_numpy(dtype=np.float64, na_value=np.nan)
    return (
        f"{value:.9g}" if known else ""
        for value, known in zip(values.tolist(), np.isfinite(values).tolist(), strict=True)
    )
