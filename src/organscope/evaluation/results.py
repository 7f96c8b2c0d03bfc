"""The answers of bundles for images of known truth, before they are summarized.

What an evaluation hands back.

Scores on disk, for people (CSV), machines (JSON) and later work on the same answers (Parquet).
"""

import json
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Literal

import numpy as np
import pandas as pd

from organscope.errors import DatasetError, OutputError, UsageError
from organscope.io.paths import atomic_path
from organscope.models import Score

SCORE_COLUMNS = ["model", "dataset", "subset", "n_images", "metric", "value", "low", "high", "unit"]
BUNDLE = "bundle"
#: First in a manifest; the other figures follow in the order in which they were computed.
_MOST_TELLING = (
    *("pq", "dice", "aji", "ap_50", "mean_ap", "pooled_ap_50", "pooled_mean_ap", "missed_rate", "false_rate"),
    *("accuracy", "colour_forest_accuracy", "gray_forest_accuracy", "gray_accuracy", "image_accuracy"),
    *("macro_f1", "macro_auc", "ece"),
)


@dataclass(frozen=True)
class Evaluation:
    """Scores of one bundle on one part of an index.

    Attributes:
        task: "segmentation" or "classification".
        bundle: Name and version of the bundle.
        subset: "all", or the folds that were scored ("fold 1").
        fingerprint: Of the index that was scored.
        scores: One row a model, data set and metric: `model` ("bundle" or the name of a baseline),
            `dataset`, `subset`, `n_images`, `metric`, `value`, `low`, `high` (95 % interval) and `unit`
            ("group" or "picture": what was drawn for the interval).
        per_image: One row an image, in order of id.
        tables: More tables by name. Segmentation: `by_organ` and `cells` (one row a predicted cell: `id` of
            the image, `cell`, `probability`, `matched` at IoU .5). Classification: see `organ_tables`.
        notes: Sentences that belong beside the scores.
    """

    task: str
    bundle: str
    subset: str
    fingerprint: str
    scores: pd.DataFrame
    per_image: pd.DataFrame
    tables: dict[str, pd.DataFrame] = field(default_factory=dict)
    notes: tuple[str, ...] = ()

    def score(self, metric: str, *, dataset: str | None = None, model: str = BUNDLE) -> float:
        """The value of one metric; the first data set's without `dataset`."""
        rows = self.scores[(self.scores["metric"] == metric) & (self.scores["model"] == model)]
        if dataset is not None:
            rows = rows[rows["dataset"] == dataset]
        return float(rows["value"].iloc[0])


def manifest_scores(evaluation: Evaluation) -> list[Score]:
    """The scores as a bundle's manifest lists them; see `scores_of`."""
    return scores_of(evaluation.scores)


def scores_of(scores: pd.DataFrame) -> list[Score]:
    """Rows of `SCORE_COLUMNS` as a bundle's manifest lists them, the most telling first; undefined ones are left out.

    The rows of another model than the bundle carry its name before the metric: `colour_forest_accuracy`.
    """
    table = scores[np.isfinite(scores["value"])].copy()
    table["metric"] = [
        metric if model == BUNDLE else f"{model}_{metric}"
        for model, metric in zip(table["model"], table["metric"], strict=True)
    ]
    rank = {metric: position for position, metric in enumerate(_MOST_TELLING)}
    order = table["metric"].map(lambda metric: rank.get(metric, len(rank))).argsort(kind="stable")
    return [
        Score(
            dataset=row.dataset or "unnamed",
            subset=row.subset,
            n_images=row.n_images,
            metric=row.metric,
            value=row.value,
            low=row.low if np.isfinite(row.low) else None,
            high=row.high if np.isfinite(row.high) else None,
        )
        for row in table.iloc[order].itertuples()
    ]


Kind = Literal["segmentation", "classification", "cells"]

OUT_OF_FOLD = "out of fold"
"""What answers are called that were given by models that never saw the images."""


@dataclass(frozen=True)
class Predictions:
    """What one bundle, or several on different folds, answered.

    Attributes:
        kind: What the bundles are for.
        bundle: Name and version, of several all of them.
        classes: Of the bundle.
        subset: Name of the part of the index that was scored.
        folds: Numbers of the folds; None where all images were scored whatever their fold.
        fingerprint: Of the index.
        images: One row an image.
        cells: One row a cell; none where cells are not scored one by one.
        copies: One row an altered copy of an image; none where none were made.
        leaks: Images with a twin or their slide on the other side of the split; none where none were looked for.
        notes: What must be said beside the scores.
    """

    kind: Kind
    bundle: str
    classes: tuple[str, ...]
    subset: str
    folds: tuple[int, ...] | None
    fingerprint: str
    pictures: pd.DataFrame
    cells: pd.DataFrame = field(default_factory=pd.DataFrame)
    copies: pd.DataFrame = field(default_factory=pd.DataFrame)
    leaks: pd.DataFrame = field(default_factory=pd.DataFrame)
    notes: tuple[str, ...] = ()

    def evaluation(
        self, scores: pd.DataFrame, tables: dict[str, pd.DataFrame], notes: Sequence[str], **changes
    ) -> Evaluation:
        """The evaluation that these answers belong to; `changes` replace its other parts."""
        evaluation = Evaluation(
            task="segmentation" if self.kind == "segmentation" else "classification",
            bundle=self.bundle,
            subset=self.subset,
            fingerprint=self.fingerprint,
            scores=scores,
            per_image=self.pictures,
            tables=tables,
            notes=tuple(notes),
        )
        return replace(evaluation, **changes)


