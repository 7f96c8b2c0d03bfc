"""How results reach the person or the script.

Progress on stderr: a bar with the time left in a terminal, one line an image elsewhere.

The results of a run as JSON and as a table.

Scores with their intervals as a table.

The state of a run for a person.
"""

import json
import math
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict
from typing import Any

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TaskID, TextColumn, TimeRemainingColumn
from rich.table import Table

from organscope.cli._errors import say
from organscope.evaluation import Evaluation
from organscope.pipeline import Failure, ImageResult, Listener, RunResult, Target
from organscope.pipeline.progress import SlidePlan, duration_text
from organscope.pipeline.results import cells_row
from organscope.pipeline.status import RunStatus

_WIDTH_OF_A_PIPE = 120


def output_console() -> Console:
    """Where results go: stdout, in the width of the terminal, or wide enough for a table in a pipe."""
    return Console(width=None if sys.stdout.isatty() else _WIDTH_OF_A_PIPE, highlight=False, markup=False)


def print_json(data: Any) -> None:
    """Print data as JSON on stdout, in ASCII so that every encoding can carry it; no value becomes null."""
    print(json.dumps(data, indent=2, allow_nan=False, default=str), flush=True)


def plain_table(*headers: str, numbers: tuple[str, ...] = ()) -> Table:
    """An empty table without colors; the columns in `numbers` lie to the right."""
    table = Table(box=None, pad_edge=False, header_style="bold")
    for header in headers:
        table.add_column(header, justify="right" if header in numbers else "left", overflow="fold")
    return table


def shown(value: object) -> str:
    """A name as it can be shown on one line: control characters and bytes that are no text are written out."""
    text = str(value).encode("utf-8", "replace").decode("utf-8")
    return "".join(letter if letter.isprintable() else repr(letter)[1:-1] for letter in text)


@contextmanager
def progress_of(n_images: int) -> Iterator[Listener]:
    """A listener that shows how far a run over so many images is."""
    if not sys.stderr.isatty():
        yield LineListener(n_images)
        return
    with _bar() as progress:
        yield BarListener(progress, progress.add_task("", total=n_images))


@contextmanager
def counting(what: str) -> Iterator[Callable[[int, int], None] | None]:
    """A function to call with what is done and what there is to do; none where nobody watches."""
    if not sys.stderr.isatty():
        yield None
        return
    with _bar() as progress:
        task = progress.add_task(what, total=None)
        yield lambda done, total: progress.update(task, completed=done, total=total)


def _bar() -> Progress:
    columns = (
        TextColumn("{task.description}", markup=False),
        BarColumn(),
        MofNCompleteColumn(),
        TimeRemainingColumn(elapsed_when_finished=True),
    )
    return Progress(*columns, console=Console(stderr=True), transient=True)


class BarListener(Listener):
    """Moves a bar; the images that are done count whole, the present one by its fraction."""

    def __init__(self, progress: Progress, task: TaskID) -> None:
        self._progress = progress
        self._task = task
        self._ended = 0

    def slides_planned(self, plan: SlidePlan) -> None:
        self._progress.console.print(plan.sentence(), markup=False, highlight=False)

    def image_started(self, target: Target) -> None:
        self._progress.update(self._task, description=shown(target.source.name))

    def image_advanced(self, fraction: float) -> None:
        self._progress.update(self._task, completed=self._ended + fraction)

    def image_ended(self, outcome: ImageResult | Failure) -> None:
        self._ended += 1
        self._progress.update(self._task, completed=self._ended)


class LineListener(Listener):
    """One line an image, for logs."""

    def __init__(self, n_images: int) -> None:
        self._n_images = n_images
        self._ended = 0

    def slides_planned(self, plan: SlidePlan) -> None:
        say(plan.sentence())

    def image_ended(self, outcome: ImageResult | Failure) -> None:
        self._ended += 1
        if isinstance(outcome, ImageResult):
            say(f"[{self._ended}/{self._n_images}] {shown(outcome.target.source)}: {outcome.seconds:.1f} s")


