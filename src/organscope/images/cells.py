"""The table of cells, one row a cell, as CSV for people and Parquet for programs."""

import csv
import io
from pathlib import Path
from typing import TYPE_CHECKING

from organscope.images.atomic import atomic_path

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
