"""A run as its folder tells of it: what it was told, where it ran, what came out."""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd

from organscope.errors import UsageError
from organscope.models import Bundle, load_bundle
from organscope.models.manifest import MANIFEST_NAME
from organscope.training.classification.config import ClassificationConfig
from organscope.training.config import Source, TrainingSettings, check_settings
from organscope.training.origin import Origin, read_origin
from organscope.training.run import RunDirectory
from organscope.training.segmentation.config import SegmentationConfig

MODELS: dict[str, type[TrainingSettings]] = {
    "classification": ClassificationConfig,
    "segmentation": SegmentationConfig,
}

_INDEX_FILE = "index.parquet"


@dataclass(frozen=True)
class RunRecord:
    """What is left of a training.

    Attributes:
        folder: The run directory.
        config: The whole configuration, with the indexes where they lie now.
        written: `config.toml`, as the person wrote it; none where it is missing.
        origin: Where it ran; none in runs of older versions.
        packages: Version by name of package, and of `python`.
        split: As `TrainingSplit.table`; empty where it is missing.
        epochs: One dictionary an epoch, oldest first.
        bundle: None where the training did not end.
        is_finetuned: It went on from a bundle.
    """

    folder: Path
    config: TrainingSettings
    written: Path | None
    origin: Origin | None
    packages: dict[str, str]
    split: pd.DataFrame
    epochs: list[dict[str, Any]]
    bundle: Bundle | None
    is_finetuned: bool

    @property
    def data_fingerprint(self) -> str:
        """Of the data that it was trained on; empty where nothing tells."""
        if self.bundle is not None:
            return self.bundle.manifest.data_fingerprint
        return "" if self.origin is None else self.origin.data_fingerprint


def read_record(run_dir: Path, indexes: tuple[Path, ...] = ()) -> RunRecord:
    """Read a run directory.

    Args:
        run_dir: Of a training of either task, finished or not, or of a trial of a sweep.
        indexes: Where the indexes of its sources lie now. Default: where they lay.

    Raises:
        UsageError: It is no run directory, holds no epoch, or an index is not where it was.
        ConfigError: This version does not understand its configuration.
        BundleError: Its bundle is damaged.
    """
    folder = Path(run_dir)
    content = _read_config(folder)
    model = MODELS.get(content.get("task", ""))
    if model is None:
        raise UsageError(f"Expected a run for {' or '.join(MODELS)}, found task {content.get('task')!r} in {folder}.")
    origin = read_origin(folder)
    config = _located(check_settings(model, content, str(folder / "config.json")), folder, origin, indexes)
    epochs = RunDirectory(folder).metrics()
    if not epochs:
        raise UsageError(f"Expected a run that trained for an epoch or more, found no metrics.jsonl in {folder}.")
    written, split = folder / "config.toml", folder / "split.csv"
    return RunRecord(
        folder=folder,
        config=config,
        written=written if written.is_file() else None,
        origin=origin,
        packages=_read_packages(folder / "environment.txt"),
        split=_read_split(split) if split.is_file() else pd.DataFrame(),
        epochs=epochs,
        bundle=load_bundle(folder / "bundle") if (folder / "bundle" / MANIFEST_NAME).is_file() else None,
        is_finetuned=_is_finetuned(folder, config, origin),
    )


def _is_finetuned(folder: Path, config: TrainingSettings, origin: Origin | None) -> bool:
    if config.task == "classification" and config.network.start is not None:
        return True
    return (folder / "finetuning.csv").is_file() or (origin is not None and origin.base is not None)


def _read_split(file: Path) -> pd.DataFrame:
    """The table of a `split.csv`, with names as text."""
    return pd.read_csv(file, dtype={"id": str, "dataset": str, "organ": str}, keep_default_na=False)


def _read_packages(file: Path) -> dict[str, str]:
    """Version by name in lower case, from `environment.txt`; empty where there is none."""
    if not file.is_file():
        return {}
    lines = file.read_text(encoding="utf-8").splitlines()
    found = {name.lower(): version for name, equals, version in (line.partition("==") for line in lines) if equals}
    python = [line.removeprefix("python ") for line in lines if line.startswith("python ")]
    return found | ({"python": python[0]} if python else {})


def _read_config(folder: Path) -> dict[str, Any]:
    try:
        return json.loads((folder / "config.json").read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise UsageError(
            f"Expected the folder of a training, with its config.json, found none that can be read in {folder}. "
            "Name the folder that organscope train wrote to with -o."
        ) from error


def _located(
    config: TrainingSettings, folder: Path, origin: Origin | None, indexes: tuple[Path, ...]
) -> TrainingSettings:
    sources = config.data.sources
    if indexes and len(indexes) != len(sources):
        raise UsageError(
            f"Expected --data once for each of the {len(sources)} indexes of the run, in its order, found "
            f"{len(indexes)}. It was trained on: {', '.join(str(source.index) for source in sources)}."
        )
    places = indexes or tuple(_place(source, folder, origin) for source in sources)
    found = tuple(source.model_copy(update={"index": place}) for source, place in zip(sources, places, strict=True))
    return config.model_copy(update={"data": config.data.model_copy(update={"sources": found})})


def _place(source: Source, folder: Path, origin: Origin | None) -> Path:
    """Where an index lies now: as written, from the folder the run was started in, or inside the run itself."""
    places = [source.index]
    if origin is not None and origin.folder:
        places.append(Path(origin.folder) / source.index)
    if source.index.name == "index":
        # A fine-tuning on few images divides them into folds of its own, and keeps that index.
        places.append(folder / "index")
    for place in places:
        if (place / _INDEX_FILE).is_file():
            return place
    raise UsageError(
        f"Expected the index that {folder} was trained on at {source.index}, found none. Say where it lies now with "
        "--data INDEX, once for each index of the run."
    )
