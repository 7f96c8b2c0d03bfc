"""What segment, classify and analyze have in common: plan, run with progress, print."""

import time
from collections.abc import Sequence
from pathlib import Path

import typer

from organscope.cli.decisions import print_promise, promise_as_data
from organscope.cli.few_misses import few_misses_as_data, print_few_misses
from organscope.cli.guard import SOME_FAILED, say
from organscope.cli.planes import plane_from_text
from organscope.cli.printing import print_json, shown
from organscope.cli.progress import progress_of
from organscope.cli.results import as_data, print_results
from organscope.jobs import (
    Reading,
    RunResult,
    Streaming,
    Workforce,
    load_models,
    memory_from_text,
    plan_run,
    prepare_output,
    run_plan,
    warm_up,
    with_few_misses,
    with_rules,
)
from organscope.ops.pixel_size import PixelSize
from organscope.predict import Sizing, require_diameter

MOST_NOTES = 20


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
) -> None:
    """Run the tasks over all inputs, print what came out, and exit with 1 where an input failed."""
    started = time.perf_counter()
    reading = Reading(
        um_per_px,
        channel,
        max_pixels=round(max_megapixels * 1e6),
        sizing=Sizing(diameter_px=diameter_px),
        page=page,
        series=series,
        project=project,
        **plane_from_text(plane),
    )
    workforce = Workforce(workers, cluster, threads)
    streaming = Streaming(None if memory is None else memory_from_text(memory), zarr_labels=zarr)
    plan = plan_run(inputs, output)
    models = load_models(tasks, bundles, threads=threads)
    models = with_rules(models, positive=positive, min_recall=min_recall, costs=costs)
    models = with_few_misses(models, min_cell_recall)
    if diameter_px is not None:
        require_diameter(models.cells)
    prepare_output(output)
    warm_up(models)
    seconds_to_start = time.perf_counter() - started
    with progress_of(len(plan.targets)) as listener:
        result = run_plan(plan, models, reading, listener, workforce, streaming)
    if as_json:
        promised = promise_as_data(models.rules.promise) | few_misses_as_data(models.few_misses)
        print_json(as_data(result) | promised | {"seconds_to_start": round(seconds_to_start, 3)})
    else:
        print_results(result, seconds_to_start)
        print_promise(models.rules.promise)
        print_few_misses(models.few_misses)
    _say_notes(result)
    _explain_failures(result, debug)
    if result.failures:
        raise typer.Exit(SOME_FAILED)


def _say_notes(result: RunResult) -> None:
    """What was chosen of each file, and whatever else a person should know; the first few, then how many more."""
    notes = [(image, note) for image in result.images for note in image.notes]
    for image, note in notes[:MOST_NOTES]:
        say(f"{shown(image.target.source.name)}: {note}")
    if len(notes) > MOST_NOTES:
        say(f"... and {len(notes) - MOST_NOTES:,} more notes on files; --json and summary.csv hold all.")


def _explain_failures(result: RunResult, debug: bool) -> None:
    for failure in result.failures:
        if debug and failure.trace:
            say(failure.trace)
        say(f"Failed: {failure.name}: {failure.message}")
    if result.failures:
        say(f"{len(result.images)} of {len(result.images) + len(result.failures)} finished.")
