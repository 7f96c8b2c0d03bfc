"""Progress on stderr."""

import io
from pathlib import Path

import pytest
from rich.console import Console
from rich.progress import Progress

from organscope.cli._output import BarListener, LineListener, counting, progress_of
from organscope.pipeline import Failure, ImageResult, Target
from organscope.pipeline.progress import SlidePlan


@pytest.fixture
def done() -> ImageResult:
    return ImageResult(Target(Path("a\nb.png"), Path("a")), 10, 10, None, 0.25)


def test_without_a_terminal_each_finished_image_is_one_line(done, capsys):
    with progress_of(2) as listener:
        assert isinstance(listener, LineListener)
        listener.image_ended(done)
        listener.image_ended(Failure("b.png", "Broken."))
    assert capsys.readouterr().err == "[1/2] a\\nb.png: 0.2 s\n"


def test_bar_moves_with_the_fraction_of_the_present_image(done):
    progress = Progress(console=Console(file=io.StringIO()))
    task = progress.add_task("", total=2)
    listener = BarListener(progress, task)
    seen = []
    for step in (
        lambda: listener.image_started(done.target),
        lambda: listener.image_advanced(0.5),
        lambda: listener.image_ended(done),
        lambda: listener.image_advanced(0.25),
    ):
        step()
        seen.append(progress.tasks[0].completed)
    assert seen == [0, 0.5, 1, 1.25]


def test_nothing_is_counted_where_nobody_watches(capsys):
    with counting("scoring") as progress:
        assert progress is None
    assert capsys.readouterr().err == ""


def test_plan_of_slides_is_said_before_they_begin(capsys):
    plan = SlidePlan(2, 3200.0, 800, 3200, 0.4, 7200.0, 1440.0)
    LineListener(2).slides_planned(plan)
    printed = io.StringIO()
    progress = Progress(console=Console(file=printed, width=200))
    BarListener(progress, progress.add_task("", total=2)).slides_planned(plan)
    sentence = (
        "Plan: 2 slides, 3,200 megapixels, 800 regions, 3,200 tiles of which about 40% show tissue; about 2 h 0 min, "
        "at most 1,440 MB of memory."
    )
    assert capsys.readouterr().err.strip() == sentence
    assert printed.getvalue().strip() == sentence
