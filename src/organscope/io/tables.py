"""The table of cells, one row a cell, as CSV for people and Parquet for programs.

Tables and outlines of any number of cells, written as they come: Parquet, and gzipped GeoJSON in parts.
"""

import csv
import gzip
import io
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from organscope.io.geojson import HEAD, SEPARATOR, collection_end
from organscope.io.paths import atomic_path

if TYPE_CHECKING:
    import pandas as pd


CSV_NAME = "cells.csv"
PARQUET_NAME = "cells.parquet"


def write_cells(folder: str | Path, table: "pd.DataFrame") -> None:
    """Write `cells.csv` and `cells.parquet`: the same rows and columns, floats in full precision.

    In the CSV a missing number is an empty field and a truth value is `true` or `false`.

    Args:
        folder: Exists.
        table: One row a cell.

    Raises:
        OutputError: The folder is not writable or the disk is full.
    """
    import pyarrow
    from pyarrow import csv as arrow_csv
    from pyarrow import parquet

    rows = pyarrow.Table.from_pandas(table, preserve_index=False)
    header = io.StringIO()
    csv.writer(header, lineterminator="\n").writerow(rows.column_names)
    # Arrow writes a million rows in seconds, but would quote every column name.
    options = arrow_csv.WriteOptions(include_header=False)
    with atomic_path(Path(folder) / CSV_NAME) as path, path.open("wb") as file:
        file.write(header.getvalue().encode())
        arrow_csv.write_csv(rows, file, options)
    with atomic_path(Path(folder) / PARQUET_NAME) as path:
        parquet.write_table(rows, path, compression="zstd")


_GEOJSON_PART = "cells-{:04d}.geojson.gz"
_CELLS_PER_PART = 100_000
"""A part is about as large as QuPath opens in a few seconds."""

_ROWS_PER_GROUP = 100_000
_LEVEL = 1
"""Of gzip: more effort makes a part a third smaller and takes four times as long."""


def write_cell_table(path: Path, tables: "Iterable[pd.DataFrame]", example: "pd.DataFrame") -> None:
    """Write tables one below the other as one Parquet file.

    Args:
        path: The file; its folder exists.
        tables: All with the columns of the example.
        example: Says the columns and their types; may be without rows.
    """
    import pyarrow
    from pyarrow import parquet

    fields = [
        pyarrow.field(name, pyarrow.string() if kind.kind == "O" else pyarrow.from_numpy_dtype(kind))
        for name, kind in example.dtypes.items()
    ]
    schema = pyarrow.schema(fields)
    with parquet.ParquetWriter(path, schema, compression="zstd") as writer:
        held, n_rows = [], 0
        for table in tables:
            held.append(pyarrow.Table.from_pandas(table, schema=schema, preserve_index=False).replace_schema_metadata())
            n_rows += len(table)
            if n_rows >= _ROWS_PER_GROUP:
                writer.write_table(pyarrow.concat_tables(held), row_group_size=n_rows)
                held, n_rows = [], 0
        if held:
            writer.write_table(pyarrow.concat_tables(held), row_group_size=max(1, n_rows))


def write_geojson_parts(
    folder: Path, features: Iterable[tuple[int, str]], about: Mapping[str, Any] | None = None
) -> list[Path]:
    """Write features as `cells-0001.geojson.gz` and so on, each a whole FeatureCollection; at least one.

    The same features give the same bytes.

    Args:
        folder: Exists.
        features: How many cells, and their features with what stands between them; runs of any length.
        about: Members of each collection itself, such as `cells_trust`.
    """
    written: list[Path] = []
    for run in _runs(features):
        written.append(folder / _GEOJSON_PART.format(len(written) + 1))
        with written[-1].open("wb") as raw, gzip.GzipFile("", "wb", _LEVEL, raw, mtime=0) as file:
            file.write(HEAD.encode())
            separator = b""
            for text in run:
                file.write(separator + text.encode())
                separator = SEPARATOR.encode()
            file.write(collection_end(about).encode())
    return written


def _runs(features: Iterable[tuple[int, str]]) -> Iterator[Iterable[str]]:
    """The texts of one file after the other; each must be used up before the next is asked for."""
    found = ((n_cells, text) for n_cells, text in features if n_cells)
    following = next(found, None)

    def run() -> Iterator[str]:
        nonlocal following
        n_cells = 0
        while following is not None and n_cells < _CELLS_PER_PART:
            n_cells += following[0]
            yield following[1]
            following = next(found, None)

    yield run()
    while following is not None:
        yield run()
