"""From the settings to the trackers of one run.

A tracker in a thread of its own, which may be slow or fail without the training noticing.
"""

import importlib.util
import json
import queue
import threading
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import pandas as pd

from organscope.errors import MissingExtraError
from organscope.io.paths import atomic_path
from organscope.tracking.base import Outcome, RunFacts, Tracker, TrackingSettings
from organscope.tracking.environment import computer_facts


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


_IDENTIFIERS = "tracking.json"
"""File in the run folder: under which identifier each tracker knows the run."""

_LABELS = {"mlflow": "MLflow", "wandb": "Weights & Biases"}
_WRITING = threading.Lock()


@dataclass
class Trackers:
    """All trackers of a run; without any, every call does nothing.

    Attributes:
        members: The trackers.
    """

    members: list[BackgroundTracker] = field(default_factory=list)

    def __bool__(self) -> bool:
        return bool(self.members)

    def tell(self, method: str, *arguments: Any) -> None:
        """Call a method of `Tracker` on each."""
        for member in self.members:
            getattr(member, method)(*arguments)

    def finish(self, outcome: Outcome) -> None:
        """End the run in each, side by side, and wait for them."""
        self.tell("finish", outcome)
        for member in self.members:
            member.wait()


def open_trackers(
    settings: TrackingSettings,
    run_folder: Path,
    *,
    config: Mapping[str, Any],
    task: str,
    environment: str,
    resume: bool,
    report: Callable[[str], None],
) -> Trackers:
    """Start the trackers that the settings name.

    Args:
        settings: Which, and under which names.
        run_folder: Exists; gets `tracking.json`, by which a resumed run goes on in the tracker too.
        config: The whole configuration, nested.
        task: Name of the task.
        environment: Every installed package with its version.
        resume: Go on with the run that `tracking.json` names.
        report: Gets one sentence when a tracker fails.

    Raises:
        MissingExtraError: The package of a tracker is not installed.
    """
    chosen = _chosen_trackers(settings)
    if not chosen:
        return Trackers()
    store = settings.folder or run_folder.resolve().parent
    facts = RunFacts(
        name=run_folder.resolve().name if settings.sweep is None else f"{settings.sweep}-{settings.trial or 0:04}",
        project=settings.project,
        run_folder=run_folder,
        store=Path(store).resolve(),
        config=config,
        tags={"task": task} | _sweep_tags(settings) | computer_facts(),
        environment=environment,
    )
    known = _read_identifiers(run_folder) if resume else {}
    trackers = Trackers([_open(name, settings, run_folder, report) for name in chosen])
    for name, tracker in zip(chosen, trackers.members, strict=True):
        tracker.start(replace(facts, known_as=known.get(name)))
    return trackers


def _chosen_trackers(settings: TrackingSettings) -> tuple[str, ...]:
    """Names of the trackers.

    Raises:
        MissingExtraError: The package of one is not installed.
    """
    chosen = {"both": ("mlflow", "wandb"), "none": ()}.get(settings.to, (settings.to,))
    for name in chosen:
        package = importlib.util.find_spec(name)
        # A folder of that name beside the program, such as W&B makes for its files, is no package.
        if package is None or package.origin is None:
            raise MissingExtraError(
                f"Expected the package {name!r} for tracking in {_LABELS[name]}, found none. Install the extra [train] "
                "from the checkout: pip install '.[train]'; or train without it: --track none."
            )
    return chosen


def _open(name: str, settings: TrackingSettings, run_folder: Path, report: Callable[[str], None]) -> BackgroundTracker:
    def make() -> Tracker:
        if name == "mlflow":
            from organscope.tracking.mlflow import MlflowTracker

            return MlflowTracker()
        from organscope.tracking.wandb import WandbTracker

        return WandbTracker(settings.wandb_mode)

    return BackgroundTracker(
        _LABELS[name],
        make,
        report=report,
        started=lambda identifier: _write_identifier(run_folder, name, identifier),
        finish_timeout_s=settings.finish_timeout_s,
    )


def _sweep_tags(settings: TrackingSettings) -> dict[str, str]:
    tags = {"sweep": settings.sweep, "trial": settings.trial}
    return {name: str(value) for name, value in tags.items() if value is not None}


def _read_identifiers(run_folder: Path) -> dict[str, str]:
    try:
        return json.loads((run_folder / _IDENTIFIERS).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}


def _write_identifier(run_folder: Path, name: str, identifier: str) -> None:
    # Two trackers start at about the same time, each in its thread.
    with _WRITING:
        known = _read_identifiers(run_folder) | {name: identifier}
        with atomic_path(run_folder / _IDENTIFIERS) as temporary:
            temporary.write_text(json.dumps(known) + "\n", encoding="utf-8")