MOST_ROWS = 40
_MOST_NOTES = 5


def as_data(result: RunResult) -> dict[str, Any]:
    """The run as plain data: every image with its figures, every failure with its sentence."""
    return {
        "out": str(result.out),
        "files": [str(path) for path in result.files],
        "images": [_image_data(result, image) for image in result.images],
        "failures": [{"image": failure.name, "message": failure.message} for failure in result.failures],
        "seconds": round(result.seconds, 3),
        "seconds_per_megapixel": result.seconds_per_megapixel,
        "peak_memory_mb": round(result.peak_memory_mb, 1),
    }


def _image_data(result: RunResult, image: ImageResult) -> dict[str, Any]:
    data: dict[str, Any] = {
        "image": str(image.target.source),
        "height_px": image.height_px,
        "width_px": image.width_px,
        "um_per_px": image.um_per_px,
        "selection": asdict(image.selection),
        "notes": list(image.notes),
        "seconds": round(image.seconds, 3),
    }
    if image.areas_px is not None:
        data |= {
            "results": str(result.out / image.target.stem),
            "n_cells": image.n_cells,
            "median_area_px": image.median_area_px,
            "median_area_um2": image.median_area_um2,
        }
    if image.scale is not None:
        data |= {"scale": image.scale.factor, "scale_source": image.scale.source, "scale_note": image.scale.note}
    if image.trust is not None:
        data |= image.trust.row()
    if image.classification is not None:
        classified = image.classification
        decision = classified.decision
        pairs = zip(classified.organs, classified.probabilities, strict=True)
        data |= {
            "organ": classified.organs[decision.organ_index],
            "confidence": float(decision.confidence),
            "decision": decision.decision,
            "reason": decision.reason,
            "prediction_set": [classified.organs[number] for number in decision.prediction_set],
            "flagged": decision.flagged,
            "probabilities": {organ: float(probability) for organ, probability in pairs},
        }
    if image.dab is not None:
        data["dab"] = image.dab.row()
    if image.kinds is not None:
        data |= {"kinds": image.kind_rows, "kinds_not_sure": image.kinds.not_sure, "kinds_note": image.kinds.sentence}
    if image.cell_answer is not None:
        cells = image.cell_answer
        counts = zip(cells.organs, cells.counts, strict=True)
        data |= cells_row(cells)
        data["organs_of_cells"] = {organ: int(n) for organ, n in counts if n}
    return data


def print_results(result: RunResult, seconds_to_start: float) -> None:
    """Print a small table, one row an image, what the run cost, and where the files are."""
    console = output_console()
    if result.images:
        headers, rows = _columns(result)
        table = plain_table(*headers, numbers=("probability", "cells", "median area", "s/MP"))
        for row in rows[:MOST_ROWS]:
            table.add_row(*row)
        console.print(table)
        if len(rows) > MOST_ROWS:
            console.print(f"... and {len(rows) - MOST_ROWS:,} more")
        console.print(
            f"\n{result.seconds_per_megapixel:.1f} s a megapixel, {result.seconds:.1f} s in all after "
            f"{seconds_to_start:.1f} s to start, peak memory {result.peak_memory_mb:,.0f} MB"
        )
    _print_scales(result, console)
    console.print(f"Results: {result.out}", soft_wrap=True)
    for path in result.files:
        if path.suffix == ".html":
            console.print(f"Report: {path}", soft_wrap=True)


