"""One line for every trial that ended, with the time left."""

import time
from typing import TYPE_CHECKING, Any

from organscope.sweep.ending import Ending
from organscope.sweep.space import Space

if TYPE_CHECKING:
    from optuna import Trial

    from organscope.sweep.study import SweepStudy

LONGEST_REASON = 120


class ProgressLines:
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
        parts += [shown_parameters(trial.params), f"{ending.seconds:.0f} s"]
        if n_ended < self._n_trials:
            parts.append(f"about {left / 60:.0f} min left")
        return "  ".join(part for part in parts if part)

    def _result(self, ending: Ending) -> str:
        if not ending.values:
            return f"({ending.reason[:LONGEST_REASON]})"
        pairs = zip(self._space.objectives, ending.values, strict=True)
        return ", ".join(f"{objective.metric} {value:.4g}" for objective, value in pairs)


def shown_parameters(parameters: dict[str, Any]) -> str:
    """Parameters in a line, by the last part of their names."""
    return " ".join(f"{name.rpartition('.')[2]}={shown_value(value)}" for name, value in parameters.items())


def shown_value(value: Any) -> str:
    """A value in few letters."""
    return f"{value:.3g}" if isinstance(value, float) else str(value)
