"""The result of one task: its value, or the error that it ended with."""

import pickle
import traceback
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, Generic, TypeVar, cast

_Task = TypeVar("_Task")
_Result = TypeVar("_Result")


@dataclass(frozen=True)
class Outcome(Generic[_Result]):
    """How a task ended.

    Attributes:
        value: What the function returned; None where it raised.
        error: What it raised; None where it returned.
        trace: Where it was raised, for `--debug`; empty where nothing was.
    """

    value: _Result | None = None
    error: Exception | None = None
    trace: str = ""

    def result(self) -> _Result:
        """The value.

        Raises:
            Exception: The error, if there is one.
        """
        if self.error is not None:
            raise self.error
        return cast(_Result, self.value)


def attempt(function: Callable[[_Task], _Result], task: _Task) -> Outcome[_Result]:
    """Call the function; Ctrl-C is no outcome and passes through."""
    try:
        return Outcome(function(task))
    except Exception as error:
        return Outcome(error=error, trace=traceback.format_exc())


def attempt_pickled(function: bytes, task: Any) -> Outcome:
    """The same in another process: the function is unpickled at its first task, and what comes back can be sent."""
    try:
        loaded = _unpickle(function)
    except Exception as error:
        return _sendable(Outcome(error=error, trace=traceback.format_exc()))
    return _sendable(attempt(loaded, task))


def prepare_pickled(function: bytes) -> None:
    """Load the function before its first task; where that fails, the first task says why."""
    with suppress(Exception):
        _unpickle(function)


@lru_cache(maxsize=1)
def _unpickle(function: bytes) -> Callable:
    """Kept, because unpickling loads the bundles; one at a time, because a worker of a cluster outlives a run."""
    loaded = pickle.loads(function)
    if hasattr(loaded, "prepare"):
        loaded.prepare()
    return loaded


def _sendable(outcome: Outcome) -> Outcome:
    """An error of a library that cannot be pickled would stop the queue between processes."""
    if outcome.error is None:
        return outcome
    try:
        pickle.loads(pickle.dumps(outcome.error))
    except Exception:
        return Outcome(error=RuntimeError(f"{type(outcome.error).__name__}: {outcome.error}"), trace=outcome.trace)
    return outcome
