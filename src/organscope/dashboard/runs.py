"""Tracked runs, read through MLflow's client in pages and kept until the store changes."""

import math
import threading
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlparse

from organscope.dashboard.stores import Stamp, stamp_of
from organscope.tracking.mlflow import ARTIFACTS, quiet_client, require_database

_PAGE_SIZE = 500
#: What the network of a run is called, by task: the settings that tell networks apart.
_NETWORK = {
    "classification": ("network.backbone",),
    "segmentation": ("network.block", "network.skip", "network.head", "network.base_filters", "network.depth"),
}


@dataclass(frozen=True)
class Run:
    """A tracked run.

    Attributes:
        id: Of MLflow.
        name: As shown in lists.
        experiment: That holds it; `experiment_id` is its number in MLflow's addresses.
        status: In MLflow's words, small letters.
        started_ms: Milliseconds since 1970.
        seconds: How long it took; None while it runs.
        task, sweep, trial: "" where unknown.
        network: Backbone, or the settings that tell networks apart.
        artifacts: Folder of its files.
        params: Settings by name.
        metrics: Last value of each metric.
        tags: Facts by name.
    """

    id: str
    name: str
    experiment: str
    experiment_id: str
    status: str
    started_ms: int
    seconds: float | None
    task: str
    sweep: str
    trial: str
    network: str
    artifacts: Path
    params: Mapping[str, str] = field(repr=False)
    metrics: Mapping[str, float] = field(repr=False)
    tags: Mapping[str, str] = field(repr=False)


class RunStore:
    """The runs of one database of MLflow.

    Args:
        database: SQLite file.

    Raises:
        sqlite3.Error: It is no database.
        MlflowException: It is none of MLflow, or of another version.
    """

    def __init__(self, database: Path) -> None:
        require_database(database)
        self.database = database
        self.experiments: dict[str, str] = {}
        self._client = quiet_client()(self.address)
        self._lock = threading.Lock()
        self._stamp: Stamp | None = None
        self._runs: dict[str, Run] = {}

    @property
    def address(self) -> str:
        """As MLflow and its own page want it."""
        return f"sqlite:///{self.database}"

    @property
    def stamp(self) -> Stamp:
        """Changes with the store."""
        return stamp_of([self.database])

    def runs(self) -> dict[str, Run]:
        """All runs by identifier, the newest first.

        Raises:
            MlflowException: The database cannot be read.
        """
        with self._lock:
            stamp = self.stamp
            if stamp != self._stamp:
                self._runs = self._read()
                self._stamp = stamp
            return self._runs

    def history(self, run_id: str, metric: str) -> list[tuple[int, float]]:
        """Step and value of every point of a metric, in order; the last one written of each step."""
        points = self._client.get_metric_history(run_id, metric)
        points = sorted(points, key=lambda point: (point.step, point.timestamp))
        return sorted({point.step: point.value for point in points if math.isfinite(point.value)}.items())

    def _read(self) -> dict[str, Run]:
        self.experiments = {found.experiment_id: found.name for found in self._pages(self._client.search_experiments)}
        if not self.experiments:
            return {}
        found = self._pages(self._client.search_runs, experiment_ids=list(self.experiments))
        runs = [self._run(run) for run in found]
        return {run.id: run for run in sorted(runs, key=lambda run: -run.started_ms)}

    def _pages(self, search: Any, **arguments: Any) -> list[Any]:
        found, token = [], None
        while True:
            page = search(max_results=_PAGE_SIZE, page_token=token, **arguments)
            found += page
            token = page.token
            if not token:
                return found

    def _run(self, run: Any) -> Run:
        info, tags, params = run.info, run.data.tags, run.data.params
        ended = info.end_time
        task = tags.get("task", "")
        return Run(
            id=info.run_id,
            name=info.run_name or info.run_id[:8],
            experiment=self.experiments.get(info.experiment_id, ""),
            experiment_id=info.experiment_id,
            status=info.status.lower(),
            started_ms=info.start_time or 0,
            seconds=(ended - info.start_time) / 1000 if ended else None,
            task=task,
            sweep=tags.get("sweep", ""),
            trial=tags.get("trial", ""),
            network=network_name(task, params),
            artifacts=_artifact_folder(info.artifact_uri, self.database.parent, info.run_id),
            params=params,
            metrics={name: value for name, value in run.data.metrics.items() if math.isfinite(value)},
            tags={name: value for name, value in tags.items() if not name.startswith("mlflow.")},
        )


def network_name(task: str, params: Mapping[str, str]) -> str:
    """The settings that tell networks apart, in a few words; "" where none is known."""
    values = [params[name] for name in _NETWORK.get(task, ()) if name in params]
    return " ".join(values)


def _artifact_folder(address: str | None, store: Path, run_id: str) -> Path:
    """Where a run's files lie, also after the folder of runs was moved."""
    if address:
        named = Path(unquote(urlparse(address).path))
        if named.is_dir():
            return named
    return store / ARTIFACTS / run_id / "artifacts"
