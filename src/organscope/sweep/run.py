"""A whole sweep: trials in threads, each a subprocess, until enough are done; and what it leaves in its folder.

One trial: write its configuration, train in a subprocess, report every epoch, stop it early, measure its bundle.

One line for every trial that ended, with the time left.
"""

import math
import os
import threading
import time
from collections.abc import Callable
from concurrent.futures import FIRST_EXCEPTION, ThreadPoolExecutor, wait
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd
from optuna import Trial

from organscope.errors import OutputError, UsageError
from organscope.models import load_bundle
from organscope.sweep.model_cost import bundle_cost
from organscope.sweep.report import SweepFiles, write_outcome
from organscope.sweep.space import (
    Objective,
    Space,
    check_space,
    make_folder,
    shown_value,
    write_configuration,
    write_space,
)
from organscope.sweep.study import End, Ending, SweepStudy, counted, trial_table
from organscope.sweep.trial_process import TrialProcess, clear_state
from organscope.training.run import Report

_HEARTBEAT_SECONDS = 30


@dataclass(frozen=True)
class _Bench:
    """What all trials of a sweep share.

    Attributes:
        space: What is searched.
        folder: Of the sweep.
        tracking: The table `[tracking]` of every trial, without its number.
        threads: A trial computes with so many. Default: all cores.
        stop: Set when the sweep is to end.
        alive: Called now and then while a trial runs.
    """

    space: Space
    folder: Path
    tracking: dict[str, Any]
    threads: int | None
    stop: threading.Event
    alive: Callable[["Trial"], None]


def _run_trial(trial: "Trial", bench: _Bench) -> Ending:
    """Train with the trial's parameters.

    Raises:
        UsageError: The trainer measures nothing under the name of an objective: no trial could succeed.
        OutputError: The folder of the trial cannot be written.
    """
    run = _TrialRun(trial, bench)
    try:
        return run.follow()
    finally:
        clear_state(run.folder)


class _TrialRun:
    """A training that is followed from its start to its end."""

    def __init__(self, trial: "Trial", bench: _Bench) -> None:
        self._trial = trial
        self._bench = bench
        self._space = bench.space
        self._started = self._last_sign = time.perf_counter()
        self._scores: dict[str, list[float]] = {objective.metric: [] for objective in self._measured()}
        self._epochs = 0
        self.folder = _trial_folder(bench.folder, trial.number)
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
        if time.perf_counter() - self._last_sign > _HEARTBEAT_SECONDS:
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


def _trial_folder(sweep: Path, number: int) -> Path:
    """Run folder of a trial."""
    return sweep / "trials" / f"{number:04}"


_LONGEST_REASON = 120


class _ProgressLines:
    """Words what happened; counts the trials of all computers.

    Args:
        study: Of the sweep.
        space: What is searched.
        n_trials: How many are to be done.
    """

    def __init__(self, study: "SweepStudy", space: Space, n_trials: int) -> None:
        self._study = study
        self._space = space
        self._n_trials = study.n_planned(n_trials)
        self._started = time.perf_counter()
        self._ended_here = 0

    def line(self, trial: "Trial", ending: Ending) -> str:
        """What a person reads when a trial ended."""
        from organscope.sweep.study import ENDED, counted

        self._ended_here += 1
        n_ended = sum(other.state in ENDED for other in counted(self._study.trials()))
        pace = (time.perf_counter() - self._started) / self._ended_here
        left = max(0, self._n_trials - n_ended) * pace
        parts = [f"[{n_ended}/{self._n_trials}] trial {trial.number} {ending.end}", self._result(ending)]
        parts += [_shown_parameters(trial.params), f"{ending.seconds:.0f} s"]
        if n_ended < self._n_trials:
            parts.append(f"about {left / 60:.0f} min left")
        return "  ".join(part for part in parts if part)

    def _result(self, ending: Ending) -> str:
        if not ending.values:
            return f"({ending.reason[:_LONGEST_REASON]})"
        pairs = zip(self._space.objectives, ending.values, strict=True)
        return ", ".join(f"{objective.metric} {value:.4g}" for objective, value in pairs)


