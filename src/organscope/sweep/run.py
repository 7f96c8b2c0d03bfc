"""A whole sweep: trials in threads, each a subprocess, until enough are done; and what it leaves in its folder."""

import os
import threading
from concurrent.futures import FIRST_EXCEPTION, ThreadPoolExecutor, wait
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

import pandas as pd
from optuna import Trial

from organscope.errors import UsageError
from organscope.sweep.configuration import check_space
from organscope.sweep.ending import Ending
from organscope.sweep.kept import make_folder, write_space
from organscope.sweep.one_trial import Bench, run_trial
from organscope.sweep.outcome import SweepFiles, write_outcome
from organscope.sweep.progress import ProgressLines
from organscope.sweep.space import Space
from organscope.sweep.study import SweepStudy, counted
from organscope.sweep.table import trial_table
from organscope.train.run import Report

DATABASE = "study.db"


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
        storage: URL of a storage; `study.db` in the folder if left out.
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
    bench = Bench(space, folder, tracking, threads, stop, study.heartbeat)
    lines = ProgressLines(study, space, means.n_trials)

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


def _run_one(trial: Trial, bench: Bench, study: SweepStudy) -> Ending:
    try:
        ending = run_trial(trial, bench)
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
    database = folder / DATABASE
    if database.exists() and not means.resume:
        raise UsageError(f"{folder} already holds a sweep. Add --resume to go on, or choose another folder with -o.")
    return f"sqlite:///{database.resolve()}"
