"""From the settings to the trackers of one run."""

import importlib.util
import json
import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from organscope.errors import MissingExtraError
from organscope.images.atomic import atomic_path
from organscope.tracking.background import BackgroundTracker
from organscope.tracking.facts import computer_facts
from organscope.tracking.settings import TrackingSettings
from organscope.tracking.tracker import Outcome, RunFacts, Tracker

IDENTIFIERS = "tracking.json"
"""File in the run folder: under which identifier each tracker knows the run."""

LABELS = {"mlflow": "MLflow", "wandb": "Weights & Biases"}
_WRITING = threading.Lock()


@dataclass
class Trackers:
    """All trackers of a run; without any, every call does nothing.

    Attributes:
        members: The trackers.
    """

    members: list[BackgroundTracker] = field(default_factory=list)

    def __bool__(self) -> bool:
        return bool(self.members)

    def tell(self, method: str, *arguments: Any) -> None:
        """Call a method of `Tracker` on each."""
        for member in self.members:
            getattr(member, method)(*arguments)

    def finish(self, outcome: Outcome) -> None:
        """End the run in each, side by side, and wait for them."""
        self.tell("finish", outcome)
        for member in self.members:
            member.wait()


def open_trackers(
    settings: TrackingSettings,
    run_folder: Path,
    *,
    config: Mapping[str, Any],
    task: str,
    environment: str,
    resume: bool,
    report: Callable[[str], None],
) -> Trackers:
    """Start the trackers that the settings name.

    Args:
        settings: Which, and under which names.
        run_folder: Exists; gets `tracking.json`, by which a resumed run goes on in the tracker too.
        config: The whole configuration, nested.
        task: Name of the task.
        environment: Every installed package with its version.
        resume: Go on with the run that `tracking.json` names.
        report: Gets one sentence when a tracker fails.

    Raises:
        MissingExtraError: The package of a tracker is not installed.
    """
    chosen = chosen_trackers(settings)
    if not chosen:
        return Trackers()
    store = settings.folder or run_folder.resolve().parent
    facts = RunFacts(
        name=run_folder.resolve().name if settings.sweep is None else f"{settings.sweep}-{settings.trial or 0:04}",
        project=settings.project,
        run_folder=run_folder,
        store=Path(store).resolve(),
        config=config,
        tags={"task": task} | _sweep_tags(settings) | computer_facts(),
        environment=environment,
    )
    known = _read_identifiers(run_folder) if resume else {}
    trackers = Trackers([_open(name, settings, run_folder, report) for name in chosen])
    for name, tracker in zip(chosen, trackers.members, strict=True):
        tracker.start(replace(facts, known_as=known.get(name)))
    return trackers


def chosen_trackers(settings: TrackingSettings) -> tuple[str, ...]:
    """Names of the trackers.

    Raises:
        MissingExtraError: The package of one is not installed.
    """
    chosen = {"both": ("mlflow", "wandb"), "none": ()}.get(settings.to, (settings.to,))
    for name in chosen:
        package = importlib.util.find_spec(name)
        # A folder of that name beside the program, such as W&B makes for its files, is no package.
        if package is None or package.origin is None:
            raise MissingExtraError(
                f"Expected the package {name!r} for tracking in {LABELS[name]}, found none. Install the extra [train] "
                "from the checkout: pip install '.[train]'; or train without it: --track none."
            )
    return chosen


def _open(name: str, settings: TrackingSettings, run_folder: Path, report: Callable[[str], None]) -> BackgroundTracker:
    def make() -> Tracker:
        if name == "mlflow":
            from organscope.tracking.mlflow_store import MlflowTracker

            return MlflowTracker()
        from organscope.tracking.wandb_run import WandbTracker

        return WandbTracker(settings.wandb_mode)

    return BackgroundTracker(
        LABELS[name],
        make,
        report=report,
        started=lambda identifier: _write_identifier(run_folder, name, identifier),
        finish_timeout_s=settings.finish_timeout_s,
    )


def _sweep_tags(settings: TrackingSettings) -> dict[str, str]:
    tags = {"sweep": settings.sweep, "trial": settings.trial}
    return {name: str(value) for name, value in tags.items() if value is not None}


def _read_identifiers(run_folder: Path) -> dict[str, str]:
    try:
        return json.loads((run_folder / IDENTIFIERS).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}


def _write_identifier(run_folder: Path, name: str, identifier: str) -> None:
    # Two trackers start at about the same time, each in its thread.
    with _WRITING:
        known = _read_identifiers(run_folder) | {name: identifier}
        with atomic_path(run_folder / IDENTIFIERS) as temporary:
            temporary.write_text(json.dumps(known) + "\n", encoding="utf-8")
