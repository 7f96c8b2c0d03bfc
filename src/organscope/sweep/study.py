"""The study of a sweep: which trial comes next, which ended how, and which were lost when their sweep was killed.

Where a study is kept: a SQLite file for one computer, PostgreSQL for many.

How a trial ended.

The trials of a sweep as a table, and the best of them.
"""

import hashlib
import importlib.util
import itertools
import logging
import os
import platform
import threading
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
import optuna
import pandas as pd
from optuna.exceptions import DuplicatedStudyError, UpdateFinishedTrialError
from optuna.trial import FrozenTrial, TrialState

from organscope.errors import MissingExtraError, UsageError
from organscope.sweep.space import Space
from organscope.sweep.trial_process import now, process_started

if TYPE_CHECKING:
    from optuna import Study
    from optuna.storages import RDBStorage
    from sqlalchemy.engine import URL


_POSTGRESQL = ("postgresql", "postgres")
_DRIVER = "postgresql+psycopg"
_LOCK = 0x6F7267616E
"""The letters of organ: a number that no other program asks for."""


@contextmanager
def opened_storage(url: str) -> Iterator["RDBStorage"]:
    """Open or make the tables of a storage; within the block no other computer does, where it is PostgreSQL.

    Args:
        url: `sqlite:///file.db` or `postgresql://user:password@host/database`.

    Raises:
        UsageError: The URL has no meaning, or the database does not answer.
        MissingExtraError: The driver of PostgreSQL is not installed.
    """
    from sqlalchemy.exc import SQLAlchemyError

    address = _address(url)
    quieten()
    from optuna.storages import RDBStorage

    try:
        with _alone(address):
            # A connection that the server closed during a long trial is opened again.
            yield RDBStorage(address.render_as_string(hide_password=False), engine_kwargs={"pool_pre_ping": True})
    except (SQLAlchemyError, ImportError) as error:
        reason = " ".join(str(getattr(error, "orig", None) or error).split())
        raise UsageError(f"The storage {address.render_as_string()} cannot be used: {reason[:300]}") from error


def _address(url: str) -> "URL":
    from sqlalchemy.engine import make_url
    from sqlalchemy.exc import ArgumentError

    try:
        address = make_url(url)
    except ArgumentError as error:
        raise UsageError(
            f"Expected a storage such as sqlite:///study.db or postgresql://user@host/database, found {url!r}."
        ) from error
    if address.drivername not in _POSTGRESQL:
        return address
    if importlib.util.find_spec("psycopg") is None:
        raise MissingExtraError(
            "Expected the package 'psycopg' for a study in PostgreSQL, found none. "
            "Install the extra [postgresql] from the checkout: pip install '.[postgresql]'"
        )
    return address.set(drivername=_DRIVER)


@contextmanager
def _alone(address: "URL") -> Iterator[None]:
    """Hold a lock that all computers ask for: two that make the same tables at once would both fail."""
    from sqlalchemy import create_engine

    if address.drivername != _DRIVER:
        yield
        return
    engine = create_engine(address)
    try:
        with engine.connect() as connection:
            connection.exec_driver_sql(f"SELECT pg_advisory_lock({_LOCK})")
            yield
    finally:
        # The lock goes with the connection.
        engine.dispose()


def quieten() -> None:
    """Optuna and its migrations say nothing: the sweep has its own line for every trial."""
    logging.getLogger("alembic").setLevel(logging.CRITICAL)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        import optuna
    optuna.logging.set_verbosity(optuna.logging.CRITICAL)


End = Literal["complete", "pruned", "failed", "interrupted"]


@dataclass(frozen=True)
class Ending:
    """What is kept of a trial.

    Attributes:
        end: `interrupted` trials are run again, all others count.
        values: One for each objective, where it is complete.
        reason: Why it ended otherwise, or what a reader should know.
        epochs: Whole epochs.
        seconds: From start to end.
    """

    end: End
    values: tuple[float, ...] = ()
    reason: str = ""
    epochs: int = 0
    seconds: float = 0.0


_LOST_SECONDS = 300
"""A trial of another computer that was not heard of for so long is lost."""

_FINGERPRINT, _REASON, _UNCOUNTED, _SEEN = "space", "reason", "uncounted", "seen"
_TRIAL_STATES = {"complete": TrialState.COMPLETE, "pruned": TrialState.PRUNED}
ENDED = (TrialState.COMPLETE, TrialState.PRUNED, TrialState.FAIL)


