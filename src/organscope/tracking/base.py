"""The protocol that every tracker keeps, and what it is told when a run starts.

One name for each metric, whichever framework trains.

Where a run is tracked: the table `[tracking]` of a training configuration.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, Protocol

import pandas as pd
from pydantic import BaseModel, ConfigDict, Field

Outcome = Literal["finished", "failed", "interrupted"]
"""How a run ended."""


@dataclass(frozen=True)
class RunFacts:
    """What is known when a run starts.

    Attributes:
        name: Shown in lists.
        project: Experiment or project that holds it.
        run_folder: Folder of the run.
        store: Folder of the tracker's own files.
        config: The whole configuration, nested.
        tags: Short facts by name: task, git commit, versions, computer, sweep, trial.
        environment: Every installed package with its version.
        known_as: Identifier that the tracker gave this run before it was interrupted.
    """

    name: str
    project: str
    run_folder: Path
    store: Path
    config: Mapping[str, Any]
    tags: Mapping[str, str]
    environment: str
    known_as: str | None = None


class Tracker(Protocol):
    """One run in one tracker. Every method may raise anything: `BackgroundTracker` stands before it."""

    def start(self, facts: RunFacts) -> str:
        """Begin the run, or go on with `facts.known_as`; return its identifier."""

    def log_metrics(self, metrics: Mapping[str, float], epoch: int) -> None:
        """Numbers of one epoch."""

    def log_steps(self, name: str, values: Sequence[float], first_step: int) -> None:
        """One number for each optimizer step in a row; steps are counted from 1 over all epochs."""

    def log_picture(self, name: str, png: bytes) -> None:
        """A figure or a sample prediction; `name` has no suffix and may name a folder."""

    def log_table(self, name: str, table: pd.DataFrame) -> None:
        """A table that a person may look at."""

    def log_artifact(self, name: str, path: Path) -> None:
        """A file or a folder, kept as it is."""

    def log_facts(self, facts: Mapping[str, str]) -> None:
        """Short facts that became known after the start."""

    def finish(self, outcome: Outcome) -> None:
        """End the run."""


_NAMES = {"loss": "train/loss", "seconds": "seconds_per_epoch"}
_PLAIN = ("learning_rate", "images_per_s", "memory_mb", "waiting_share")
STEP_LOSS = "train/step_loss"
_VALIDATION = "validation/"


def metric_names(row: Mapping[str, Any]) -> dict[str, float]:
    """The numbers of an epoch by their common names.

    What no other rule names was measured on the inner validation images: `pq` becomes `validation/pq`. Truth
    values, counts of the run and what is no number are left out; infinities and not-a-number stay.
    """
    known = {key: value for key, value in row.items() if isinstance(value, int | float) and not isinstance(value, bool)}
    return {
        _NAMES.get(key, key if key in _PLAIN else _VALIDATION + key): float(value)
        for key, value in known.items()
        if key not in ("epoch", "n_images")
    }


def row_key(metric: str) -> str:
    """The key of `metrics.jsonl` that a metric's common name belongs to; a key is returned as it is."""
    common = {name: key for key, name in _NAMES.items()}
    return common.get(metric, metric.removeprefix(_VALIDATION))


Choice = Literal["mlflow", "wandb", "both", "none"]
"""Which trackers follow a run."""


class TrackingSettings(BaseModel):
    """Which trackers follow a run, and under which names it is found there.

    Attributes:
        to: Which trackers.
        project: Experiment of MLflow, project of W&B.
        folder: Where `mlflow.db`, `mlflow-artifacts/` and `wandb/` lie; the folder that holds the run folder if
            left out, which is `runs/` for `-o runs/nuclei`.
        wandb_mode: `auto`: online where W&B knows an API key, else offline; `wandb sync` uploads an offline run later.
        sweep: Name of the sweep that the run belongs to.
        trial: Its number there.
        finish_timeout_s: How long the end of a training waits for what a tracker has yet to write.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    to: Choice = "none"
    project: str = Field("organscope", min_length=1)
    folder: Path | None = None
    wandb_mode: Literal["auto", "online", "offline"] = "auto"
    sweep: str | None = None
    trial: int | None = Field(None, ge=0)
    finish_timeout_s: float = Field(120.0, gt=0)
