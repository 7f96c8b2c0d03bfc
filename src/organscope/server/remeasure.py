"""Another pixel size for a result that is there: the measures follow, the cells stay as they were found."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from organscope.errors import InputError
from organscope.io import open_image, write_cells, write_labels
from organscope.io.geojson import geojson_features, write_geojson
from organscope.io.pixel_size import judge_pixel_size
from organscope.io.tables import write_cell_table, write_geojson_parts
from organscope.ops.pixel_size import PixelSize, is_square, pixel_area_um2, side_um
from organscope.ops.polygons import cell_polygons
from organscope.ops.regionprops import MEASURES_IN_UM, measure_cells
from organscope.pipeline.plan import CELLS_GEOJSON, CELLS_PARQUET, LABELS, SLIDE_GEOJSON
from organscope.server.analysis import STEM, cells_of, write_view
from organscope.server.corrections import Corrected
from organscope.server.errors import RefusalError
from organscope.server.results import is_slide, labels_of, polygons

_SIZE_WORDS = ("pixel size", "Pixels are not square")
"""Every note on the pixel size has one of them."""


@dataclass(frozen=True)
class _KnownSize:
    """The pixel size of one image, and what is to be said of it."""

    um_per_px: PixelSize | None
    notes: tuple[str, ...]


def size_of(row: dict[str, Any], out: Path, given: PixelSize | None) -> _KnownSize:
    """The pixel size that holds for an image that was analyzed: the given one, else that of its file.

    Args:
        row: Of the database.
        out: Its result folder.
        given: By a person for the study.

    Raises:
        RefusalError: 409, where the file is gone, or pixels of a slide are not square: its shapes are measured region
            by region, by an analysis.
    """
    try:
        with open_image(row["path"], um_per_px=given) as image:
            stated, notes = image.um_per_px, image.notes
    except InputError as error:
        raise RefusalError(409, str(error).replace(row["path"], row["name"])) from error
    areas_px = cells_of(out)["area_px"].to_numpy()
    size, doubts = judge_pixel_size(stated, areas_px, is_given=given is not None)
    known = [side for side in (row["um_per_px"], size) if side is not None]
    if is_slide(out / STEM) and not all(is_square(side) for side in known):
        raise RefusalError(
            409,
            f"Expected square pixels of the slide {row['name']}, whose shapes were measured region by region. Add it "
            "to a new study with this pixel size.",
        )
    return _KnownSize(size, (*(note for note in notes if _is_on_size(note)), *doubts))


def remeasure(row: dict[str, Any], out: Path, size: _KnownSize) -> dict[str, Any]:
    """Bring the files of a result to another pixel size.

    Args:
        row: Of the image in the database; its results are there.
        out: Its result folder.
        size: From `size_of`.

    Returns:
        The summary for the database.

    Raises:
        OutputError: The disk is full.
    """
    um_per_px, summary = size.um_per_px, row["summary"]
    write = _write_slide if is_slide(out / STEM) else _write_whole
    table = write(out / STEM, cells_of(out), um_per_px)
    write_view(out, table, row["height_px"], row["width_px"])
    median_px = summary["median_area_px"]
    known = um_per_px is not None and median_px is not None
    return summary | {
        "um_per_px": um_per_px,
        "median_area_um2": median_px * pixel_area_um2(um_per_px) if known else None,
        "notes": [*(note for note in summary.get("notes") or () if not _is_on_size(note)), *size.notes],
    }


def _is_on_size(note: str) -> bool:
    return any(words in note for words in _SIZE_WORDS)


def _write_whole(results: Path, table: pd.DataFrame, um_per_px: PixelSize | None) -> pd.DataFrame:
    labels = labels_of(results, Corrected())
    # Shapes are asked for, not intensities, so that the image need not be read again.
    measured = measure_cells(labels, np.empty((*labels.shape, 0), np.uint8), um_per_px)
    table = _with_measures(table, {name: measured[name] for name in _SHAPES if name in measured})
    write_labels(results / LABELS, labels, um_per_px)
    write_cells(results, table)
    write_geojson(results / CELLS_GEOJSON, cell_polygons(labels), table, results.name)
    return table


def _write_slide(results: Path, table: pd.DataFrame, um_per_px: PixelSize | None) -> pd.DataFrame:
    cells = list(polygons(results))
    table = _with_measures(table, _of_square_pixels(table, um_per_px))
    write_cell_table(results / CELLS_PARQUET, [table], table.iloc[:0])
    for old in [path for path in results.iterdir() if SLIDE_GEOJSON.fullmatch(path.name)]:
        old.unlink()
    # One cell each, so that parts stay as small as those of an analysis.
    write_geojson_parts(results, ((1, feature) for feature in geojson_features(cells, table, results.name)))
    return table


_SHAPES = ("eccentricity", *MEASURES_IN_UM)


def _with_measures(table: pd.DataFrame, columns: dict[str, np.ndarray]) -> pd.DataFrame:
    """The table with new columns in micrometers, at its end, in place of those that it has."""
    return table.drop(columns=[name for name in MEASURES_IN_UM if name in table]).assign(**columns)


def _of_square_pixels(table: pd.DataFrame, um_per_px: PixelSize | None) -> dict[str, np.ndarray]:
    if um_per_px is None:
        return {}
    side = side_um(um_per_px)
    return {
        "area_um2": table["area_px"].to_numpy() * pixel_area_um2(um_per_px),
        "perimeter_um": table["perimeter_px"].to_numpy() * side,
        "centroid_y_um": table["centroid_y_px"].to_numpy() * side,
        "centroid_x_um": table["centroid_x_px"].to_numpy() * side,
    }
