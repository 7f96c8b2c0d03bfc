"""A run in MLflow: a SQLite database and a folder of artifacts, no server."""

import io
import logging
import math
import os
import sqlite3
import time
from collections.abc import Mapping, Sequence
from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pandas as pd

from organscope.tracking.base import Outcome, RunFacts

if TYPE_CHECKING:
    from mlflow import MlflowClient


DATABASE = "mlflow.db"
ARTIFACTS = "mlflow-artifacts"
_LONGEST_VALUE = 500
_PARAMETERS_A_CALL = 100
_POINTS_A_CALL = 1000
_STATUS: dict[Outcome, str] = {"finished": "FINISHED", "failed": "FAILED", "interrupted": "KILLED"}


class MlflowTracker:
    """Writes to `mlflow.db` in the store's folder. To see it: `mlflow ui --backend-store-uri
    sqlite:///runs/mlflow.db`.
    """

    def __init__(self) -> None:
        self._new_client = quiet_client()

    def start(self, facts: RunFacts) -> str:
        """See `Tracker`."""
        require_database(facts.store / DATABASE)
        self._client = self._new_client(f"sqlite:///{facts.store / DATABASE}")
        if facts.known_as is not None:
            self._run_id = facts.known_as
            self._client.update_run(self._run_id, status="RUNNING")
            return self._run_id
        experiment = self._experiment(facts)
        tags = {**facts.tags, "run_folder": str(facts.run_folder)}
        self._run_id = self._client.create_run(experiment, tags=tags, run_name=facts.name).info.run_id
        self._log_parameters(_flatten(facts.config))
        self._client.log_text(self._run_id, facts.environment, "environment.txt")
        self._client.log_dict(self._run_id, dict(facts.config), "config.json")
        return self._run_id

    def log_metrics(self, metrics: Mapping[str, float], epoch: int) -> None:
        """See `Tracker`."""
        self._log_points([(name, value, epoch) for name, value in metrics.items()])

    def log_steps(self, name: str, values: Sequence[float], first_step: int) -> None:
        """See `Tracker`."""
        self._log_points([(name, value, first_step + number) for number, value in enumerate(values)])

    def log_picture(self, name: str, png: bytes) -> None:
        """See `Tracker`."""
        from PIL import Image

        with Image.open(io.BytesIO(png)) as image:
            self._client.log_image(self._run_id, image.convert("RGB"), artifact_file=f"{name}.png")

    def log_table(self, name: str, table: pd.DataFrame) -> None:
        """See `Tracker`."""
        self._client.log_text(self._run_id, table.to_csv(index=False), f"{name}.csv")

    def log_artifact(self, name: str, path: Path) -> None:
        """See `Tracker`."""
        if path.is_dir():
            self._client.log_artifacts(self._run_id, str(path), name)
        else:
            self._client.log_artifact(self._run_id, str(path))

    def log_facts(self, facts: Mapping[str, str]) -> None:
        """See `Tracker`."""
        for name, value in facts.items():
            self._client.set_tag(self._run_id, name, value)

    def finish(self, outcome: Outcome) -> None:
        """See `Tracker`."""
        self._client.set_terminated(self._run_id, _STATUS[outcome])

    def _experiment(self, facts: RunFacts) -> str:
        from mlflow.exceptions import MlflowException

        found = self._client.get_experiment_by_name(facts.project)
        if found is None:
            try:
                return self._client.create_experiment(facts.project, (facts.store / ARTIFACTS).as_uri())
            except MlflowException:
                # Another trial made it in between.
                found = self._client.get_experiment_by_name(facts.project)
        return found.experiment_id

    def _log_points(self, points: list[tuple[str, float, int]]) -> None:
        from mlflow.entities import Metric

        now = int(time.time() * 1000)
        # No database holds not-a-number or infinities in the same way, and no curve shows them.
        known = [Metric(name, value, now, position) for name, value, position in points if math.isfinite(value)]
        for first in range(0, len(known), _POINTS_A_CALL):
            self._client.log_batch(self._run_id, metrics=known[first : first + _POINTS_A_CALL], synchronous=True)

    def _log_parameters(self, parameters: Mapping[str, Any]) -> None:
        from mlflow.entities import Param

        entries = [Param(name, str(value)[:_LONGEST_VALUE]) for name, value in parameters.items()]
        for first in range(0, len(entries), _PARAMETERS_A_CALL):
            self._client.log_batch(self._run_id, params=entries[first : first + _PARAMETERS_A_CALL], synchronous=True)


def quiet_client() -> "type[MlflowClient]":
    """MLflow's client, imported so that it neither sends telemetry nor writes to the terminal."""
    # Before the import, which reads them.
    os.environ.setdefault("MLFLOW_DISABLE_TELEMETRY", "true")
    os.environ.setdefault("MLFLOW_CONFIGURE_LOGGING", "false")
    os.environ.setdefault("MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR", "false")
    for name in ("mlflow", "alembic"):
        logging.getLogger(name).setLevel(logging.CRITICAL)
    from mlflow import MlflowClient

    return MlflowClient


def require_database(path: Path) -> None:
    """Fail at once where there can be no database: MLflow would try again for minutes.

    Raises:
        sqlite3.Error: The file cannot be made, or is no database.
    """
    with closing(sqlite3.connect(path)) as connection:
        connection.execute("PRAGMA schema_version")


def _flatten(config: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    """Nested tables as `table.key`."""
    flat: dict[str, Any] = {}
    for key, value in config.items():
        name = f"{prefix}{key}"
        flat |= _flatten(value, f"{name}.") if isinstance(value, Mapping) else {name: value}
    return flat
