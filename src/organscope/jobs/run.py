"""All images of a plan; what fails is named and the others go on."""

import time
from collections.abc import Sequence
from contextlib import closing
from dataclasses import dataclass, field, replace

from organscope.jobs.attempt import Attempt, this_process
from organscope.jobs.files import remove_halves
from organscope.jobs.ledger import Ledger, ledger_path
from organscope.jobs.listener import Listener
from organscope.jobs.memory import peak_memory_mb
from organscope.jobs.models import Models
from organscope.jobs.one_image import Reading
from organscope.jobs.plan import Plan, Target, prepare_output
from organscope.jobs.result import Failure, ImageResult, RunResult
from organscope.jobs.slide_plan import plan_slides
from organscope.jobs.slides import SlideRun
from organscope.jobs.sorting import note_attempt, sort_images
from organscope.jobs.status import require_idle
from organscope.jobs.streaming import Streaming
from organscope.jobs.tables import write_run_files
from organscope.jobs.workforce import Workforce, attempts


def run_plan(
    plan: Plan,
    models: Models,
    reading: Reading | None = None,
    listener: Listener | None = None,
    workforce: Workforce | None = None,
    streaming: Streaming | None = None,
) -> RunResult:
    """Work on every image of the plan with the loaded bundles.

    With a bundle for cells each image gets its result folder; with one for organs the run gets
    `predictions.csv`; with both also `summary.csv` and `report.html`. Files about the whole run tell of this
    run alone, in the order of the plan, whoever worked on it. A failed image leaves what an earlier run wrote for it.

    With `streaming` images that are too large to hold are worked on by region (`organscope.jobs.slides`), and a ledger
    beside the results (`organscope.jobs.ledger`) lets the same run go on after it was interrupted.

    Args:
        plan: From `plan_run`.
        models: From `load_models`.
        reading: How images are opened.
        listener: Told of progress.
        workforce: Who works; this process alone where None.
        streaming: How large images are worked on; all are worked on whole, and nothing is remembered, where None.

    Returns:
        What was finished and what failed.

    Raises:
        OutputError: The output folder cannot be made or written; nothing was started.
        UsageError: Another process writes into the folder; the cluster cannot be reached, or has no workers; or the
            memory that was allowed does not suffice.
    """
    require_idle(plan.out)
    prepare_output(plan.out)
    started = time.perf_counter()
    run = _Run(plan, models, reading or Reading(), listener or Listener(), workforce or Workforce())
    tried = run.all_whole(plan.targets) if streaming is None else run.with_ledger(streaming)
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
        peak_memory_mb=run.peak_memory_mb(tried),
    )


@dataclass
class _Run:
    """What all images of a run have in common."""

    plan: Plan
    models: Models
    reading: Reading
    listener: Listener
    workforce: Workforce
    peaks_mb: dict[str, float] = field(default_factory=dict)

    def all_whole(self, targets: Sequence[Target], ledger: Ledger | None = None) -> dict[Target, Attempt]:
        """Try images that are held whole; the rest is missing where going on was hopeless."""
        plan = replace(self.plan, targets=tuple(targets))
        running = attempts(plan, self.models, self.reading, self.workforce, self.listener)
        tried: dict[Target, Attempt] = {}
        # Closed at once on Ctrl-C, so that other processes clean up before this one ends.
        with closing(running):
            for target, attempt in running:
                if ledger is not None:
                    note_attempt(ledger, target, attempt)
                tried[target] = attempt
                self.listener.image_ended(attempt.outcome)
                if attempt.hopeless:
                    break
        return tried

    def with_ledger(self, streaming: Streaming) -> dict[Target, Attempt]:
        """Try the images that an earlier run has not done, small ones first."""
        workers = self.workforce.workers
        remove_halves(self.plan.out)
        with closing(Ledger(ledger_path(self.plan.out))) as ledger:
            ledger.begin_run()
            found = sort_images(self.plan, self.models, self.reading, streaming, workers, ledger)
            for attempt in found.known.values():
                self.listener.image_ended(attempt.outcome)
            if found.slides:
                ahead = plan_slides(found.slides, self.models, self.reading, streaming, workers)
                self.listener.slides_planned(ahead)
            tried = found.known | self.all_whole(found.small, ledger)
            if not any(attempt.hopeless for attempt in tried.values()):
                tried |= self._slides(found.slides, streaming, ledger)
            ledger.end_run()
        return tried

    def _slides(self, targets: Sequence[Target], streaming: Streaming, ledger: Ledger) -> dict[Target, Attempt]:
        run = SlideRun(self.plan.out, self.models, self.reading, streaming, self.workforce, self.listener, ledger)
        tried: dict[Target, Attempt] = {}
        with closing(run.attempts(targets)) as running:
            for target, attempt in running:
                tried[target] = attempt
                self.listener.image_ended(attempt.outcome)
                if attempt.hopeless:
                    break
        self.peaks_mb = run.peaks_mb
        return tried

    def peak_memory_mb(self, tried: dict[Target, Attempt]) -> float:
        """Of all processes together, as if each had needed its most at the same time."""
        peaks = dict(self.peaks_mb)
        for attempt in tried.values():
            if attempt.process:
                peaks[attempt.process] = max(peaks.get(attempt.process, 0.0), attempt.peak_memory_mb)
        peaks[this_process()] = peak_memory_mb()
        return sum(peaks.values())


def _not_started(target: Target) -> Failure:
    return Failure(str(target.source), "Not started, because the output folder takes no more files.")
