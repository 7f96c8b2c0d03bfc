"""Slides of a run, end to end: windows, then seams, then results; each stage can be spread over processes.

Several slides go through a stage together where several processes work, so that these wait for each other less often.
"""

import shutil
import traceback
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass, field, replace
from itertools import zip_longest
from pathlib import Path

from organscope.errors import OrganscopeError
from organscope.inference.regions import SlideSettings, slide_windows
from organscope.inference.segment import choose_scale
from organscope.inference.stitching import OpenEdges, Seams, join_seams
from organscope.io.remote import is_url
from organscope.parallel import run_tasks
from organscope.pipeline.image import OUT_OF_SPACE, Attempt, ReadOptions, unforeseen
from organscope.pipeline.ledger import FOLDER, SEAMS, WINDOWS, Ledger
from organscope.pipeline.memory import Streaming
from organscope.pipeline.models import Models, portable
from organscope.pipeline.plan import Target
from organscope.pipeline.progress import Listener
from organscope.pipeline.results import Failure, result_as_text
from organscope.pipeline.slide_parts import FinishTask, Part, Slide, is_whole
from organscope.pipeline.slide_tasks import Done, SeamTask, Task, WindowTask, Worker
from organscope.pipeline.workers import WorkerConfig
from organscope.task_result import Outcome

_TOGETHER = 8
"""Slides that several processes work on at a time; their parts need room on the disk."""

_FEW = 32
"""So few tasks of seams take less time than other processes to start."""

_WINDOWS_SHARE, _SEAMS_SHARE = 0.85, 0.95
"""Of the time of a slide: what is done after its windows, and after its seams."""


@dataclass
class _State:
    """How far a slide is."""

    target: Target
    slide: Slide
    n_windows: int
    n_columns: int
    n_done: int = 0
    fraction: float = 0.0
    seams: Seams = field(default_factory=lambda: Seams({}, 0))
    ended: Attempt | None = None


