"""Everything that the page shows, opened once."""

import sqlite3
import threading
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

from organscope.dashboard.runs import Run, RunStore
from organscope.dashboard.stores import Stores
from organscope.dashboard.subprocess_server import ServerProcess, mlflow_page, optuna_page
from organscope.dashboard.sweeps import SweepStore
from organscope.errors import OrganscopeError

_MLFLOW = "mlflow"
_AFTER_VIEW_S = 1.0


class Shelf:
    """Stores of runs and sweeps, and the pages of the programs that made them.

    Args:
        stores: What was found.
        report: Gets a sentence for each store that cannot be read; the others are shown.
    """

    def __init__(self, stores: Stores, report: Callable[[str], None]) -> None:
        self.folder = stores.folder
        self._starting: threading.Timer | None = None
        self.problems: list[str] = []
        self.runs: list[RunStore] = []
        self.sweeps: dict[str, SweepStore] = {}
        for database in stores.databases:
            self._open(str(database), partial(self._add_runs, database), report)
        for key, folder in stores.sweeps.items():
            self._open(str(folder), partial(self._add_sweep, key, folder), report)
        self.companions: dict[str, ServerProcess] = {}
        for number, store in enumerate(self.runs):
            self.companions[f"{_MLFLOW}{number or ''}"] = mlflow_page(store.address)
        for key, sweep in self.sweeps.items():
            self.companions[key] = optuna_page(sweep.address)

    def all_runs(self) -> list[Run]:
        """Of all stores, the newest first."""
        found = [run for store in self.runs for run in store.runs().values()]
        return sorted(found, key=lambda run: -run.started_ms)

    def _add_runs(self, database: Path) -> None:
        self.runs.append(_readable(RunStore(database)))

    def _add_sweep(self, key: str, folder: Path) -> None:
        self.sweeps[key] = SweepStore(folder)

    def find(self, run_id: str) -> tuple[RunStore, Run] | None:
        """A run and the store that holds it."""
        for store in self.runs:
            if (run := store.runs().get(run_id)) is not None:
                return store, run
        return None

    def stamps(self) -> list[Any]:
        """Change with what the first view shows."""
        return [store.stamp for store in self.runs] + [self._companion_states()]

    def plan_companions(self) -> None:
        """Let MLflow's page, and that of Optuna over the newest sweep, start after the first view.

        Those of other sweeps start when they are asked for.
        """
        newest = max(self.sweeps, key=lambda key: self.sweeps[key].stamp, default=None)
        for key, companion in self.companions.items():
            companion.planned = key in (_MLFLOW, newest)

    def viewed(self) -> None:
        """Called when the first view was sent: what was planned is started a moment later.

        Both programs compute for seconds when they start, which the first view would wait for.
        """
        if self._starting is None and any(companion.planned for companion in self.companions.values()):
            self._starting = threading.Timer(_AFTER_VIEW_S, self._start_planned)
            self._starting.daemon = True
            self._starting.start()

    def stop_companions(self) -> None:
        """All that were started."""
        if self._starting is not None:
            self._starting.cancel()
        for companion in self.companions.values():
            companion.planned = False
            companion.stop()

    def companion_records(self) -> dict[str, dict[str, Any]]:
        """What the page says of each companion."""
        return {
            key: {
                "label": companion.label,
                "state": companion.state,
                "address": companion.address,
                "missing": companion.missing if companion.state == "missing" else "",
            }
            for key, companion in self.companions.items()
        }

    def _start_planned(self) -> None:
        for companion in self.companions.values():
            if companion.planned:
                companion.start()

    def _companion_states(self) -> list[str]:
        return [companion.state for companion in self.companions.values()]

    def _open(self, name: str, opening: Callable[[], None], report: Callable[[str], None]) -> None:
        from mlflow.exceptions import MlflowException

        try:
            opening()
        except (OrganscopeError, MlflowException, sqlite3.Error, ValueError) as error:
            reason = " ".join(str(error).split())[:300]
            self.problems.append(f"{name} cannot be read and is left out: {reason}")
            report(self.problems[-1])


def _readable(store: RunStore) -> RunStore:
    """Read once before the first request: the first view then comes from memory."""
    store.runs()
    return store
