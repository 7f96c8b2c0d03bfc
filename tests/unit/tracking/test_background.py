"""A tracker that fails, hangs or cannot be made, and a training that does not notice."""

import threading

import pytest

from organscope.tracking.trackers import BackgroundTracker


class Recorder:
    """Notes what it is told; fails at one method, if asked to."""

    def __init__(self, failing: str = "", error: BaseException | None = None) -> None:
        self.calls: list[str] = []
        self.failing = failing
        self.error = error or OSError(28, "No space left on device")

    def __getattr__(self, name):
        def note(*arguments):
            self.calls.append(name)
            if name == self.failing:
                raise self.error
            return "identifier"

        return note


def tell_all(tracker: BackgroundTracker, facts) -> None:
    tracker.start(facts())
    tracker.log_metrics({"train/loss": 1.0}, 1)
    tracker.log_picture("a", b"png")
    tracker.finish("finished")
    tracker.wait()


def background(recorder, said, *, timeout_s: float = 20.0, known=None) -> BackgroundTracker:
    return BackgroundTracker(
        "MLflow",
        lambda: recorder,
        report=said.append,
        started=(known if known is not None else []).append,
        finish_timeout_s=timeout_s,
    )


def test_calls_arrive_in_order_and_the_identifier_comes_back(facts):
    recorder, said, known = Recorder(), [], []
    tell_all(background(recorder, said, known=known), facts)
    assert recorder.calls == ["start", "log_metrics", "log_picture", "finish"]
    assert (said, known) == ([], ["identifier"])


@pytest.mark.parametrize("error", [OSError(28, "No space left on device"), SystemExit(1), ConnectionError("no route")])
@pytest.mark.parametrize("failing", ["start", "log_metrics", "finish"])
def test_a_failure_is_told_once_and_stops_the_tracking_alone(facts, failing, error):
    recorder, said = Recorder(failing, error), []
    tell_all(background(recorder, said), facts)
    (sentence,) = said
    assert sentence.startswith("Warning: tracking in MLflow stopped (")
    assert "\n" not in sentence
    assert recorder.calls[-1] == failing


def test_a_tracker_that_cannot_be_made_is_a_failure_like_any_other(facts):
    def broken():
        raise ImportError("half installed")

    said = []
    tracker = BackgroundTracker("MLflow", broken, report=said.append, started=print, finish_timeout_s=20)
    tell_all(tracker, facts)
    assert said == [
        "Warning: tracking in MLflow stopped (ImportError: half installed). "
        "The training goes on; its run folder is complete."
    ]


def test_a_tracker_that_hangs_is_left_behind(facts):
    released = threading.Event()

    class Hanging(Recorder):
        def log_metrics(self, *arguments):
            released.wait(60)

    said = []
    tell_all(background(Hanging(), said, timeout_s=0.05), facts)
    released.set()
    assert "did not finish within 0.05 s" in said[0]
