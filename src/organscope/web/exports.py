"""Files to take away, with the experts' corrections applied; each is made when it is asked for."""

import json
import shutil
from collections.abc import Callable
from itertools import chain
from pathlib import Path

import numpy as np
import pandas as pd
import tifffile
from jaxtyping import Int32

from organscope.images import atomic_path, open_image, write_cells
from organscope.images.cells import CSV_NAME, PARQUET_NAME
from organscope.images.geojson import HEAD, SEPARATOR, TAIL, geojson_features
from organscope.images.label_pyramid import write_label_pyramid
from organscope.jobs.files import SLIDE_LABELS
from organscope.ops.pixel_size import PixelSize
from organscope.web.analysis import STEM, cells_of
from organscope.web.corrections import Corrected, corrected_cells
from organscope.web.result_files import features, is_slide, label_shape, label_strips, labels_of

TILE_PX = 256
CSV, PARQUET, GEOJSON, OME_TIFF = "cells.csv", "cells.parquet", "cells.geojson", "labels.ome.tif"
MEDIA_TYPES = {
    CSV: "text/csv; charset=utf-8",
    PARQUET: "application/vnd.apache.parquet",
    GEOJSON: "application/geo+json",
    OME_TIFF: "image/tiff",
}


def write_export(kind: str, folder: Path, out: Path, found: Corrected, um_per_px: PixelSize | None, name: str) -> Path:
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
        OME_TIFF: lambda: write_labels_of(folder / OME_TIFF, out, found, um_per_px, name),
    }
    return writers[kind]()


def write_labels_of(
    path: Path, out: Path, found: Corrected, um_per_px: PixelSize | None, name: str, *, ignores: bool = False
) -> Path:
    """Write the corrected labels of a result as OME-TIFF; those of a slide in flat memory, with smaller levels.

    With `ignores` cells whose outline is wrong are ignored regions; see `organscope.images.labels`.

    Raises:
        OutputError: The disk is full.
    """
    results = out / STEM
    if not is_slide(results):
        return write_ome_labels(path, labels_of(results, found, ignores=ignores), um_per_px, name)
    with open_image(results / SLIDE_LABELS) as written:
        is_same = written.um_per_px == um_per_px
    if found.replaced or (ignores and found.marked) or not is_same:
        write_label_pyramid(path, label_strips(results, found, ignores=ignores), label_shape(results), um_per_px)
    else:
        shutil.copyfile(results / SLIDE_LABELS, path)
    return path


def write_ome_labels(path: Path, labels: Int32[np.ndarray, "y x"], um_per_px: PixelSize | None, name: str) -> Path:
    """Write a label image as tiled, deflated OME-TIFF, with the pixel size where it is known.

    Raises:
        OutputError: The disk is full.
    """
    metadata = {"axes": "YX", "Name": name}
    if um_per_px is not None:
        metadata |= {
            "PhysicalSizeX": um_per_px[1],
            "PhysicalSizeXUnit": "µm",
            "PhysicalSizeY": um_per_px[0],
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
    """The features of the analysis without deleted cells, then those that were drawn or changed.

    Those with a wrong outline say so in their measurements.
    """
    table = cells_of(out)
    shapes = sorted(found.shapes.items())
    edited = corrected_cells(table, found).query("id in @found.shapes") if shapes else table[:0]
    separator = ""
    with atomic_path(path) as temporary, temporary.open("w", encoding="utf-8", newline="\n") as file:
        file.write(HEAD)
        known = zip(table["id"].tolist(), features(out / STEM), strict=True)
        drawn = zip(edited["id"].tolist(), geojson_features([shape.ring() for _, shape in shapes], edited), strict=True)
        for cell, feature in chain(((cell, text) for cell, text in known if cell not in found.replaced), drawn):
            file.write(separator + (_marked(feature) if cell in found.marked else feature))
            separator = SEPARATOR
        file.write(TAIL)
    return path


def _marked(feature: str) -> str:
    known = json.loads(feature)
    known["properties"]["measurements"]["marked"] = 1
    return json.dumps(known, separators=(",", ":"), ensure_ascii=False)
