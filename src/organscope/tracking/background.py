"""A tracker in a thread of its own, which may be slow or fail without the training noticing."""

import queue
import threading
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import pandas as pd

from organscope.tracking.tracker import Outcome, RunFacts, Tracker


class BackgroundTracker:
    """Hands every call to a thread. The first exception ends the tracking with one sentence; the training goes on.

    The tracker itself is made in the thread too, because importing MLflow or W&B takes seconds. Python's filters of
    warnings are those of the whole process, so no tracker changes them while the training runs.

    Args:
        label: What a person calls the tracker.
        make: Makes the tracker.
        report: Gets the sentence, should there be one.
        started: Gets the identifier of the run once the tracker has it; called in the thread.
        finish_timeout_s: How long `wait` waits for what is still to be written.
    """

    def __init__(
        self,
        label: str,
        make: Callable[[], Tracker],
        *,
        report: Callable[[str], None],
        started: Callable[[str], None],
        finish_timeout_s: float,
    ) -> None:
        self._label = label
        self._make = make
        self._report = report
        self._started = started
        self._finish_timeout_s = finish_timeout_s
        self._calls: queue.SimpleQueue[tuple[str, tuple[Any, ...]] | None] = queue.SimpleQueue()
        self._failed = threading.Event()
        # A daemon: a tracker that hangs must not keep the process alive.
        self._thread = threading.Thread(target=self._work, name=f"tracking in {label}", daemon=True)

    def start(self, facts: RunFacts) -> None:
        """Begin in the background."""
        self._thread.start()
        self._put("start", facts)

    def log_metrics(self, metrics: Mapping[str, float], epoch: int) -> None:
        """See `Tracker`."""
        self._put("log_metrics", dict(metrics), epoch)

    def log_steps(self, name: str, values: Sequence[float], first_step: int) -> None:
        """See `Tracker`."""
        self._put("log_steps", name, list(values), first_step)

    def log_picture(self, name: str, png: bytes) -> None:
        """See `Tracker`."""
        self._put("log_picture", name, png)

    def log_table(self, name: str, table: pd.DataFrame) -> None:
        """See `Tracker`."""
        self._put("log_table", name, table)

    def log_artifact(self, name: str, path: Path) -> None:
        """See `Tracker`. The files must stay until `finish`."""
        self._put("log_artifact", name, path)

    def log_facts(self, facts: Mapping[str, str]) -> None:
        """See `Tracker`."""
        self._put("log_facts", dict(facts))

    def finish(self, outcome: Outcome) -> None:
        """End the run once all is written; `wait` waits for it."""
        self._put("finish", outcome)
        self._calls.put(None)

    def wait(self) -> None:
        """Wait until the run has ended, or say that it takes too long."""
        self._thread.join(self._finish_timeout_s)
        if self._thread.is_alive() and not self._failed.is_set():
            self._fail(f"did not finish within {self._finish_timeout_s:g} s")

    def _put(self, name: str, *arguments: Any) -> None:
        if not self._failed.is_set():
            self._calls.put((name, arguments))

    def _work(self) -> None:
        tracker: Tracker | None = None
        while (call := self._calls.get()) is not None:
            if self._failed.is_set():
                continue
            name, arguments = call
            try:
                tracker = tracker or self._make()
                answer = getattr(tracker, name)(*arguments)
                if name == "start":
                    self._started(answer)
            except BaseException as error:
                # Libraries end a process by SystemExit and raise what is no Exception: nothing may pass from here.
                self._fail(_in_a_line(error))

    def _fail(self, reason: str) -> None:
        self._failed.set()
        self._report(
            f"Warning: tracking in {self._label} stopped ({reason}). The training goes on; its run folder is complete."
        )


def _in_a_line(error: BaseException) -> str:
    text = " ".join(str(error).split())
    return f"{type(error).__name__}: {text[:200]}" if text else type(error).__name__
