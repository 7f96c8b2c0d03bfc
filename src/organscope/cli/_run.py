"""What segment, classify and analyze have in common: plan, run with progress, print.

Decisions as a table by organ, and a promise in words.

What the promise of few missed cells costs, as text and as JSON.
"""

import time
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import typer

from organscope.cli._errors import SOME_FAILED, say
from organscope.cli._options import plane_from_text
from organscope.cli._output import as_data, output_console, plain_table, print_json, print_results, progress_of, shown
from organscope.decision import RecallGuarantee, describe_guarantee
from organscope.errors import UsageError
from organscope.inference import OperatingPoint, Sizing, require_diameter
from organscope.ops.pixel_size import PixelSize
from organscope.pipeline import (
    ReadOptions,
    Redecision,
    RunResult,
    Streaming,
    WorkerConfig,
    at_operating_point,
    load_models,
    memory_from_text,
    plan_run,
    prepare_output,
    run_plan,
    warm_up,
    with_cell_kinds,
    with_rules,
)
from organscope.pipeline.extras import write_extras
from organscope.pipeline.given_labels import require_labels
from organscope.pipeline.ihc import dab_settings
from organscope.pipeline.measures import require_measures
from organscope.pipeline.rois import require_rois
from organscope.pipeline.spatial import require_spatial


def redecision_as_data(found: Redecision) -> dict[str, Any]:
    """The decisions as counts, and what is promised; the rows are in the file."""
    data: dict[str, Any] = {"bundle": found.bundle, "file": str(found.path), "n_images": len(found.table)}
    data["organs"] = _counts_by_organ(found)
    return data | _promise_as_data(found.promise)


def _counts_by_organ(found: Redecision) -> list[dict[str, Any]]:
    """Images, accepted and flagged ones of each organ that is the answer to an image, the most frequent first."""
    rows = []
    for organ, part in found.table.groupby("organ", sort=False):
        row = {"organ": organ, "images": len(part), "accepted": int((part["decision"] == "accept").sum())}
        if "flagged" in part:
            row["flagged"] = int(part["flagged"].sum())
        rows.append(row)
    return sorted(rows, key=lambda row: (-row["images"], row["organ"]))


def _promise_as_data(promise: RecallGuarantee | None) -> dict[str, Any]:
    """A promise as plain data; nothing without one."""
    if promise is None:
        return {}
    rate = {"false_alarm_rate": promise.false_alarm_rate} if promise.n_negative else {}
    words = list(describe_guarantee(promise))
    return {"promise": asdict(promise) | {"n_needed": promise.n_needed} | rate | {"words": words}}


def print_decisions(found: Redecision) -> None:
    """Print one row an organ, what is promised, and where the decisions are."""
    console = output_console()
    rows = _counts_by_organ(found)
    if rows:
        numbers = tuple(name for name in rows[0] if name != "organ")
        table = plain_table(*rows[0], numbers=numbers)
        for row in rows:
            table.add_row(row["organ"], *(f"{row[name]:,}" for name in numbers))
        console.print(table)
    _print_promise(found.promise)
    console.print(f"\nDecisions: {found.path}", soft_wrap=True)


def _print_promise(promise: RecallGuarantee | None) -> None:
    """Print what is promised, its price and its condition; nothing without a promise."""
    if promise is not None:
        output_console().print("\n" + " ".join(describe_guarantee(promise)))


def _print_few_misses(point: OperatingPoint | None) -> None:
    """Print the sentence that belongs beside the results; nothing where no recall was asked for."""
    if point is not None:
        output_console().print(f"\n{point.sentence}", soft_wrap=True)


def _few_misses_as_data(point: OperatingPoint | None) -> dict[str, Any]:
    """The same for scripts; no entry where no recall was asked for."""
    return {} if point is None else {"few_misses": point.as_data()}


_MOST_NOTES = 20


