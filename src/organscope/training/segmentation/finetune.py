"""`organscope train segmentation --from BUNDLE`: a trained network learns from a few images of one laboratory.

The network, its preprocessing and its weights are the bundle's; a low rate and few steps keep what it knows. The bundle
that comes out is compared with the one that went in, on images that neither was trained on.
"""

import json
import os
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd

from organscope.data.index import Index, Sample, read_index, write_index
from organscope.data.splits import split_table
from organscope.errors import ConfigError, DatasetError, UsageError
from organscope.evaluation import Evaluation, evaluate_bundle
from organscope.inference.preprocess import require_task
from organscope.io.paths import atomic_path
from organscope.models import Bundle
from organscope.training.config import read_settings
from organscope.training.run import Report
from organscope.training.segmentation.config import SegmentationConfig
from organscope.training.segmentation.network import Start
from organscope.training.segmentation.train import train_with

_MIN_IMAGES = 3
"""One to learn from, one that decides when to stop, one that is only scored."""

_METRICS = ("dice", "aji", "pq", "ap_50", "missed_rate", "false_rate")

_DEFAULTS = """
[data]
sources = [{{ index = {index} }}]
test_folds = [1]
validation_fraction = 0.15

[bundle]
name = {name}
summary = {summary}
licence = {licence}
data_statement = {data}
limits = {limits}

[fit]
crop_px = {crop_px}
batch = 4
epochs = 8
steps_per_epoch = 30
patience = 8
learning_rate = 0.0002
warm_up_epochs = 0.5
average = 0.97
"""
"""A thousand crops at a fifth of the usual rate: minutes on two cores."""


@dataclass(frozen=True)
class FineTuned:
    """What came out of fine-tuning.

    Attributes:
        bundle: The result.
        comparison: One row a data set and metric: `data` ("new" or "reference"), `dataset`, `subset`, `n_images`,
            `metric`, `before` (the bundle that went in), `after`, `change`.
        notes: Sentences that belong beside it.
    """

    bundle: Bundle
    comparison: pd.DataFrame
    notes: tuple[str, ...]


def finetune_segmentation(
    base: Bundle,
    run_dir: Path,
    *,
    config_file: Path | None = None,
    data: Path | None = None,
    reference: Path | None = None,
    overrides: tuple[str, ...] = (),
    resume: bool = False,
    report: Report = lambda line: None,
) -> FineTuned:
    """Train a bundle's network on, and say what was gained on the new images and lost on others.

    Args:
        base: For segmentation, made by this program.
        run_dir: As for `train_segmentation`; also gets `finetuning.csv`.
        config_file: TOML as for `train_segmentation`; [network] and [preprocessing] are the bundle's and may be left
            out, but another head may be asked for: the maps that both have go on, the others begin by chance.
        data: In its place an index of at least 3 images with labels; everything else is chosen for few images.
        reference: Index of images to see on what was lost; fold 1 of it, or all where it has no folds.
        overrides: `key=value` settings that go before the file's.
        resume: Go on with a run that was interrupted.
        report: Gets a line for the person who watches.

    Raises:
        UsageError: Neither or both of `config_file` and `data` are given, or the bundle cannot be trained on.
        ConfigError: The configuration has a fault, or wants another network than the bundle's.
        DatasetError: There are too few images with labels.
    """
    require_task(base, "segmentation")
    if os.environ.get("TF_CONFIG"):
        raise UsageError("Expected one process for fine-tuning, which takes minutes, found TF_CONFIG. Unset it.")
    if (config_file is None) == (data is None):
        raise UsageError("Expected either a configuration or --data INDEX to fine-tune on. Give one of them.")
    references = None if reference is None else read_index(reference)
    start = _start_of(base)
    with tempfile.TemporaryDirectory() as folder:
        if config_file is None:
            config_file = Path(folder) / "finetuning.toml"
            config_file.write_text(_default_config(base, _with_folds(read_index(data), Path(run_dir))), "utf-8")
        config = _with_network_of(base, start, read_settings(SegmentationConfig, config_file, overrides), config_file)
        tuned = train_with(config, run_dir, source=config_file, resume=resume, report=report, start=start)
    found = FineTuned(tuned, *_compare(base, tuned, config, references))
    with atomic_path(Path(run_dir) / "finetuning.csv") as path:
        found.comparison.to_csv(path, index=False)
    return found


def _start_of(base: Bundle) -> Start:
    framework = base.manifest.weights.framework
    if framework != "keras":
        raise UsageError(f"Expected a bundle with Keras weights, found {framework} in {base.source}.")
    return Start.of(base)


