"""One image from its file to everything the page shows, through the same core as the command line."""

import contextlib
import math
from collections.abc import Callable
from dataclasses import asdict
from itertools import islice
from pathlib import Path
from typing import Any

import pandas as pd
from pyarrow import parquet

from organscope.errors import InputError, UsageError
from organscope.images import Image, open_image
from organscope.jobs import Listener, Models, Plan, Reading, Target, run_plan
from organscope.jobs.decisions import read_predictions
from organscope.jobs.files import CELLS_PARQUET, POLICY, PREDICTIONS, SUMMARY
from organscope.jobs.stored_policy import read_policy
from organscope.jobs.streaming import Streaming
from organscope.jobs.tables import CELL_COLUMNS
from organscope.ops.pixel_size import PixelSize
from organscope.web.packing import write_columns, write_outlines
from organscope.web.pyramid import display_range, needs_pyramid, write_pyramid
from organscope.web.quality import quality_flags
from organscope.web.queue import Job
from organscope.web.result_files import outlines
from organscope.web.settings import Limits

#: Name of the result folder of an image inside its output folder.
STEM = "image"
PYRAMID = "tiles.sqlite3"
COLUMNS = "cells.columns"
OUTLINES = "cells.outlines"
#: A browser draws and sorts so many smoothly; files to take away hold all.
MAX_SHOWN_CELLS = 1_000_000


class AnalysisError(Exception):
    """The image cannot be analysed; the message is for the user."""


def prepare_view(job: Job, out: Path, limits: Limits) -> dict[str, Any]:
    """Make the picture ready to be looked at, before the network begins.

    Returns:
        What the page needs to show it: `pyramid` (the file of its tiles, "" where they are read from the image),
        `shown` (intensities of black and white), `stretched` (whether these are not those of the file), `height_px`,
        `width_px`, `options` (with
        which the file is opened), `selection` and `notes` (what of it is shown), and `quality` (flags with reasons).

    Raises:
        AnalysisError: The image is damaged.
    """
    try:
        with open_image(job.path, max_pixels=limits.image_pixels, **job.options()) as image:
            return _view_of(image, job, out)
    except (InputError, UsageError) as error:
        raise AnalysisError(_for_user(str(error), job)) from error


def _view_of(image: Image, job: Job, out: Path) -> dict[str, Any]:
    out.mkdir(parents=True, exist_ok=True)
    shown, is_stretched = display_range(image)
    pyramid = out / PYRAMID
    if needs_pyramid(image):
        write_pyramid(pyramid, image, shown)
    return {
        "pyramid": str(pyramid) if needs_pyramid(image) else "",
        "shown": list(shown),
        "stretched": is_stretched,
        "height_px": image.height_px,
        "width_px": image.width_px,
        "options": job.options(),
        "selection": asdict(image.selection),
        "notes": list(image.notes),
        "quality": quality_flags(image, shown),
    }


def analyse(job: Job, out: Path, models: Models, limits: Limits, listener: Listener) -> dict[str, Any]:
    """Run the analysis of one image and pack its cells for the page.

    Returns:
        What was found, for the database: see `summarise`.

    Raises:
        AnalysisError: The image cannot be analysed; says why.
    """
    source = Path(job.path)
    plan = Plan(out, (Target(Path(source.name), Path(STEM)),))
    reading = Reading(um_per_px=job.um_per_px, max_pixels=limits.image_pixels, **job.options())
    # Reports then name the image, not the place where this server keeps it.
    with contextlib.chdir(source.parent):
        result = run_plan(plan, models, reading, listener, streaming=Streaming())
    if result.failures:
        raise AnalysisError(_for_user(result.failures[0].message, job))
    table = cells_of(out)
    done = result.images[0]
    write_view(out, table, done.height_px, done.width_px)
    return {**summarise(out, table, models), "notes": list(done.notes)}


def write_view(out: Path, table: pd.DataFrame, height_px: int, width_px: int) -> None:
    """Pack the cells for the page; of more than it can show every second, third and so on.

    Raises:
        OutputError: The folder is not writable or the disk is full.
    """
    step = max(1, math.ceil(len(table) / MAX_SHOWN_CELLS))
    shown = table.iloc[::step]
    write_columns(out / COLUMNS, shown, len(table))
    write_outlines(out / OUTLINES, islice(outlines(out / STEM), 0, None, step), shown, height_px, width_px)


def summarise(out: Path, table: pd.DataFrame, models: Models) -> dict[str, Any]:
    """What the database keeps of a result: the stored answer to decide on again, counts, and who answered."""
    row = read_predictions(out / PREDICTIONS).iloc[0].to_dict()
    whole = pd.read_csv(out / SUMMARY, keep_default_na=True).iloc[0].to_dict()
    kept = (*CELL_COLUMNS, "median_area_px", "median_area_um2", "scale", "seconds")
    counts = table["organ"].value_counts().to_dict() if "organ" in table else {}
    return {
        "probabilities": {name[2:]: float(value) for name, value in row.items() if name.startswith("p_")},
        "distance": float(row["distance"]),
        "doubt": str(row["doubt"]),
        "policy": read_policy(out / POLICY).bundle_sha256,
        "um_per_px": _pixel_size(whole),
        "n_cells": len(table),
        "cell_organs": {str(organ): int(count) for organ, count in counts.items()},
        "bundles": [{"name": b.manifest.name, "version": b.manifest.version} for b in models.loaded()],
        **{name: _plain(whole.get(name)) for name in kept},
    }


def cells_of(out: Path) -> pd.DataFrame:
    """The table of cells of a result, as the analysis wrote it."""
    return parquet.read_table(out / STEM / CELLS_PARQUET).to_pandas()


class Progress(Listener):
    """Passes on how far the image is."""

    def __init__(self, advance: Callable[[float], None]) -> None:
        self._advance = advance

    def image_advanced(self, fraction: float) -> None:
        """A part of the image is done."""
        self._advance(fraction)


def _plain(value: Any) -> Any:
    """A number or text as JSON has it; what is missing is None."""
    if value is None or (isinstance(value, float) and not math.isfinite(value)):
        return None
    return value.item() if hasattr(value, "item") else value


def _pixel_size(row: dict[str, Any]) -> PixelSize | None:
    height, width = (_plain(row.get(f"um_per_px_{axis}")) for axis in "yx")
    return None if height is None or width is None else (height, width)


def _for_user(message: str, job: Job) -> str:
    """The sentence with the name that the user gave, not the place of the file."""
    return message.replace(job.path, job.name).replace(Path(job.path).name, job.name)
