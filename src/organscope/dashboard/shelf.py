"""Everything that the page shows, opened once."""

import sqlite3
from collections.abc import Callable
from typing import Any

from organscope.dashboard.companion import Companion, mlflow_page, optuna_page
from organscope.dashboard.runs import Run, RunStore
from organscope.dashboard.stores import Stores
from organscope.dashboard.sweeps import SweepStore
from organscope.errors import OrganscopeError

MLFLOW = "mlflow"


class Shelf:
    """Stores of runs and sweeps, and the pages of the programs that made them.

    Args:
        stores: What was found.
        report: Gets a sentence for each store that cannot be read; the others are shown.
    """

    def __init__(self, stores: Stores, report: Callable[[str], None]) -> None:
        self.folder = stores.folder
        self.problems: list[str] = []
        self.runs: list[RunStore] = []
        self.sweeps: dict[str, SweepStore] = {}
        for database in stores.databases:
            self._open(str(database), lambda path=database: self.runs.append(_readable(RunStore(path))), report)
        for key, folder in stores.sweeps.items():
            self._open(str(folder), lambda k=key, path=folder: self.sweeps.update({k: SweepStore(path)}), report)
        self.companions: dict[str, Companion] = {}
        for number, store in enumerate(self.runs):
            self.companions[f"{MLFLOW}{number or ''}"] = mlflow_page(store.address)
        for key, sweep in self.sweeps.items():
            self.companions[key] = optuna_page(sweep.address)

    def all_runs(self) -> list[Run]:
        """Of all stores, the newest first."""
        found = [run for store in self.runs for run in store.runs().values()]
        return sorted(found, key=lambda run: -run.started_ms)

    def find(self, run_id: str) -> tuple[RunStore, Run] | None:
        """A run and the store that holds it."""
        for store in self.runs:
            if (run := store.runs().get(run_id)) is not None:
                return store, run
        return None

    def stamps(self) -> list[Any]:
        """Change with what the first view shows."""
        return [store.stamp for store in self.runs] + [self._companion_states()]

    def start_companions(self) -> None:
        """MLflow's page, and that of Optuna over the newest sweep; those of other sweeps start when asked for."""
        newest = max(self.sweeps, key=lambda key: self.sweeps[key].stamp, default=None)
        for key, companion in self.companions.items():
            if key in (MLFLOW, newest):
                companion.start()

    def stop_companions(self) -> None:
        """All that were started."""
        for companion in self.companions.values():
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
