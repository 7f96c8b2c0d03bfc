"""The trials of a sweep as a table, and the best of them."""

from typing import TYPE_CHECKING, Any

import pandas as pd

from organscope.sweep.space import Space

if TYPE_CHECKING:
    from optuna import Study
    from optuna.trial import FrozenTrial

STATES = {"COMPLETE": "complete", "PRUNED": "pruned", "FAIL": "failed", "RUNNING": "running", "WAITING": "waiting"}


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
    state = "interrupted" if facts.get("uncounted") else STATES[trial.state.name]
    row = {"trial": trial.number, "state": state, "best": trial.number in winners, **trial.params}
    row |= {key: facts.get(key) for key in ("epochs", "seconds", "reason", "host")}
    values = trial.values if trial.state.name == "COMPLETE" else _reached(trial, space)
    return row | {objective.metric: value for objective, value in zip(space.objectives, values, strict=False)}


def _reached(trial: "FrozenTrial", space: Space) -> list[float]:
    reported = list(trial.intermediate_values.values())
    return [space.objectives[0].best(reported)] if reported else []
