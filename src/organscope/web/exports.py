"""Files to take away, with the experts' corrections applied; each is made when it is asked for."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import tifffile
from jaxtyping import Int32

from organscope.images import atomic_path, read_labels, write_cells, write_geojson
from organscope.images.cells import CSV_NAME, PARQUET_NAME
from organscope.jobs.files import LABELS
from organscope.ops.measure import cell_outlines
from organscope.web.analysis import STEM, cells_of
from organscope.web.corrections import Corrected, corrected_cells, corrected_labels

TILE_PX = 256
CSV, PARQUET, GEOJSON, OME_TIFF = "cells.csv", "cells.parquet", "cells.geojson", "labels.ome.tif"
MEDIA_TYPES = {
    CSV: "text/csv; charset=utf-8",
    PARQUET: "application/vnd.apache.parquet",
    GEOJSON: "application/geo+json",
    OME_TIFF: "image/tiff",
}


def write_export(kind: str, folder: Path, out: Path, found: Corrected, um_per_px: float | None, name: str) -> Path:
    """Write one file for an image.

    Args:
        kind: A key of `MEDIA_TYPES`.
        folder: Empty; the file is written there.
        out: The result folder of the image.
        found: What experts say of it.
        um_per_px: Pixel size, None where unknown.
        name: Of the image, for the OME metadata.

    Raises:
        OutputError: The disk is full.
    """
    writers: dict[str, Callable[[], Path]] = {
        CSV: lambda: _write_tables(folder, _cells(out, found)) / CSV_NAME,
        PARQUET: lambda: _write_tables(folder, _cells(out, found)) / PARQUET_NAME,
        GEOJSON: lambda: _write_geojson(folder / GEOJSON, out, found),
        OME_TIFF: lambda: write_ome_labels(folder / OME_TIFF, labels_of(out, found), um_per_px, name),
    }
    return writers[kind]()


def labels_of(out: Path, found: Corrected) -> Int32[np.ndarray, "y x"]:
    """The label image of a result, without the cells that experts deleted."""
    return corrected_labels(read_labels(out / STEM / LABELS), found)


def write_ome_labels(path: Path, labels: Int32[np.ndarray, "y x"], um_per_px: float | None, name: str) -> Path:
    """Write a label image as tiled, deflated OME-TIFF, with the pixel size where it is known.

    Raises:
        OutputError: The disk is full.
    """
    metadata = {"axes": "YX", "Name": name}
    if um_per_px is not None:
        metadata |= {
            "PhysicalSizeX": um_per_px,
            "PhysicalSizeXUnit": "µm",
            "PhysicalSizeY": um_per_px,
            "PhysicalSizeYUnit": "µm",
        }
    with atomic_path(path) as temporary:
        tifffile.imwrite(
            temporary, labels, ome=True, metadata=metadata, tile=(TILE_PX, TILE_PX), compression="zlib",
            photometric="minisblack",
        )  # fmt: skip
    return path


def _cells(out: Path, found: Corrected) -> pd.DataFrame:
    return corrected_cells(cells_of(out), found)


def _write_tables(folder: Path, table: pd.DataFrame) -> Path:
    write_cells(folder, table)
    return folder


def _write_geojson(path: Path, out: Path, found: Corrected) -> Path:
    table = _cells(out, found)
    write_geojson(path, cell_outlines(labels_of(out, found)), table)
    return path
