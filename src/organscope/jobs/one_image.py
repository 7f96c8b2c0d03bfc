"""One image through the bundles, from its file to its results on disk."""

import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
from jaxtyping import Num

from organscope.images import Image, open_image, write_labels
from organscope.images.cells import write_cells
from organscope.images.geojson import write_geojson
from organscope.images.source import DEFAULT_MAX_PIXELS
from organscope.jobs.files import CELLS_GEOJSON, LABELS, OVERLAY, result_folder
from organscope.jobs.held import hold_image
from organscope.jobs.models import Models
from organscope.jobs.plan import Target
from organscope.jobs.result import ImageResult
from organscope.ops.measure import cell_outlines, measure_cells
from organscope.predict import Segmentation, classify_image, segment_image
from organscope.report.overlay import draw_overlay, write_overlay


@dataclass(frozen=True)
class Reading:
    """How every image of a run is opened; see `organscope.images.open_image`."""

    um_per_px: float | None = None
    channel: int | None = None
    max_pixels: int = DEFAULT_MAX_PIXELS


def work_on_image(
    target: Target,
    out: Path,
    models: Models,
    reading: Reading,
    advance: Callable[[float], None] | None = None,
) -> ImageResult:
    """Open one image, apply the bundles and write the results that belong to it alone.

    Args:
        target: The image and its place below `out`.
        out: The output folder.
        models: A bundle for each answer that is wanted.
        reading: How to open the image.
        advance: Told the fraction of the work that is done.

    Raises:
        InputError: The image cannot be used.
        OutputError: The results cannot be written; nothing of them is there.
    """
    started = time.perf_counter()
    areas_px = classification = None
    options = {"um_per_px": reading.um_per_px, "channel": reading.channel, "max_pixels": reading.max_pixels}
    with open_image(target.source, **options) as opened:
        image = opened if models.cells is None else hold_image(opened)
        if models.organs is not None:
            classification = classify_image(image, models.organs)
        if models.cells is not None:
            segmentation = segment_image(image, models.cells, progress=advance)
            areas_px = write_cell_results(out / target.stem, image, segmentation)
    return ImageResult(
        target=target,
        height_px=image.height_px,
        width_px=image.width_px,
        um_per_px=image.um_per_px,
        seconds=time.perf_counter() - started,
        areas_px=areas_px,
        classification=classification,
    )


def write_cell_results(folder: Path, image: Image, segmentation: Segmentation) -> np.ndarray:
    """Write labels, tables, outlines and the overlay of one image together; the areas of its cells in px.

    Raises:
        OutputError: They cannot be written; nothing of them is there.
    """
    pixels = image.read_whole()
    labels = segmentation.labels
    table = cell_table(pixels, segmentation, image.um_per_px)
    outlines = cell_outlines(labels)
    picture = draw_overlay(pixels, labels, image.value_range)
    with result_folder(folder) as partial:
        write_labels(partial / LABELS, labels, image.um_per_px)
        write_cells(partial, table)
        write_geojson(partial / CELLS_GEOJSON, outlines, table)
        write_overlay(partial / OVERLAY, picture)
    return table["area_px"].to_numpy()


def cell_table(pixels: Num[np.ndarray, "y x c"], segmentation: Segmentation, um_per_px: float | None) -> pd.DataFrame:
    """One row a cell: what was measured, and the probability that the network gave it."""
    table = pd.DataFrame(measure_cells(segmentation.labels, pixels, um_per_px))
    table.insert(table.columns.get_loc("touches_border"), "probability", segmentation.probability)
    return table