def run_and_report(
    tasks: tuple[str, ...],
    inputs: Sequence[Path],
    output: Path,
    bundles: Sequence[str],
    *,
    um_per_px: PixelSize | None,
    channel: str | None,
    page: int | None,
    plane: str | None,
    series: int | None,
    project: str | None,
    max_megapixels: float,
    threads: int | None,
    as_json: bool,
    debug: bool,
    workers: int = 1,
    cluster: str | None = None,
    memory: str | None = None,
    zarr: bool = False,
    positive: str | None = None,
    min_recall: float | None = None,
    costs: Path | None = None,
    diameter_px: float | None = None,
    min_cell_recall: float | None = None,
    labels: Path | None = None,
    measures: str | None = None,
    roi: str | None = None,
    maps: bool = False,
    anndata: bool = False,
    spatialdata: bool = False,
    cell_kinds: str | None = None,
    dab_threshold: float | None = None,
    dab_in: str | None = None,
) -> None:
    """Run the tasks over all inputs, print what came out, and exit with 1 where an input failed."""
    started = time.perf_counter()
    plan = plan_run(inputs, output)
    reading = ReadOptions(
        um_per_px,
        channel,
        max_pixels=round(max_megapixels * 1e6),
        sizing=Sizing(diameter_px=diameter_px),
        page=page,
        series=series,
        project=project,
        labels=None if labels is None else require_labels(labels, len(plan.targets)),
        dab=dab_settings(dab_threshold, dab_in),
        measures=require_measures([name.strip() for name in (measures or "").split(",") if name.strip()]),
        **plane_from_text(plane),
    )
    workforce = WorkerConfig(workers, cluster, threads)
    streaming = Streaming(None if memory is None else memory_from_text(memory), zarr_labels=zarr)
    if labels is not None and (diameter_px is not None or min_cell_recall is not None):
        raise UsageError("Expected --labels, or --diameter-px and --min-cell-recall to search for cells, found both.")
    regions = None if roi is None else require_rois(roi, len(plan.targets))
    require_spatial(anndata=anndata, spatialdata=spatialdata)
    models = load_models(tasks, bundles, threads=threads, cells_given=labels is not None)
    models = with_cell_kinds(models, cell_kinds, threads=threads)
    models = with_rules(models, positive=positive, min_recall=min_recall, costs=costs)
    models = at_operating_point(models, min_cell_recall)
    if diameter_px is not None and models.cells is not None:
        require_diameter(models.cells)
    prepare_output(output)
    warm_up(models)
    seconds_to_start = time.perf_counter() - started
    with progress_of(len(plan.targets)) as listener:
        result = run_plan(plan, models, reading, listener, workforce, streaming)
    result = write_extras(result, reading, models, regions, maps=maps, anndata=anndata, spatialdata=spatialdata)
    if as_json:
        promised = _promise_as_data(models.rules.promise) | _few_misses_as_data(models.few_misses)
        print_json(as_data(result) | promised | {"seconds_to_start": round(seconds_to_start, 3)})
    else:
        print_results(result, seconds_to_start)
        _print_promise(models.rules.promise)
        _print_few_misses(models.few_misses)
    _say_notes(result)
    _explain_failures(result, debug)
    if result.failures:
        raise typer.Exit(SOME_FAILED)


def _say_notes(result: RunResult) -> None:
    """What was chosen of each file, and whatever else a person should know; the first few, then how many more."""
    notes = [(image, note) for image in result.images for note in image.notes]
    for image, note in notes[:_MOST_NOTES]:
        say(f"{shown(image.target.source.name)}: {note}")
    if len(notes) > _MOST_NOTES:
        say(f"... and {len(notes) - _MOST_NOTES:,} more notes on files; --json and summary.csv hold all.")


def _explain_failures(result: RunResult, debug: bool) -> None:
    for failure in result.failures:
        if debug and failure.trace:
            say(failure.trace)
        say(f"Failed: {failure.name}: {failure.message}")
    if result.failures:
        say(f"{len(result.images)} of {len(result.images) + len(result.failures)} finished.")
