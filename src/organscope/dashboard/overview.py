"""The first view: all runs as columns, so that hundreds are a small answer."""

import hashlib
from collections.abc import Sequence
from typing import Any

from organscope.dashboard.runs import Run

_MOST_DIGITS = 6


def overview_of(runs: Sequence[Run]) -> dict[str, Any]:
    """Runs as the page wants them.

    Returns:
        `runs`: a record a run. `metrics`: the last value of each metric, a list a metric in the order of the runs.
        `params`: the same for settings that differ between runs. `constant`: settings that are the same in all.
    """
    names = sorted({name for run in runs for name in run.params})
    columns = {name: [run.params.get(name, "") for run in runs] for name in names}
    metrics = sorted({name for run in runs for name in run.metrics})
    return {
        "runs": [_record(run) for run in runs],
        "metrics": {name: [_rounded(run.metrics.get(name)) for run in runs] for name in metrics},
        "params": {name: values for name, values in columns.items() if len(set(values)) > 1},
        "constant": {name: values[0] for name, values in columns.items() if len(set(values)) == 1},
    }


def tag_of(*parts: object) -> str:
    """A short text that changes with what it is made of, for the browser to ask by."""
    return '"' + hashlib.sha256(repr(parts).encode()).hexdigest()[:20] + '"'


def _record(run: Run) -> dict[str, Any]:
    return {
        "id": run.id,
        "name": run.name,
        "experiment": run.experiment,
        "experiment_id": run.experiment_id,
        "status": run.status,
        "started_ms": run.started_ms,
        "seconds": run.seconds,
        "task": run.task,
        "sweep": run.sweep,
        "trial": run.trial,
        "network": run.network,
    }


def _rounded(value: float | None) -> float | None:
    return None if value is None else float(f"{value:.{_MOST_DIGITS}g}")