class SlideRun:
    """Works on the slides of a run."""

    def __init__(
        self,
        out: Path,
        models: Models,
        reading: ReadOptions,
        streaming: Streaming,
        workforce: WorkerConfig,
        listener: Listener,
        ledger: Ledger,
    ) -> None:
        self._out = out
        self._models = models
        self._reading = reading
        self._streaming = streaming
        self._workforce = workforce
        self._listener = listener
        self._ledger = ledger
        self._alone = workforce.workers == 1 and workforce.cluster is None
        self._here = Worker(models, reading)
        self.peaks_mb: dict[str, float] = {}
        """The most memory that each process has held, by machine and number."""

    def attempts(self, targets: Sequence[Target]) -> Iterator[tuple[Target, Attempt]]:
        """Try every slide, and yield each as it ends.

        Raises:
            OutputError: The ledger cannot be written.
        """
        step = 1 if self._alone else _TOGETHER
        for first in range(0, len(targets), step):
            group = [self._begin(target) for target in targets[first : first + step]]
            for stage in (self._windows, self._seams, self._finish):
                stage([state for state in group if state.ended is None])
            self._here.release()
            for state in group:
                yield state.target, state.ended

    def _begin(self, target: Target) -> _State:
        """Look at a slide and its parts that are there already."""
        self._listener.image_started(target)
        parts = parts_folder(self._out, target)
        there = target if is_url(target.source) else replace(target, source=target.source.absolute())
        slide = Slide(there, self._out.absolute(), parts.absolute(), (0, 0), SlideSettings(), None, False)
        state = _State(target, slide, 0, 1)
        try:
            state.slide = self._looked_at(slide)
            parts.mkdir(parents=True, exist_ok=True)
            self._remove_useless_parts(state)
        except Exception as error:
            self._fail(state, Outcome(error=error, trace=traceback.format_exc()))
            return state
        rows, columns = slide_windows(state.slide.size_px, state.slide.settings.window_px, self._models.cells)
        state.n_windows, state.n_columns = len(rows) * len(columns), len(columns)
        self._ledger.begin(_stem(target), state.n_windows)
        return state

    def _remove_useless_parts(self, state: _State) -> None:
        """What the ledger does not know, and what the machine had not written out when it went down."""
        stem, slide = _stem(state.target), state.slide
        known = {
            slide.part(stage, number)
            for stage in (WINDOWS, SEAMS)
            for number, region in self._ledger.regions(stem, stage).items()
            if region.has_part
        }
        for path in slide.parts.iterdir():
            if path not in known or not is_whole(path):
                path.unlink(missing_ok=True)

    def _looked_at(self, slide: Slide) -> Slide:
        reading, models = self._reading, self._models
        with reading.open(slide.target.source) as image:
            scale = None if models.cells is None else choose_scale(image, models.cells, reading.sizing)
            size_px = (image.height_px, image.width_px)
        settings = SlideSettings(
            factors=(1.0, 1.0) if scale is None else scale.factors,
            window_px=self._streaming.window_px,
            max_tile_px=self._streaming.tile_px(models, self._workforce.workers),
            faint_threshold=models.faint_threshold,
            factor=None if scale is None else scale.factor,
        )
        return replace(
            slide,
            size_px=size_px,
            settings=settings,
            scale=scale,
            zarr_labels=self._streaming.zarr_labels,
            size_is_given=reading.um_per_px is not None,
        )

    def _windows(self, states: list[_State]) -> None:
        tasks: list[Task] = []
        for state in states:
            done = self._done(state, WINDOWS)
            state.n_done = len(done)
            left = [number for number in range(state.n_windows) if number not in done]
            # Only where one process does all in this order is it known which window comes next.
            following = left[1:] if self._alone else []
            tasks += [WindowTask(state.slide, *pair) for pair in zip_longest(left, following)]
        self._run(states, tasks, self._window_done, few=1)

    def _window_done(self, state: _State, done: Done) -> None:
        self._ledger.region_done(_stem(state.target), WINDOWS, done.value)
        state.n_done += 1
        state.fraction = _WINDOWS_SHARE * state.n_done / state.n_windows

    def _seams(self, states: list[_State]) -> None:
        tasks: list[Task] = []
        for state in states:
            if self._models.cells is None:
                continue
            try:
                state.seams = self._joined(state)
            except Exception as error:
                # A part that was damaged since it was written, for instance.
                self._fail(state, Outcome(error=error, trace=traceback.format_exc()))
                continue
            done = self._done(state, SEAMS)
            batches = state.seams.batches.items()
            tasks += [SeamTask(state.slide, number, batch) for number, batch in batches if number not in done]
        self._run(states, tasks, self._seam_done, few=_FEW)

    def _seam_done(self, state: _State, done: Done) -> None:
        self._ledger.region_done(_stem(state.target), SEAMS, done.value)
        more = (_SEAMS_SHARE - _WINDOWS_SHARE) / len(state.seams.batches)
        state.fraction = min(_SEAMS_SHARE, state.fraction + more)

    def _joined(self, state: _State) -> Seams:
        with_part = {region.number for region in self._done(state, WINDOWS).values() if region.has_part}

        def edges_of(number: int) -> OpenEdges | None:
            return Part(state.slide.part(WINDOWS, number)).edges() if number in with_part else None

        grid = (state.n_windows // state.n_columns, state.n_columns)
        return join_seams(grid, edges_of, nested=self._models.cells.manifest.segmentation.decoder.fill_holes)

    def _finish(self, states: list[_State]) -> None:
        tasks: list[Task] = []
        for state in states:
            windows, seams = (self._done(state, stage) for stage in (WINDOWS, SEAMS))
            numbers = tuple(number for number, region in windows.items() if region.has_part)
            seconds = sum(region.seconds for region in (*windows.values(), *seams.values()))
            tasks.append(FinishTask(state.slide, numbers, tuple(seams), state.seams.n_cut, seconds))
        self._run(states, tasks, self._finished, few=1)

    def _finished(self, state: _State, done: Done) -> None:
        result = replace(done.value, target=state.target)
        self._ledger.finish(_stem(state.target), result_as_text(result))
        shutil.rmtree(state.slide.parts, ignore_errors=True)
        state.ended = Attempt(result)

    def _run(
        self, states: Iterable[_State], tasks: Sequence[Task], then: Callable[[_State, Done], None], *, few: int
    ) -> None:
        """Do the tasks; those of a slide that has failed meanwhile are left out, all are where going on is hopeless."""
        by_parts = {state.slide.parts: state for state in states}
        wanted = (task for task in tasks if by_parts[task.slide.parts].ended is None)
        if self._alone or len(tasks) <= few:
            running = run_tasks(self._here, wanted)
        else:
            there = Worker(portable(self._models, self._workforce.threads_each), self._reading)
            workers = min(self._workforce.workers, len(tasks))
            running = run_tasks(there, wanted, workers=workers, cluster=self._workforce.cluster)
        with closing(running):
            for task, outcome in running:
                state = by_parts[task.slide.parts]
                if outcome.error is not None:
                    if state.ended is None:
                        self._fail(state, outcome)
                    if state.ended.hopeless:
                        self._give_up(states)
                        return
                    continue
                done = outcome.value
                self.peaks_mb[done.process] = done.peak_memory_mb
                then(state, done)
                self._listener.image_advanced(sum(other.fraction for other in states if other.ended is None))

    def _done(self, state: _State, stage: str) -> dict[int, object]:
        """The regions that need not be done again: a part that is gone is."""
        known = self._ledger.regions(_stem(state.target), stage)
        slide = state.slide
        return {
            number: region
            for number, region in known.items()
            if not region.has_part or slide.part(stage, number).is_file()
        }

    def _fail(self, state: _State, outcome: Outcome) -> None:
        """Quarantine a slide; a disk that is full is no fault of its own."""
        error, name = outcome.error, str(state.target.source)
        hopeless = getattr(error, "errno", None) in OUT_OF_SPACE
        if isinstance(error, OrganscopeError):
            message = str(error).replace(str(state.slide.target.source), name)
            failure = Failure(name, message)
        elif isinstance(error, MemoryError):
            failure = Failure(name, "Expected enough memory, found too little. Allow smaller tiles with --memory.")
        else:
            failure = unforeseen(name, error, outcome.trace)
        if not hopeless:
            self._ledger.quarantine(_stem(state.target), failure.message, failure.trace)
        state.ended = Attempt(failure, hopeless)

    def _give_up(self, states: Iterable[_State]) -> None:
        for state in states:
            if state.ended is None:
                message = "Not finished, because the output folder takes no more files."
                state.ended = Attempt(Failure(str(state.target.source), message), hopeless=True)


def parts_folder(out: Path, target: Target) -> Path:
    """Where the parts of a slide lie until it is finished.

    The suffix keeps them apart from those of a slide in a folder of the same name.
    """
    return (out / FOLDER / "parts" / target.stem).with_name(f"{target.stem.name}.parts")


def _stem(target: Target) -> str:
    return target.stem.as_posix()
