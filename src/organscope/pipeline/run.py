"""Process all images of a plan; failures are recorded and do not stop the run.

What a run still has to do: what an earlier one has done is known, the rest is small or a slide.
"""

import shutil
import time
from collections.abc import Sequence
from contextlib import closing
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path

from organscope import __version__
from organscope.errors import OrganscopeError
from organscope.pipeline.image import Attempt, ReadOptions, this_process
from organscope.pipeline.ledger import Ledger, identity_of, ledger_path
from organscope.pipeline.memory import Streaming
from organscope.pipeline.models import Models
from organscope.pipeline.outputs import write_run_files
from organscope.pipeline.plan import (
    CELLS_PARQUET,
    LABELS,
    ORGAN_MAP,
    OVERLAY,
    SLIDE_LABELS,
    Plan,
    Target,
    prepare_output,
    remove_partial_outputs,
)
from organscope.pipeline.progress import Listener
from organscope.pipeline.results import Failure, ImageResult, RunResult, result_as_text, result_from_text
from organscope.pipeline.slide_plan import plan_slides
from organscope.pipeline.slides import SlideRun, parts_folder
from organscope.pipeline.status import require_idle
from organscope.pipeline.workers import WorkerConfig, attempts
from organscope.system import peak_memory_mb


@dataclass(frozen=True)
class _Sorted:
    """The images of a run.

    Attributes:
        known: Done by an earlier run of the same command, with their results in place.
        small: Worked on whole.
        slides: Worked on by region.
    """

    known: dict[Target, Attempt]
    small: tuple[Target, ...]
    slides: tuple[Target, ...]


def _sort_images(
    plan: Plan, models: Models, reading: ReadOptions, streaming: Streaming, workers: int, ledger: Ledger
) -> _Sorted:
    """Ask every file for its size and the ledger for what is known of it.

    Raises:
        OutputError: The ledger cannot be written.
    """
    known: dict[Target, Attempt] = {}
    small, slides = [], []
    held_px = streaming.held_px(workers)
    facts = _facts(models, reading)
    of_slides = facts | {"streaming": asdict(streaming), "tile": streaming.tile_px(models, workers)}
    ledger.forget_all_but({target.stem.as_posix() for target in plan.targets})
    for place, target in enumerate(plan.targets):
        stem, parts = target.stem.as_posix(), parts_folder(plan.out, target)
        pixels = _pixels(target.source, reading)
        if pixels is None:
            # Why is said when it is its turn.
            ledger.expect_unreadable(stem, place, str(target.source))
            small.append(target)
            continue
        # Given labels, and stains of single cells, are measured in memory.
        is_slide = pixels > held_px and not models.cells_given and reading.dab is None
        identity = identity_of(target.source, of_slides if is_slide else facts)
        same = ledger.expect(stem, place, str(target.source), identity, pixels)
        stored = ledger.result(stem) if same else ""
        if not same or stored:
            shutil.rmtree(parts, ignore_errors=True)
        if stored and _has_files(plan.out / target.stem, models, is_slide):
            known[target] = Attempt(replace(result_from_text(stored), target=target))
        else:
            (slides if is_slide else small).append(target)
    return _Sorted(known, tuple(small), tuple(slides))


def _note_attempt(ledger: Ledger, target: Target, attempt: Attempt) -> None:
    """Enter how an image ended that was worked on whole; a full disk is no fault of the image."""
    stem, outcome = target.stem.as_posix(), attempt.outcome
    if isinstance(outcome, ImageResult):
        ledger.finish(stem, result_as_text(outcome))
    elif not attempt.hopeless:
        ledger.quarantine(stem, outcome.message, outcome.trace)


def _facts(models: Models, reading: ReadOptions) -> dict[str, object]:
    """All that a result depends on beside the image."""
    bundles = {bundle.manifest.name: bundle.sha256 for bundle in models.loaded()}
    return {
        "version": __version__,
        "bundles": bundles,
        "reading": asdict(reading),
        "rules": repr(models.rules),
        "few_misses": repr(models.few_misses),
    }


def _pixels(source: Path, reading: ReadOptions) -> int | None:
    """Pixels of an image; None where it cannot be opened."""
    try:
        with reading.open(source) as image:
            return image.height_px * image.width_px
    except OrganscopeError:
        return None


def _has_files(folder: Path, models: Models, is_slide: bool) -> bool:
    names = []
    if models.has_cells:
        names += [CELLS_PARQUET, OVERLAY, SLIDE_LABELS if is_slide else LABELS]
    if models.organs is not None and is_slide:
        names.append(ORGAN_MAP)
    return all((folder / name).is_file() for name in names)


def run_plan(
    plan: Plan,
    models: Models,
    reading: ReadOptions | None = None,
    listener: Listener | None = None,
    workforce: WorkerConfig | None = None,
    streaming: Streaming | None = None,
) -> RunResult:
    """Work on every image of the plan with the loaded bundles.

    With a bundle for cells each image gets its result folder; with one for organs the run gets
    `predictions.csv`; with both also `summary.csv` and `report.html`. Files about the whole run tell of this
    run alone, in the order of the plan, whoever worked on it. A failed image leaves what an earlier run wrote for it.

    With `streaming` images that are too large to hold are worked on by region (`organscope.pipeline.slides`), and a
    ledger beside the results (`organscope.pipeline.ledger`) lets the same run go on after it was interrupted.

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
    run = _Run(plan, models, reading or ReadOptions(), listener or Listener(), workforce or WorkerConfig())
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
    reading: ReadOptions
    listener: Listener
    workforce: WorkerConfig
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
                    _note_attempt(ledger, target, attempt)
                tried[target] = attempt
                self.listener.image_ended(attempt.outcome)
                if attempt.hopeless:
                    break
        return tried

    def with_ledger(self, streaming: Streaming) -> dict[Target, Attempt]:
        """Try the images that an earlier run has not done, small ones first."""
        workers = self.workforce.workers
        remove_partial_outputs(self.plan.out)
        with closing(Ledger(ledger_path(self.plan.out))) as ledger:
            ledger.begin_run()
            found = _sort_images(self.plan, self.models, self.reading, streaming, workers, ledger)
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