class SweepStudy:
    """A study that several threads and several computers work on.

    Args:
        space: What is searched.
        url: Storage.
    """

    def __init__(self, space: Space, url: str) -> None:
        self._space = space
        self._lock = threading.Lock()
        with opened_storage(url) as self._storage:
            self.study = self._joined()
        self.study.pruner = _pruner(space)

    def _joined(self) -> optuna.Study:
        """The study, made where it is not there yet."""
        space = self._space
        directions = [objective.direction for objective in space.objectives]
        try:
            study = optuna.create_study(storage=self._storage, study_name=space.name, directions=directions)
        except DuplicatedStudyError:
            study = optuna.load_study(storage=self._storage, study_name=space.name)
            if study.user_attrs.get(_FINGERPRINT) != fingerprint(space):
                self.close()
                raise UsageError(
                    f"The storage holds a sweep {space.name!r} of another space. Give the space another name, or go on "
                    "with the file it was started with."
                ) from None
            return study
        study.set_user_attr(_FINGERPRINT, fingerprint(space))
        for combination in _grid(space) if space.sampler.kind == "grid" else ():
            study.enqueue_trial(combination)
        return study

    def close(self) -> None:
        """Give back the connections to the storage."""
        self._storage.remove_session()
        self._storage.engine.dispose()

    def next_trial(self, n_trials: int) -> optuna.Trial | None:
        """Begin the next trial, its parameters drawn; nothing where `n_trials` are done or begun, or a target is met.

        The draw follows from the seed, the number of the trial and the results before it alone.
        """
        with self._lock:
            known = self.trials()
            waiting = any(trial.state == TrialState.WAITING for trial in known)
            is_exhausted = self._space.sampler.kind == "grid" and not waiting
            if len(counted(known)) >= n_trials or is_exhausted or self._target_is_met(known):
                return None
            trial = self.study.ask()
            # Independent of what the storage does in between, and the same again after an interruption.
            self.study.sampler = _sampler(self._space, trial.number)
            for name, parameter in self._space.parameters.items():
                _draw(trial, name, parameter.distribution())
            for key, value in _owner().items():
                trial.set_user_attr(key, value)
        before = [other for other in counted(self.trials()) if other.number < trial.number]
        if len(before) < n_trials:
            return trial
        # Another computer began the last one at the same moment.
        self.finish(trial, Ending("interrupted", reason="one trial too many"), again=False)
        return None

    def finish(self, trial: optuna.Trial, ending: Ending, *, again: bool = True) -> None:
        """Record how a trial ended; an interrupted one does not count and, unless `again` is false, is run again."""
        facts = {_REASON: ending.reason, "epochs": ending.epochs, "seconds": round(ending.seconds, 2)}
        facts |= {_UNCOUNTED: True} if ending.end == "interrupted" else {}
        with self._lock:
            for key, value in facts.items():
                trial.set_user_attr(key, value)
            state = _TRIAL_STATES.get(ending.end, TrialState.FAIL)
            values = list(ending.values) if state == TrialState.COMPLETE else None
            self.study.tell(trial, values, state)
            if ending.end == "interrupted" and again:
                self.study.enqueue_trial(trial.params, user_attrs={"again": trial.number})

    def heartbeat(self, trial: optuna.Trial) -> None:
        """Say that a trial is still followed."""
        trial.set_user_attr(_SEEN, now())

    def give_up_lost(self) -> list[int]:
        """Mark trials whose sweep was killed as failed, and enqueue their parameters again; their numbers."""
        storage, lost = self._storage, []
        for trial in self.trials():
            if trial.state != TrialState.RUNNING or not _is_lost(trial):
                continue
            try:
                storage.set_trial_user_attr(trial._trial_id, _REASON, "the sweep was killed while it ran")
                storage.set_trial_user_attr(trial._trial_id, _UNCOUNTED, True)
                storage.set_trial_state_values(trial._trial_id, TrialState.FAIL)
            except UpdateFinishedTrialError:
                # Another worker was faster.
                continue
            if set(trial.params) == set(self._space.parameters):
                self.study.enqueue_trial(trial.params, user_attrs={"again": trial.number})
            lost.append(trial.number)
        return lost

    def trials(self) -> list[FrozenTrial]:
        """All, by number."""
        return self.study.get_trials(deepcopy=False)

    def n_planned(self, n_trials: int) -> int:
        """How many trials will count when all are done."""
        if self._space.sampler.kind != "grid":
            return n_trials
        return min(n_trials, len(_grid(self._space)))

    def _target_is_met(self, trials: list[FrozenTrial]) -> bool:
        aims = [(place, aim) for place, aim in enumerate(self._space.objectives) if aim.target is not None]
        done = [trial for trial in trials if trial.state == TrialState.COMPLETE] if aims else []
        return any(all(aim.reached(trial.values[place]) for place, aim in aims) for trial in done)


def counted(trials: list[FrozenTrial]) -> list[FrozenTrial]:
    """Those that were begun and not interrupted."""
    return [t for t in trials if t.state != TrialState.WAITING and not t.user_attrs.get(_UNCOUNTED)]


def fingerprint(space: Space) -> str:
    """The same for the same space and base configuration, wherever they lie."""
    content = space.model_dump_json(exclude={"config", "trials"}) + space.config.read_text(encoding="utf-8")
    return hashlib.sha256(content.encode()).hexdigest()