def _with_network_of(base: Bundle, start: Start, wanted: SegmentationConfig, config_file: Path) -> SegmentationConfig:
    """The configuration with the network and preprocessing of the bundle, which only the bundle can decide.

    Another head may be asked for, where one decoder gives all maps.

    Raises:
        ConfigError: Something else of these is asked for.
    """
    network = start.settings
    if "head" in wanted.network.model_fields_set and network.decoders == 1:
        network = network.model_copy(update={"head": wanted.network.head})
    fixed = {"network": network, "preprocessing": base.manifest.preprocessing}
    for table, settings in fixed.items():
        known = settings.model_dump(mode="json")
        for key, value in getattr(wanted, table).model_dump(mode="json", exclude_unset=True).items():
            if known[key] != value:
                raise ConfigError(
                    f"Expected {table}.{key} to be that of the bundle ({known[key]!r}), found {value!r} for "
                    f"{config_file}. Leave it out, or train without --from."
                )
    return wanted.model_copy(update=fixed)


def _with_folds(index: Index, run_dir: Path) -> Path:
    """The index's folder, or that of a copy inside the run with folds for so few images.

    Raises:
        DatasetError: Fewer than 3 images have labels.
    """
    table = index.table[index.table["labels"] != ""]
    if len(table) < _MIN_IMAGES:
        raise DatasetError(
            f"Expected at least {_MIN_IMAGES} images with labels in {index.folder} (one to learn from, "
            f"one to stop by, one to score), found {len(table)}. Annotate more."
        )
    scored = (table["fold"] == 1) | (table["split"] == "test")
    if len(table) == len(index.table) and scored.any() and (~scored).sum() >= 2:
        return index.folder
    if table["group"].nunique() < _MIN_IMAGES:
        table = table.assign(group=table["id"])
    table = split_table(table.assign(split=""), n_folds=min(4, table["group"].nunique()))
    named = ("image", "labels", "classes")
    paths = {name: [str(index.resolve(path)) if path else "" for path in table[name]] for name in named}
    return write_index(run_dir / "index", table.assign(**paths)).folder


def _default_config(base: Bundle, folder: Path) -> str:
    manifest = base.manifest
    data = read_index(folder)
    n_images, sets = len(data), ", ".join(sorted(set(data.table["dataset"])))
    stride_px = manifest.segmentation.stride_px
    words = {
        "index": str(folder),
        "name": f"{manifest.name}-tuned"[:60].replace("_", "-"),
        "summary": f"{manifest.summary.rstrip('.')}; fine-tuned on images of {sets}.",
        "licence": manifest.licence,
        "data": f"- {n_images} images of {sets}, on which the bundle {manifest.name} {manifest.version} was "
        "fine-tuned; its own data stand in its card.",
        "limits": "Made for images like those that it was fine-tuned on; on others it may be worse than the "
        f"bundle {manifest.name}.",
    }
    crop_px = -(-192 // stride_px) * stride_px
    return _DEFAULTS.format(crop_px=crop_px, **{key: json.dumps(value) for key, value in words.items()})


def _compare(
    base: Bundle, tuned: Bundle, config: SegmentationConfig, reference: Index | None
) -> tuple[pd.DataFrame, tuple[str, ...]]:
    rows, notes = [], []
    parts = [("new", read_index(source.index)) for source in config.data.sources]
    parts += [] if reference is None else [("reference", reference)]
    for what, index in parts:
        folds = list(config.data.test_folds)
        if not _labeled(index.samples(folds)):
            if what == "new":
                notes.append(f"{index.folder.name}: no image is in test folds {folds}, so nothing was compared.")
                continue
            folds = None
        before, after = (evaluate_bundle(bundle, index, fold=folds) for bundle in (base, tuned))
        rows += _rows(what, before, after)
    if reference is None:
        notes.append(
            "What was lost on other images was not measured: name an index of them with --reference. " + _recorded(base)
        )
    columns = ["data", "dataset", "subset", "n_images", "metric", "before", "after", "change"]
    return pd.DataFrame(rows, columns=columns), tuple(notes)


def _labeled(samples: list[Sample]) -> list[Sample]:
    return [sample for sample in samples if sample.labels_path is not None]


def _rows(what: str, before: Evaluation, after: Evaluation) -> list[dict[str, Any]]:
    keys = ["dataset", "metric"]
    both = before.scores.merge(after.scores[[*keys, "value"]], on=keys, suffixes=("", "_after"))
    both = both[both["metric"].isin(_METRICS)]
    return [
        {
            "data": what,
            "dataset": row.dataset,
            "subset": row.subset,
            "n_images": row.n_images,
            "metric": row.metric,
            "before": row.value,
            "after": row.value_after,
            "change": row.value_after - row.value,
        }
        for row in both.itertuples()
    ]


def _recorded(base: Bundle) -> str:
    """The scores that the bundle came with, as far as they are worth a sentence."""
    scores = [score for score in base.manifest.scores if score.metric in ("pq", "dice")]
    told = ", ".join(f"{score.dataset} {score.subset} {score.metric} {score.value:.3f}" for score in scores)
    return f"The bundle {base.manifest.name} came with: {told}." if told else ""