def _columns(result: RunResult) -> tuple[list[str], list[list[str]]]:
    headers = ["image"]
    rows = [[shown(image.target.source.name)] for image in result.images]
    if result.images[0].classification is not None:
        headers += ["organ", "probability", "decision"]
        named = [image.classification for image in result.images if image.classification is not None]
        for row, classified in zip(rows, named, strict=True):
            decision = classified.decision
            organ = classified.organs[decision.organ_index]
            row += [organ, f"{decision.confidence:.2f}", decision.decision]
    if result.images[0].areas_px is not None:
        headers += ["cells", "median area"]
        for row, image in zip(rows, result.images, strict=True):
            row += [f"{image.n_cells:,}", _area(image)]
    if any(image.trust is not None for image in result.images):
        headers += ["trust"]
        for row, image in zip(rows, result.images, strict=True):
            row += ["-" if image.trust is None else image.trust.level]
    headers += ["s/MP"]
    for row, image in zip(rows, result.images, strict=True):
        row += [f"{image.seconds / image.megapixels:.1f}"]
    return headers, rows


def _print_scales(result: RunResult, console: Console) -> None:
    """One line for each image that the network did not see as it is; the first few, then how many more."""
    scaled = [(image, image.scale.note) for image in result.images if image.scale is not None and image.scale.note]
    for image, note in scaled[:_MOST_NOTES]:
        console.print(f"{shown(image.target.source.name)}: {note}", soft_wrap=True)
    if len(scaled) > _MOST_NOTES:
        console.print(f"... and {len(scaled) - _MOST_NOTES:,} more at another scale")


def _area(image: ImageResult) -> str:
    if image.median_area_um2 is not None:
        return f"{image.median_area_um2:,.1f} um2"
    return "-" if image.median_area_px is None else f"{image.median_area_px:,.0f} px"


def print_scores(evaluation: Evaluation) -> None:
    """Print the bundle's scores, and those of the baselines below them, with 95 % intervals."""
    console = output_console()
    console.print(f"{evaluation.bundle}, {evaluation.subset}\n")
    table = plain_table("model", "data", "images", "metric", "value", "95 % interval", numbers=("images", "value"))
    for row in evaluation.scores.itertuples():
        interval = "" if math.isnan(row.low) else f"{row.low:.3f} to {row.high:.3f} (by {row.unit})"
        table.add_row(
            row.model,
            row.dataset,
            str(row.n_images),
            row.metric,
            "-" if math.isnan(row.value) else f"{row.value:.3f}",
            interval,
        )
    console.print(table)
    for note in evaluation.notes:
        console.print(f"\n{note}")


_MOST_STATUS_ROWS = 20

_WORDS = {
    "running": "The run goes on.",
    "interrupted": "Interrupted. Run the same command again to resume.",
    "ended": "The run has ended.",
    "elsewhere": "The run was started on another machine; its last sign of life was {ago} ago.",
}


def print_status(status: RunStatus) -> None:
    """Print what is done, what is at work, what failed, and how long the rest will take."""
    console = output_console()
    console.print(_WORDS[status.state].format(ago=duration_text(status.last_sign_s)))
    counts = [(status.n_done, "done"), (len(status.present), "at work"), (status.n_waiting, "waiting")]
    counts.append((len(status.quarantined), "quarantined"))
    console.print(f"{status.n_images:,} images: " + ", ".join(f"{n:,} {what}" for n, what in counts if n))
    for slide in status.present[:_MOST_STATUS_ROWS]:
        share = slide.n_done / max(1, slide.n_regions)
        console.print(f"  {shown(slide.source)}: {slide.n_done:,} of {slide.n_regions:,} regions ({share:.0%})")
    if status.seconds_left is not None:
        console.print(f"{status.megapixels_left:,.0f} megapixels left, about {duration_text(status.seconds_left)}")
    if status.quarantined:
        table = plain_table("quarantined", "why")
        for image in status.quarantined[:_MOST_STATUS_ROWS]:
            table.add_row(shown(image.source), shown(image.message))
        console.print(table)
        if len(status.quarantined) > _MOST_STATUS_ROWS:
            console.print(f"... and {len(status.quarantined) - _MOST_STATUS_ROWS:,} more")
