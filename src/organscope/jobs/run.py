"""All images of a plan; what fails is named and the others go on."""

import time
from contextlib import closing

from organscope.jobs.attempt import Attempt, this_process
from organscope.jobs.listener import Listener
from organscope.jobs.memory import peak_memory_mb
from organscope.jobs.models import Models
from organscope.jobs.one_image import Reading
from organscope.jobs.plan import Plan, Target, prepare_output
from organscope.jobs.result import Failure, ImageResult, RunResult
from organscope.jobs.tables import write_run_files
from organscope.jobs.workforce import Workforce, attempts


def run_plan(
    plan: Plan,
    models: Models,
    reading: Reading | None = None,
    listener: Listener | None = None,
    workforce: Workforce | None = None,
) -> RunResult:
    """Work on every image of the plan with the loaded bundles.

    With a bundle for cells each image gets its result folder; with one for organs the run gets
    `predictions.csv`; with both also `summary.csv` and `report.html`. Files about the whole run tell of this
    run alone, in the order of the plan, whoever worked on it. A failed image leaves what an earlier run wrote for it.

    Args:
        plan: From `plan_run`.
        models: From `load_models`.
        reading: How images are opened.
        listener: Told of progress.
        workforce: Who works; this process alone where None.

    Returns:
        What was finished and what failed.

    Raises:
        OutputError: The output folder cannot be made or written; nothing was started.
        UsageError: The cluster cannot be reached, or has no workers.
    """
    prepare_output(plan.out)
    started = time.perf_counter()
    tried = _try_all(plan, models, reading or Reading(), listener or Listener(), workforce or Workforce())
    outcomes = [tried[target].outcome if target in tried else _not_started(target) for target in plan.targets]
    images = tuple(outcome for outcome in outcomes if isinstance(outcome, ImageResult))
    failures = [outcome for outcome in outcomes if isinstance(outcome, Failure)]
    files, unwritten = write_run_files(plan, models, images, failures)
    return RunResult(
        out=plan.out,
        images=images,
        failures=(*failures, *unwritten),
        files=tuple(files),
        seconds=time.perf_counter() - started,
        peak_memory_mb=_peak_memory_mb(tried),
    )


def _try_all(
    plan: Plan, models: Models, reading: Reading, listener: Listener, workforce: Workforce
) -> dict[Target, Attempt]:
    """Every image that was tried; the rest is missing where going on was hopeless."""
    tried: dict[Target, Attempt] = {}
    # Closed at once on Ctrl-C, so that other processes clean up before this one ends.
    with closing(attempts(plan, models, reading, workforce, listener)) as running:
        for target, attempt in running:
            tried[target] = attempt
            listener.image_ended(attempt.outcome)
            if attempt.hopeless:
                break
    return tried


def _peak_memory_mb(tried: dict[Target, Attempt]) -> float:
    """Of all processes together, as if each had needed its most at the same time."""
    peaks = {}
    for attempt in tried.values():
        peaks[attempt.process] = max(peaks.get(attempt.process, 0.0), attempt.peak_memory_mb)
    peaks[this_process()] = peak_memory_mb()
    return sum(peaks.values())


def _not_started(target: Target) -> Failure:
    return Failure(str(target.source), "Not started, because the output folder takes no more files.")
