"""From what a person names to models that can be compared."""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import pandas as pd

from organscope.bundle import Bundle, load_bundle
from organscope.bundle.manifest import MANIFEST_NAME
from organscope.errors import UsageError

BUNDLE_FOLDER = "bundle"
METRICS_FILE = "metrics.jsonl"
CONFIG_FILE = "config.json"


@dataclass(frozen=True)
class Model:
    """One of the models of a comparison.

    Attributes:
        name: Unlike those of the others.
        bundle: Ready to run.
        run: Folder of the training that it is from; None where only a bundle was named.
    """

    name: str
    bundle: Bundle
    run: Path | None = None

    def epochs(self) -> pd.DataFrame:
        """One row an epoch, as the training wrote them; empty without a run folder."""
        path = None if self.run is None else self.run / METRICS_FILE
        if path is None or not path.is_file():
            return pd.DataFrame()
        return pd.DataFrame([json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()])


def find_models(names: Sequence[str], *, threads: int | None = None) -> list[Model]:
    """Load the models.

    Args:
        names: Run directories, folders of run directories (each that holds a bundle takes part), bundles by path, or
            names of bundles inside the package.
        threads: Of each network.

    Raises:
        UsageError: A training has no bundle yet, there are fewer than two models, or they are for different things.
        InputError: A bundle cannot be read.
    """
    sources = [source for name in names for source in _sources(name)]
    models: list[Model] = []
    for source, run in sources:
        bundle = load_bundle(source, threads=threads)
        label = _unused(run.resolve().name if run else bundle.manifest.name, {model.name for model in models})
        models.append(Model(label, bundle, run))
    if len(models) < 2:
        raise UsageError(f"Expected at least two models to compare, found {len(models)}. Name another run or bundle.")
    _require_one_kind(models)
    return models


def _sources(name: str) -> list[tuple[str | Path, Path | None]]:
    """What to load, and the run folder it is from."""
    folder = Path(name)
    if (folder / BUNDLE_FOLDER / MANIFEST_NAME).is_file():
        return [(folder / BUNDLE_FOLDER, folder)]
    if not folder.is_dir() or (folder / MANIFEST_NAME).is_file():
        return [(name, None)]
    inside = sorted(path.parents[1] for path in folder.glob(f"*/{BUNDLE_FOLDER}/{MANIFEST_NAME}"))
    if inside:
        return [(run / BUNDLE_FOLDER, run) for run in inside]
    if (folder / CONFIG_FILE).is_file():
        raise UsageError(
            f"Expected a finished training in {folder}, found no {BUNDLE_FOLDER}/. Let it end, or leave it out."
        )
    raise UsageError(f"Expected a run directory or a bundle, found neither in {folder}. Check the path.")


def _unused(name: str, taken: set[str]) -> str:
    names = (name if number == 1 else f"{name} ({number})" for number in range(1, len(taken) + 2))
    return next(candidate for candidate in names if candidate not in taken)


def _require_one_kind(models: Sequence[Model]) -> None:
    tasks = {model.name: model.bundle.manifest.spec.task for model in models}
    if len(set(tasks.values())) > 1:
        listed = ", ".join(f"{name} ({task})" for name, task in tasks.items())
        raise UsageError(f"Expected models for one task, found {listed}. Compare each task by itself.")
    for model in models:
        spec = model.bundle.manifest.spec
        if spec.task == "classification" and spec.subject == "cell":
            raise UsageError(
                f"Expected models that answer for whole images, found {model.name}, which answers for single cells. "
                "Score it with: organscope evaluate."
            )
