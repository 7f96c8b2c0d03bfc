"""Cells in regions of interest: how many, how dense, and their table.

Regions are annotations that QuPath exports as GeoJSON, in pixels of the image, or the tissue that is found on a slide.
A cell belongs to a region if its center lies in it. All cells are found and stay in `cells.*`; those in a region are
also in `roi_cells.csv` and `.parquet`, with its name, and `rois.csv` of the run has one row a region.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pandas as pd
import shapely
from jaxtyping import Bool

from organscope.errors import AnnotationError, OrganscopeError, UsageError
from organscope.inference.tissue import tissue_outlines
from organscope.io import Image, atomic_path
from organscope.io.geojson import Region, read_regions, write_regions
from organscope.ops.pixel_size import PixelSize, pixel_area_um2
from organscope.pipeline.image import ReadOptions
from organscope.pipeline.outputs import write_table
from organscope.pipeline.plan import CELLS_PARQUET, ROI_CELLS_CSV, ROI_CELLS_PARQUET, ROIS, TISSUE
from organscope.pipeline.results import Failure, ImageResult, RunResult

TISSUE_WORD = "tissue"
"""In place of a file: the tissue on the slide."""

_SUFFIXES = (".geojson", ".json", ".geojson.gz")
_COLUMNS = (
    "image", "region", "class", "area_px", "area_mm2", "n_cells", "density_per_mm2", "median_area_px",
    "median_area_um2",
)  # fmt: skip


def require_rois(given: str, n_images: int) -> str | Path:
    """`tissue`, or the file or folder with regions.

    Raises:
        UsageError: There is nothing, or a single file for several images.
    """
    if given == TISSUE_WORD:
        return given
    place = Path(given)
    if not place.exists():
        raise UsageError(f"Expected GeoJSON with regions of interest, found nothing at {place}. Check the name.")
    if place.is_file() and n_images > 1:
        raise UsageError(
            f"Expected a folder with the regions of {n_images} images, found the single file {place}. Name its "
            "files as the images."
        )
    return place


def write_rois(result: RunResult, reading: ReadOptions, place: str | Path) -> RunResult:
    """Write `roi_cells.*` beside the results of every image, and `rois.csv` of the run.

    Args:
        result: Of a run that found cells.
        reading: How its images were opened.
        place: From `require_rois`.

    Returns:
        The result with the file, and with a failure for each image whose regions cannot be used.
    """
    rows, failures = [], []
    for image in result.images:
        if image.n_cells is None:
            continue
        folder = result.out / image.target.stem
        try:
            if place == TISSUE_WORD:
                with reading.open(image.target.source) as opened:
                    regions = find_tissue(opened)
                write_regions(folder / TISSUE, regions, image.target.stem.name)
            else:
                regions = read_regions(_regions_file(Path(place), image.target.stem))
            rows += _count(folder, image, regions)
        except OrganscopeError as error:
            failures.append(Failure(str(image.target.source), str(error)))
    path = result.out / ROIS
    try:
        write_table(path, pd.DataFrame(rows, columns=list(_COLUMNS)))
    except OrganscopeError as error:
        failures.append(Failure(str(path), str(error)))
        return replace(result, failures=(*result.failures, *failures))
    return replace(result, files=(*result.files, path), failures=(*result.failures, *failures))


def find_tissue(image: Image) -> list[Region]:
    """The pieces of tissue on a slide as regions, the largest first; none on empty glass.

    Raises:
        InputError: The image is damaged, or has no colors.
    """
    return [Region(f"tissue {n}", "Tissue", outline) for n, outline in enumerate(tissue_outlines(image), start=1)]


@dataclass(frozen=True)
class RegionCount:
    """The cells of one region.

    Attributes:
        area_px: Of the part of the region that lies in the image.
        area_mm2: The same where the pixel size is known.
        density_per_mm2: Of cells.
        inside: Which cells have their center in the region.
    """

    area_px: float
    area_mm2: float | None
    density_per_mm2: float | None
    inside: Bool[np.ndarray, " n"]


def count_cells(
    geometry: shapely.Geometry, table: pd.DataFrame, size_px: tuple[int, int], um_per_px: PixelSize | None
) -> RegionCount:
    """Count the cells of a region.

    Args:
        geometry: A valid polygon or several, x and y in pixels of the image.
        table: One row a cell.
        size_px: Height and width of the image.
        um_per_px: Pixel size, None where unknown.
    """
    # The center of the first pixel is at 0 in the table, at half a pixel in outlines.
    x, y = table["centroid_x_px"].to_numpy(float) + 0.5, table["centroid_y_px"].to_numpy(float) + 0.5
    part = shapely.intersection(geometry, shapely.box(0, 0, size_px[1], size_px[0]))
    shapely.prepare(part)
    inside = shapely.contains_xy(part, x, y) if len(table) else np.zeros(0, bool)
    if um_per_px is None or not part.area:
        return RegionCount(part.area, None, None, inside)
    area_mm2 = part.area * pixel_area_um2(um_per_px) / 1e6
    return RegionCount(part.area, area_mm2, float(inside.sum() / area_mm2), inside)


def _count(folder: Path, image: ImageResult, regions: Sequence[Region]) -> list[dict[str, object]]:
    table = pd.read_parquet(folder / CELLS_PARQUET)
    parts, rows = [table[:0].assign(region=np.zeros(0, object))], []
    for region in regions:
        count = count_cells(region.geometry, table, (image.height_px, image.width_px), image.um_per_px)
        if count.area_px == 0:
            raise AnnotationError(
                f"Expected regions in pixels of {image.target.source} ({image.height_px} x {image.width_px} px), found "
                f"'{region.name}' outside of it. Export them at full resolution."
            )
        inside = table[count.inside]
        parts.append(inside.assign(region=region.name))
        rows.append(_row(image, region, count, inside))
    found = pd.concat([part for part in parts if len(part)] or parts, ignore_index=True)
    write_table(folder / ROI_CELLS_CSV, found)
    with atomic_path(folder / ROI_CELLS_PARQUET) as temporary:
        found.to_parquet(temporary, index=False)
    return rows


def _row(image: ImageResult, region: Region, count: RegionCount, inside: pd.DataFrame) -> dict[str, object]:
    row: dict[str, object] = {
        "image": str(image.target.source),
        "region": region.name,
        "class": region.class_name,
        "area_px": count.area_px,
        "n_cells": len(inside),
        "median_area_px": inside["area_px"].median(),
    }
    if image.um_per_px is None:
        return row
    of_cells = row["median_area_px"] * pixel_area_um2(image.um_per_px)
    return row | {
        "area_mm2": count.area_mm2, "density_per_mm2": count.density_per_mm2, "median_area_um2": of_cells,
    }  # fmt: skip


def _regions_file(place: Path, stem: Path) -> Path:
    if place.is_file():
        return place
    found = [path for path in (place / f"{stem}{suffix}" for suffix in _SUFFIXES) if path.is_file()]
    if not found:
        raise AnnotationError(f"Expected regions of {stem} in {place}, found none. Name the file {stem}.geojson.")
    return found[0]