def _shown_parameters(parameters: dict[str, Any]) -> str:
    """Parameters in a line, by the last part of their names."""
    return " ".join(f"{name.rpartition('.')[2]}={shown_value(value)}" for name, value in parameters.items())


_DATABASE = "study.db"


@dataclass(frozen=True)
class SweepResult:
    """What a sweep came to.

    Attributes:
        table: One row a trial, see `trial_table`.
        files: What lies in the folder.
    """

    table: pd.DataFrame
    files: SweepFiles


@dataclass(frozen=True)
class Means:
    """What a sweep runs with.

    Attributes:
        n_trials: How many trials are to be done in all, those before an interruption and of other computers included.
        jobs: Trials at a time.
        storage: URL of a storage. Default: `study.db` in the folder.
        resume: Go on with the sweep in the folder.
        track: Which trackers follow the trials.
    """

    n_trials: int
    jobs: int = 1
    storage: str | None = None
    resume: bool = False
    track: str = "none"


def run_sweep(space: Space, folder: Path, means: Means, report: Report = lambda line: None) -> SweepResult:
    """Search the space; whatever ends it, the trials that ended are kept and shown.

    Args:
        space: What is searched.
        folder: Gets `space.json`, `study.db`, `trials/`, `trials.csv`, `sweep.html` and `best.toml`.
        means: How many trials, how many at a time, where the study is kept.
        report: Gets one line a trial.

    Raises:
        UsageError: The space does not fit the trainer, or the folder holds another sweep.
        OutputError: The folder cannot be written.
        KeyboardInterrupt: The person stopped it; running trials are stopped and will be run again.
    """
    check_space(space)
    url = _storage_url(folder, means)
    with closing(SweepStudy(space, url)) as study:
        write_space(space, folder)
        for number in study.give_up_lost():
            report(f"trial {number} was lost when its sweep was killed; it is run again")
        _run_trials(study, space, folder, means, report)
        return SweepResult(trial_table(study.study, space), write_outcome(study.study, space, folder))


def _run_trials(study: SweepStudy, space: Space, folder: Path, means: Means, report: Report) -> None:
    stop = threading.Event()
    tracking = {"to": means.track, "sweep": space.name, "folder": str(folder.resolve().parent)}
    threads = None if means.jobs == 1 else max(1, (os.cpu_count() or 1) // means.jobs)
    bench = _Bench(space, folder, tracking, threads, stop, study.heartbeat)
    lines = _ProgressLines(study, space, means.n_trials)

    def work() -> None:
        while not stop.is_set() and (trial := study.next_trial(means.n_trials)) is not None:
            ending = _run_one(trial, bench, study)
            report(lines.line(trial, ending))

    with ThreadPoolExecutor(means.jobs, "trial") as pool:
        futures = [pool.submit(work) for _ in range(means.jobs)]
        try:
            wait(futures, return_when=FIRST_EXCEPTION)
        except KeyboardInterrupt:
            stop.set()
            wait(futures)
            n_done = len(counted(study.trials()))
            write_outcome(study.study, space, folder)
            raise KeyboardInterrupt(
                f"{n_done} of {means.n_trials} trials are kept in {folder}. "
                "Give the same command with --resume to go on."
            ) from None
        finally:
            stop.set()
        for future in futures:
            future.result()


def _run_one(trial: Trial, bench: _Bench, study: SweepStudy) -> Ending:
    try:
        ending = _run_trial(trial, bench)
    except BaseException as error:
        study.finish(trial, Ending("interrupted", reason=str(error)), again=False)
        raise
    study.finish(trial, ending)
    return ending


def _storage_url(folder: Path, means: Means) -> str:
    """The storage; a local one is neither overwritten nor begun anew by mistake."""
    make_folder(folder)
    if means.storage is not None:
        return means.storage
    database = folder / _DATABASE
    if database.exists() and not means.resume:
        raise UsageError(f"{folder} already holds a sweep. Add --resume to go on, or choose another folder with -o.")
    return f"sqlite:///{database.resolve()}"