def _is_lost(trial: FrozenTrial) -> bool:
    """Whether nobody follows a running trial any more."""
    facts = trial.user_attrs
    if facts.get("host") == platform.node() and "pid" in facts:
        return process_started(facts["pid"]) != facts["pid_started"]
    begun = trial.datetime_start.timestamp() if trial.datetime_start else 0.0
    return now() - facts.get(_SEEN, begun) > _LOST_SECONDS


def _owner() -> dict[str, Any]:
    pid = os.getpid()
    return {"host": platform.node(), "pid": pid, "pid_started": process_started(pid), _SEEN: now()}


def _sampler(space: Space, number: int) -> optuna.samplers.BaseSampler:
    seed = int(np.random.SeedSequence((space.sampler.seed, number)).generate_state(1)[0])
    if space.sampler.kind == "tpe":
        # Each parameter by itself: a joint draw is made before the number of the trial is known.
        return optuna.samplers.TPESampler(seed=seed, n_startup_trials=space.sampler.startup, multivariate=False)
    return optuna.samplers.RandomSampler(seed=seed)


def _pruner(space: Space) -> optuna.pruners.BasePruner:
    rule = space.pruner
    if not space.prunes:
        return optuna.pruners.NopPruner()
    longest = rule.max_epochs or space.epochs
    return optuna.pruners.HyperbandPruner(
        min_resource=rule.min_epochs, max_resource=longest or "auto", reduction_factor=rule.reduction_factor
    )


def _draw(trial: optuna.Trial, name: str, distribution: optuna.distributions.BaseDistribution) -> None:
    if isinstance(distribution, optuna.distributions.CategoricalDistribution):
        trial.suggest_categorical(name, distribution.choices)
    elif isinstance(distribution, optuna.distributions.IntDistribution):
        trial.suggest_int(name, distribution.low, distribution.high, step=distribution.step, log=distribution.log)
    else:
        trial.suggest_float(name, distribution.low, distribution.high, step=distribution.step, log=distribution.log)


def _grid(space: Space) -> list[dict[str, Any]]:
    names = list(space.parameters)
    lists = [parameter.grid(name) for name, parameter in space.parameters.items()]
    return [dict(zip(names, combination, strict=True)) for combination in itertools.product(*lists)]


_STATE_WORDS = {
    "COMPLETE": "complete",
    "PRUNED": "pruned",
    "FAIL": "failed",
    "RUNNING": "running",
    "WAITING": "waiting",
}


def trial_table(study: "Study", space: Space) -> pd.DataFrame:
    """One row a trial, by number.

    Returns:
        Columns `trial`, `state` (complete, pruned, failed, interrupted, running), one for each objective (of a pruned
        trial: the best that it reached), `best` (the winner, or on the Pareto front), `epochs`, `seconds`, `reason`,
        `host`, and one for each parameter.
    """
    winners = set(best_numbers(study, space))
    rows = [_row(trial, space, winners) for trial in study.get_trials(deepcopy=False) if trial.state.name != "WAITING"]
    metrics = [objective.metric for objective in space.objectives]
    columns = ["trial", "state", *metrics, "best", "epochs", "seconds", "reason", "host", *space.parameters]
    return pd.DataFrame(rows, columns=columns)


def best_numbers(study: "Study", space: Space) -> list[int]:
    """Numbers of the best trials, the winner first: one, or with several objectives the Pareto front.

    Of a front, the winner is the best in the first objective.
    """
    done = [trial for trial in study.get_trials(deepcopy=False) if trial.state.name == "COMPLETE"]
    if not done:
        return []
    first = space.objectives[0]
    front = study.best_trials if len(space.objectives) > 1 else [study.best_trial]
    sign = -1 if first.direction == "maximize" else 1
    return [trial.number for trial in sorted(front, key=lambda trial: (sign * trial.values[0], trial.number))]


def learning_curves(study: "Study") -> dict[int, dict[int, float]]:
    """The first objective by epoch, for each trial that reported it."""
    return {
        trial.number: dict(sorted(trial.intermediate_values.items()))
        for trial in study.get_trials(deepcopy=False)
        if trial.intermediate_values
    }


def _row(trial: "FrozenTrial", space: Space, winners: set[int]) -> dict[str, Any]:
    facts = trial.user_attrs
    state = "interrupted" if facts.get("uncounted") else _STATE_WORDS[trial.state.name]
    row = {"trial": trial.number, "state": state, "best": trial.number in winners, **trial.params}
    row |= {key: facts.get(key) for key in ("epochs", "seconds", "reason", "host")}
    values = trial.values if trial.state.name == "COMPLETE" else _reached(trial, space)
    return row | {objective.metric: value for objective, value in zip(space.objectives, values, strict=False)}


def _reached(trial: "FrozenTrial", space: Space) -> list[float]:
    reported = list(trial.intermediate_values.values())
    return [space.objectives[0].best(reported)] if reported else []
