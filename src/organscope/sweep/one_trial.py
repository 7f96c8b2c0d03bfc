"""One trial: write its configuration, train in a subprocess, report every epoch, stop it early, measure its bundle."""

import math
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from organscope.bundle import load_bundle
from organscope.errors import OutputError, UsageError
from organscope.sweep.configuration import write_configuration
from organscope.sweep.costs import bundle_cost
from organscope.sweep.ending import End, Ending
from organscope.sweep.process import TrialProcess, clear_state
from organscope.sweep.space import Objective, Space

if TYPE_CHECKING:
    from optuna import Trial

HEARTBEAT_SECONDS = 30


@dataclass(frozen=True)
class Bench:
    """What all trials of a sweep share.

    Attributes:
        space: What is searched.
        folder: Of the sweep.
        tracking: The table `[tracking]` of every trial, without its number.
        threads: A trial computes with so many; all cores if left out.
        stop: Set when the sweep is to end.
        alive: Called now and then while a trial runs.
    """

    space: Space
    folder: Path
    tracking: dict[str, Any]
    threads: int | None
    stop: threading.Event
    alive: Callable[["Trial"], None]


def run_trial(trial: "Trial", bench: Bench) -> Ending:
    """Train with the trial's parameters.

    Raises:
        UsageError: The trainer measures nothing under the name of an objective: no trial could succeed.
        OutputError: The folder of the trial cannot be written.
    """
    run = TrialRun(trial, bench)
    try:
        return run.follow()
    finally:
        clear_state(run.folder)


class TrialRun:
    """A training that is followed from its start to its end."""

    def __init__(self, trial: "Trial", bench: Bench) -> None:
        self._trial = trial
        self._bench = bench
        self._space = bench.space
        self._started = self._last_sign = time.perf_counter()
        self._scores: dict[str, list[float]] = {objective.metric: [] for objective in self._measured()}
        self._epochs = 0
        self.folder = trial_folder(bench.folder, trial.number)
        try:
            self.folder.mkdir(parents=True)
        except OSError as error:
            raise OutputError(
                f"Cannot make the folder of a trial, {self.folder}: {error.strerror}. Choose another folder with -o."
            ) from error
        tracking = {f"tracking.{key}": value for key, value in bench.tracking.items()} | {
            "tracking.trial": trial.number
        }
        config = self.folder / "trial.toml"
        settings = self._space.trial_settings() | self._space.overrides(trial.params) | tracking
        write_configuration(config, self._space, settings, f"Trial {trial.number} of the sweep {self._space.name}.")
        words = ["train", self._space.task, str(config), "--output", str(self.folder)]
        self._process = TrialProcess(words, self.folder, bench.threads)
        trial.set_user_attr("training_pid", self._process.pid)

    def follow(self) -> Ending:
        """Report every epoch until the training ends, is pruned, runs out of time or is interrupted."""
        try:
            for rows in self._process.rows():
                for row in rows:
                    self._note(row)
                if self._bench.stop.is_set():
                    self._process.stop()
                    return self._ending("interrupted", reason="the sweep was interrupted")
                if rows and self._space.prunes and self._trial.should_prune():
                    self._process.stop()
                    return self._ending("pruned", reason=f"given up after {self._epochs} epochs")
                if self._is_over_time():
                    self._process.stop()
                    return self._judge(f"stopped after {self._space.max_minutes:g} minutes")
                self._say_alive()
        except BaseException:
            self._process.stop()
            raise
        failure = self._process.failure()
        return self._ending("failed", reason=failure) if failure else self._judge("")

    def _say_alive(self) -> None:
        if time.perf_counter() - self._last_sign > HEARTBEAT_SECONDS:
            self._last_sign = time.perf_counter()
            self._bench.alive(self._trial)

    def _note(self, row: dict[str, Any]) -> None:
        self._epochs = row["epoch"]
        for objective in self._measured():
            if objective.metric not in row:
                known = ", ".join(sorted(key for key, value in row.items() if isinstance(value, float)))
                raise UsageError(
                    f"Expected the objective {objective.metric!r} among the metrics of an epoch, found {known}. "
                    "Change the objective in the space."
                )
            if row[objective.metric] is not None and math.isfinite(row[objective.metric]):
                self._scores[objective.metric].append(float(row[objective.metric]))
        if self._space.prunes and (scores := self._scores[self._space.objectives[0].metric]):
            # The best so far: the weights of that epoch would be kept.
            self._trial.report(self._space.objectives[0].best(scores), row["epoch"])

    def _judge(self, reason: str) -> Ending:
        without = [metric for metric, scores in self._scores.items() if not scores]
        if without:
            return self._ending("failed", reason=f"{without[0]} was never a number in {self._epochs} epochs")
        bundle = self.folder / "bundle"
        if any(objective.is_cost for objective in self._space.objectives) and not bundle.exists():
            return self._ending("failed", reason=f"{reason}: no bundle to measure")
        return self._ending("complete", tuple(self._value(objective) for objective in self._space.objectives), reason)

    def _value(self, objective: Objective) -> float:
        if objective.is_cost:
            return bundle_cost(load_bundle(self.folder / "bundle", threads=1), objective.metric)
        return objective.best(self._scores[objective.metric])

    def _ending(self, end: End, values: tuple[float, ...] = (), reason: str = "") -> Ending:
        return Ending(end, values, reason, self._epochs, time.perf_counter() - self._started)

    def _measured(self) -> list[Objective]:
        return [objective for objective in self._space.objectives if not objective.is_cost]

    def _is_over_time(self) -> bool:
        limit = self._space.max_minutes
        return limit is not None and time.perf_counter() - self._started > 60 * limit


def trial_folder(sweep: Path, number: int) -> Path:
    """Run folder of a trial."""
    return sweep / "trials" / f"{number:04}"