def pool_scored(parts: Sequence[Predictions]) -> Predictions:
    """Answers of several bundles on different images of one index, as if one model had given them all.

    So that every image is scored once, by a model that was not trained on it, and small organs have all their
    images in one score ("out of fold").

    Raises:
        UsageError: The bundles are for different things or know different classes, or there is none.
        DatasetError: An image was scored twice, or the indexes differ.
    """
    if len({(part.kind, part.classes) for part in parts}) != 1:
        raise UsageError("Expected bundles for one task that know the same classes, found others.")
    if len({part.fingerprint for part in parts}) != 1:
        raise DatasetError("Expected answers on one index, found several. Score all bundles on the same one.")
    images = pd.concat([part.pictures for part in parts], ignore_index=True)
    if images["id"].duplicated().any():
        twice = images["id"][images["id"].duplicated()].iloc[0]
        raise DatasetError(f"Expected every image scored once, found {twice} twice. Give each bundle its own fold.")
    folds = sorted(number for part in parts for number in part.folds or ())
    return Predictions(
        kind=parts[0].kind,
        bundle=", ".join(dict.fromkeys(part.bundle for part in parts)),
        classes=parts[0].classes,
        subset=f"{OUT_OF_FOLD} " + ", ".join(str(number) for number in folds),
        folds=tuple(folds),
        fingerprint=parts[0].fingerprint,
        pictures=images,
        cells=_pooled_cells(parts),
        copies=pd.concat([part.copies for part in parts], ignore_index=True),
        leaks=pd.concat([part.leaks for part in parts], ignore_index=True),
        notes=tuple(dict.fromkeys(note for part in parts for note in part.notes)),
    )


def _pooled_cells(parts: Sequence[Predictions]) -> pd.DataFrame:
    """Where cells say in which row their image is, the rows of later parts come after those of earlier ones."""
    shifted, first = [], 0
    for part in parts:
        moved = "position" in part.cells
        shifted.append(part.cells.assign(position=part.cells["position"] + first) if moved else part.cells)
        first += len(part.pictures)
    return pd.concat(shifted, ignore_index=True)


#: Tables of one row a cell or a copy are too long for people.
_PARQUET_ONLY = ("cells", "copies_per_image")


def write_evaluation(evaluation: Evaluation, folder: str | Path) -> list[Path]:
    """Write `scores.json`, `scores.csv`, `per_image.csv`, `per_image.parquet` and each further table.

    Returns:
        The files, in that order. An older evaluation in the folder is replaced file by file.

    Raises:
        OutputError: The folder cannot be made or written.
    """
    folder = Path(folder)
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise OutputError(f"Cannot write to {folder} ({error.strerror}). Choose another folder.") from error
    written = [_write_json(folder / "scores.json", evaluation)]
    written.append(_write_csv(folder / "scores.csv", evaluation.scores))
    written.append(_write_csv(folder / "per_image.csv", evaluation.per_image))
    written.append(_write_parquet(folder / "per_image.parquet", evaluation.per_image))
    for name, table in evaluation.tables.items():
        if name in _PARQUET_ONLY:
            written.append(_write_parquet(folder / f"{name}.parquet", table))
        else:
            written.append(_write_csv(folder / f"{name}.csv", table))
    return written


def scores_document(evaluation: Evaluation) -> dict:
    """What `scores.json` says; a figure that is not defined is null."""
    rows = evaluation.scores.astype(object)
    return {
        "task": evaluation.task,
        "bundle": evaluation.bundle,
        "subset": evaluation.subset,
        "data_fingerprint": evaluation.fingerprint,
        "notes": list(evaluation.notes),
        "scores": rows.where(rows.notna(), None).to_dict("records"),
    }


def _write_json(target: Path, evaluation: Evaluation) -> Path:
    with atomic_path(target) as path:
        path.write_text(json.dumps(scores_document(evaluation), indent=2, allow_nan=False) + "\n", "utf-8")
    return target


def _write_csv(target: Path, table: pd.DataFrame) -> Path:
    with atomic_path(target) as path:
        table.to_csv(path, index=False)
    return target


def _write_parquet(target: Path, table: pd.DataFrame) -> Path:
    with atomic_path(target) as path:
        table.to_parquet(path, index=False)
    return target
