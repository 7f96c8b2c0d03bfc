"""Progress on stderr: a bar with the time left in a terminal, one line an image elsewhere."""

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TaskID, TextColumn, TimeRemainingColumn

from organscope.cli.guard import say
from organscope.cli.printing import shown
from organscope.jobs import Failure, ImageResult, Listener, Target
from organscope.jobs.slide_plan import SlidePlan


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
