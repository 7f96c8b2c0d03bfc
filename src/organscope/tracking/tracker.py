"""The protocol that every tracker keeps, and what it is told when a run starts."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, Protocol

import pandas as pd

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
        """One number for each optimiser step in a row; steps are counted from 1 over all epochs."""

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
