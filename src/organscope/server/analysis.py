"""One image from its file to everything the page shows, through the same core as the command line.

What an expert should know of an image before trusting what was found in it.
"""

import contextlib
import math
from collections.abc import Callable
from dataclasses import asdict
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from jaxtyping import Float32
from pyarrow import parquet
from scipy.ndimage import gaussian_filter

from organscope.errors import InputError, UsageError
from organscope.inference import Sizing
from organscope.io import Image, open_image
from organscope.ops.intensity import scale_intensity, to_rgb
from organscope.ops.pixel_size import PixelSize
from organscope.pipeline import Listener, Models, Plan, ReadOptions, Target, run_plan
from organscope.pipeline.memory import Streaming
from organscope.pipeline.outputs import CELL_COLUMNS
from organscope.pipeline.plan import CELLS_PARQUET, POLICY, PREDICTIONS, SUMMARY
from organscope.pipeline.progress import SlidePlan
from organscope.pipeline.redecide import read_predictions
from organscope.pipeline.results import read_policy
from organscope.server.queue import Job
from organscope.server.results import outlines, write_columns, write_outlines
from organscope.server.settings import Limits
from organscope.server.tiles import display_range, needs_pyramid, write_pyramid
from organscope.server.wording import for_page

_VIEW_PX = 1024
#: Below this spread of gray, of 1, there is hardly anything to see; tissue has 0.1 and more.
_BLANK_SPREAD = 0.02
#: Sharp tissue and cells keep up to 0.76 of their change from pixel to pixel when they are blurred once more, images
#: out of focus by 2.5 px 0.79 and more (40 of NuInsSeg, 30 of DSB2018).
_MAX_KEPT_CHANGE = 0.78
_AGAIN_PX = 2.0
_MIN_SIDE_PX = 16


def quality_flags(image: Image, shown: tuple[float, float]) -> list[dict[str, str]]:
    """Blank and blurred images, each with a sentence; none where nothing is wrong.

    Sharpness is judged at full resolution in the middle: how much of the change between neighboring pixels is left
    when the image is blurred once more (Crete et al., The blur effect, SPIE 2007). Exposure and stain do not count.
    """
    if min(image.height_px, image.width_px) < _MIN_SIDE_PX:
        return [{"flag": "tiny", "reason": f"only {image.height_px} x {image.width_px} px"}]
    gray = _middle(image, shown)
    # Few nuclei on a dark ground may all lie outside of the middle.
    if float(gray.std()) < _BLANK_SPREAD and float(_glance(image, shown).std()) < _BLANK_SPREAD:
        return [{"flag": "blank", "reason": "nearly blank: there is too little contrast to see tissue"}]
    if _change(gaussian_filter(gray, _AGAIN_PX)) > _MAX_KEPT_CHANGE * _change(gray):
        return [{"flag": "blur", "reason": "out of focus: blurring it once more changes little"}]
    return []


def _glance(image: Image, shown: tuple[float, float]) -> Float32[np.ndarray, "y x"]:
    return scale_intensity(to_rgb(image.displayed(image.thumbnail(_VIEW_PX))), *shown).mean(axis=2)


def _change(gray: Float32[np.ndarray, "y x"]) -> float:
    return float(np.abs(np.diff(gray, axis=0)).mean() + np.abs(np.diff(gray, axis=1)).mean())


def _middle(image: Image, shown: tuple[float, float]) -> Float32[np.ndarray, "y x"]:
    height, width = min(_VIEW_PX, image.height_px), min(_VIEW_PX, image.width_px)
    pixels = image.read((image.height_px - height) // 2, (image.width_px - width) // 2, height, width)
    return scale_intensity(to_rgb(image.displayed(pixels)), *shown).mean(axis=2)


#: Name of the result folder of an image inside its output folder.
STEM = "image"
_PYRAMID = "tiles.sqlite3"
COLUMNS = "cells.columns"
OUTLINES = "cells.outlines"
#: A browser draws and sorts so many smoothly; files to take away hold all.
_MAX_SHOWN_CELLS = 1_000_000


class AnalysisError(Exception):
    """The image cannot be analyzed; the message is for the user."""


def prepare_view(job: Job, out: Path, limits: Limits) -> dict[str, Any]:
    """Make the image ready to be looked at, before the network begins.

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
    pyramid = out / _PYRAMID
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


def analyze(job: Job, out: Path, models: Models, limits: Limits, listener: Listener) -> dict[str, Any]:
    """Run the analysis of one image and pack its cells for the page.

    Returns:
        What was found, for the database: see `summarise`.

    Raises:
        AnalysisError: The image cannot be analyzed; says why.
    """
    source = Path(job.path)
    plan = Plan(out, (Target(Path(source.name), Path(STEM)),))
    sizing, measures = Sizing(diameter_px=job.analysis.get("diameter_px")), tuple(job.analysis.get("measures", ()))
    asked = {"sizing": sizing, "measures": measures, **job.options()}
    reading = ReadOptions(um_per_px=job.um_per_px, max_pixels=limits.image_pixels, **asked)
    # Reports then name the image, not the place where this server keeps it.
    with contextlib.chdir(source.parent):
        result = run_plan(plan, models, reading, listener, streaming=Streaming())
    if result.failures:
        raise AnalysisError(_for_user(result.failures[0].message, job))
    table = cells_of(out)
    done = result.images[0]
    write_view(out, table, done.height_px, done.width_px)
    return {**_summarize(out, table, models), "notes": list(done.notes)}


def write_view(out: Path, table: pd.DataFrame, height_px: int, width_px: int) -> None:
    """Pack the cells for the page; of more than it can show every second, third and so on.

    Raises:
        OutputError: The folder is not writable or the disk is full.
    """
    step = max(1, math.ceil(len(table) / _MAX_SHOWN_CELLS))
    shown = table.iloc[::step]
    write_columns(out / COLUMNS, shown, len(table))
    write_outlines(out / OUTLINES, islice(outlines(out / STEM), 0, None, step), shown, height_px, width_px)


def _summarize(out: Path, table: pd.DataFrame, models: Models) -> dict[str, Any]:
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
    """Passes on how far the image is, and whether it is worked on by region, so that it can go on another time."""

    def __init__(self, advance: Callable[[float, bool], None]) -> None:
        self._advance = advance
        self._is_by_region = False

    def slides_planned(self, plan: SlidePlan) -> None:
        """The image is a slide."""
        self._is_by_region = True

    def image_advanced(self, fraction: float) -> None:
        """A part of the image is done."""
        self._advance(fraction, self._is_by_region)


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
    return for_page(message.replace(job.path, job.name).replace(Path(job.path).name, job.name))
