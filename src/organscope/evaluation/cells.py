"""Score a bundle that names the organ of single cells, on the labeled cells of images of known organs.

Scores of single cells with intervals over images: everything is a sum over the cells of an image.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pandas as pd
from jaxtyping import Float64, Int32, Int64

from organscope.data.index import Index, Sample
from organscope.decision.aggregation import Pooling, pool_cells
from organscope.errors import AnnotationError, DatasetError
from organscope.evaluation.baselines import cell_forest_baseline
from organscope.evaluation.metrics.classification import (
    N_BINS,
    calibration_error,
    confusion_matrix,
    per_class_scores,
    reliability_sums,
    reliability_table,
)
from organscope.evaluation.results import BUNDLE, SCORE_COLUMNS, Evaluation, Predictions
from organscope.evaluation.robustness import gray_copy
from organscope.evaluation.statistics import LEVEL, N_RESAMPLES, SEED, choose_unit, percentile_interval, resample_counts
from organscope.inference import CellOrgans, classify_centers
from organscope.io import Image
from organscope.models import Bundle
from organscope.ops.tiling import cell_centers

_Confusion = Int64[np.ndarray, "image c c"]


@dataclass(frozen=True)
class ImageSums:
    """What one model's answers add up to in each image.

    Attributes:
        confusion: By the name before the metric ("" for the cells themselves, "gray_", "image_"): counts of true
            (rows) and predicted (columns) organs in each image.
        reliability: Sums of `evaluation.metrics.classification.reliability_sums`; none where only answers are compared.
    """

    confusion: dict[str, _Confusion] = field(default_factory=dict)
    reliability: Float64[np.ndarray, "image 3 bins"] | None = None

    def of(self, images: Int64[np.ndarray, " m"]) -> "ImageSums":
        """The sums of some of the images, by their positions."""
        confusion = {name: counts[images] for name, counts in self.confusion.items()}
        return ImageSums(confusion, None if self.reliability is None else self.reliability[images])


def confusion_of_images(
    position: Int64[np.ndarray, " n"],
    labels: Int64[np.ndarray, " n"],
    predicted: Int64[np.ndarray, " n"],
    n_images: int,
    n_classes: int,
) -> _Confusion:
    """Count answers by image, true and predicted organ; `position` says to which image each belongs."""
    codes = (position * n_classes + labels) * n_classes + predicted
    counts = np.bincount(codes, minlength=n_images * n_classes**2)
    return counts.reshape(n_images, n_classes, n_classes)


def _reliability_of_images(
    position: Int64[np.ndarray, " n"], confidence: np.ndarray, correct: np.ndarray, n_images: int
) -> Float64[np.ndarray, "image 3 bins"]:
    """`reliability_sums` of the answers of each image."""
    confidence = np.clip(confidence.astype(np.float64), 0, 1)
    parts = [position == number for number in range(n_images)]
    return np.stack([reliability_sums(confidence[part], correct[part]) for part in parts])


def summarize_sums(sums: ImageSums, images: pd.DataFrame) -> tuple[pd.DataFrame, str]:
    """Scores of all images together with 95 % intervals over images or their groups.

    `accuracy`, `balanced_accuracy` and `macro_f1` for every confusion, and `ece`.

    Args:
        sums: In the order of `images`.
        images: Columns `group` and `organ`.

    Returns:
        Columns `metric`, `value`, `low`, `high`, `unit`; and the note on the intervals.
    """
    unit = choose_unit(images["group"].to_numpy(), images["organ"].to_numpy())
    drawn = resample_counts(unit.groups, n_resamples=N_RESAMPLES, seed=SEED)
    values, resampled = (_statistics(sums, counts) for counts in (np.ones((1, len(images)), np.int64), drawn))
    rows = [
        (name, float(values[name][0]), *percentile_interval(resampled[name], level=LEVEL), unit.name) for name in values
    ]
    return pd.DataFrame(rows, columns=["metric", "value", "low", "high", "unit"]), unit.note


def _statistics(
    sums: ImageSums, drawn: Int64[np.ndarray, "resamples n"]
) -> dict[str, Float64[np.ndarray, " resamples"]]:
    """Every score for each of several draws of images, given how often each image is drawn."""
    scores: dict[str, Float64[np.ndarray, " resamples"]] = {}
    for prefix, confusion in sums.confusion.items():
        n_classes = confusion.shape[1]
        pooled = (drawn @ confusion.reshape(len(confusion), -1)).reshape(-1, n_classes, n_classes)
        scores |= {f"{prefix}{name}": values for name, values in _answer_scores(pooled).items()}
    if sums.reliability is not None:
        bins = (drawn @ sums.reliability.reshape(len(sums.reliability), -1)).reshape(-1, 3, N_BINS)
        scores["ece"] = np.array([calibration_error(one) for one in bins])
    return scores


def _answer_scores(confusion: Int64[np.ndarray, "resamples c c"]) -> dict[str, Float64[np.ndarray, " resamples"]]:
    """Accuracy, and means over organs of recall and F1, as `evaluation.metrics.classification` has them."""
    hits = np.diagonal(confusion, axis1=1, axis2=2).astype(np.float64)
    n_true, n_predicted = confusion.sum(axis=2), confusion.sum(axis=1)
    present = n_true > 0
    n_present = np.maximum(present.sum(axis=1), 1)
    recall = hits / np.maximum(n_true, 1)
    f1 = 2 * hits / np.maximum(n_true + n_predicted, 1)
    n_answers = n_true.sum(axis=1)
    return {
        "accuracy": np.where(n_answers > 0, hits.sum(axis=1) / np.maximum(n_answers, 1), np.nan),
        "balanced_accuracy": np.where(n_answers > 0, (recall * present).sum(axis=1) / n_present, np.nan),
        "macro_f1": np.where(n_answers > 0, (f1 * present).sum(axis=1) / n_present, np.nan),
    }


_CELLS_SEED = 0


def summarize_cells(scored: Predictions, bundle: Bundle, index: Index, *, baseline: bool) -> Evaluation:
    """Scores of single cells, of gray copies of them, and of their pooled answer for each image.

    Args:
        scored: The answers.
        bundle: What gave them, or one of several that did; it says how crops are cut for the baseline.
        index: What the images are from; its other folds train the baseline.
        baseline: Also score forests that see colors, or gray texture, of the same crops.

    Raises:
        DatasetError: No image has a labeled cell.
    """
    images, cells, classes = scored.pictures, scored.cells, scored.classes
    if not len(cells):
        raise DatasetError(
            f"Expected labeled cells in {index.folder} ({scored.subset}), found none. Import annotations."
        )
    models = {BUNDLE: _sums_of_bundle(images, cells, classes)}
    notes = list(scored.notes)
    if baseline:
        answers = cell_forest_baseline(index, scored.folds, cells, bundle)
        models |= {name: _sums_of_baseline(images, cells, found, classes) for name, found in answers.items()}
        if not answers:
            notes.append("No color baseline: the index has no other fold to train it on.")
    scores, unit_notes = _scores_of_datasets(models, images, scored.subset)
    return scored.evaluation(scores, _tables(cells, classes), (*unit_notes, *notes))


def score_cells(
    bundle: Bundle,
    samples: Sequence[Sample],
    cells_per_image: int | None,
    progress: Callable[[int, int], None],
) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Name the organ of the labeled cells of each image, as it is and in gray; one image in memory at a time.

    Returns:
        One row an image (what the cells say together), and one row a cell (`id` of the image, `position` of
        the image in the first table, `cell`, `centroid_y_px`, `centroid_x_px`, `organ` (true), `predicted`,
        `probability`, `correct`, `gray_predicted`). Images without a cell are in neither.
    """
    images: list[dict[str, Any]] = []
    cells: list[pd.DataFrame] = []
    for number, sample in enumerate(samples):
        progress(number, len(samples))
        labels = sample.read_labels()
        with sample.open() as image:
            _require_fitting(sample, image, labels)
            ids, centers = _chosen_cells(labels, cells_per_image, sample.id)
            if len(ids):
                found = classify_centers(image, centers, bundle)
                gray = classify_centers(gray_copy(image), centers, bundle)
                cells.append(_cell_rows(sample, len(images), ids, centers, found, gray))
                images.append(_image_row(sample, found, gray))
    progress(len(samples), len(samples))
    return pd.DataFrame(images), pd.concat(cells, ignore_index=True) if cells else pd.DataFrame()


def _require_fitting(sample: Sample, image: Image, labels: Int32[np.ndarray, "y x"]) -> None:
    if labels.shape != (image.height_px, image.width_px):
        raise AnnotationError(
            f"Expected labels of {image.height_px} x {image.width_px} px for {sample.image_path}, found "
            f"{labels.shape[0]} x {labels.shape[1]} px in {sample.labels_path}. Import the data again."
        )


def _chosen_cells(
    labels: Int32[np.ndarray, "y x"], n_most: int | None, image: str
) -> tuple[np.ndarray, Float64[np.ndarray, "n 2"]]:
    """Labels and centroids of the cells of an image, or of a sample of them that depends on its name alone."""
    ids, centers = np.unique(labels[labels > 0]), cell_centers(labels)
    if n_most is None or len(ids) <= n_most:
        return ids, centers
    random = np.random.default_rng([_CELLS_SEED, *image.encode()])
    kept = np.sort(random.choice(len(ids), n_most, replace=False))
    return ids[kept], centers[kept]


def _cell_rows(
    sample: Sample, position: int, ids: np.ndarray, centers: np.ndarray, found: CellOrgans, gray: CellOrgans
) -> pd.DataFrame:
    organs = np.array(found.organs)
    predicted = organs[found.organ_index]
    return pd.DataFrame(
        {
            "id": sample.id,
            "position": position,
            "cell": ids,
            "centroid_y_px": centers[:, 0],
            "centroid_x_px": centers[:, 1],
            "organ": sample.organ,
            "predicted": predicted,
            "probability": found.confidence,
            "correct": predicted == sample.organ,
            "gray_predicted": organs[gray.organ_index],
        }
    )


def _image_row(sample: Sample, found: CellOrgans, gray: CellOrgans) -> dict:
    assert found.decision is not None
    assert found.pooled is not None
    assert gray.decision is not None
    organs = np.array(found.organs)
    predicted = organs[found.decision.organ_index]
    return {
        "id": sample.id,
        "dataset": sample.dataset,
        "organ": sample.organ,
        "group": sample.group,
        "fold": sample.fold,
        "n_cells": len(found.probabilities),
        "cell_accuracy": float((organs[found.organ_index] == sample.organ).mean()),
        "gray_cell_accuracy": float((organs[gray.organ_index] == sample.organ).mean()),
        "predicted": predicted,
        "correct": predicted == sample.organ,
        "confidence": found.decision.confidence,
        "decision": found.decision.decision,
        "reason": found.decision.reason,
        "distance": found.decision.distance,
        "gray_predicted": organs[gray.decision.organ_index],
        **{f"p_{organ}": float(p) for organ, p in zip(organs, found.pooled, strict=True)},
    }


def _sums_of_bundle(images: pd.DataFrame, cells: pd.DataFrame, classes: Sequence[str]) -> ImageSums:
    position = cells["position"].to_numpy(np.int64)
    confidence, correct = cells["probability"].to_numpy(), cells["correct"].to_numpy(bool)
    return ImageSums(
        {
            "": _confusion(position, cells, "predicted", len(images), classes),
            "gray_": _confusion(position, cells, "gray_predicted", len(images), classes),
            "image_": _confusion(np.arange(len(images)), images, "predicted", len(images), classes),
            "gray_image_": _confusion(np.arange(len(images)), images, "gray_predicted", len(images), classes),
        },
        _reliability_of_images(position, confidence, correct, len(images)),
    )


def _sums_of_baseline(
    images: pd.DataFrame, cells: pd.DataFrame, probabilities: Float64[np.ndarray, "n c"], classes: Sequence[str]
) -> ImageSums:
    """A forest's single cells, and the mean of its probabilities over the cells of each image."""
    organs, position = np.array(classes), cells["position"].to_numpy(np.int64)
    of_cells = cells.assign(predicted=organs[probabilities.argmax(axis=1)])
    parts = [probabilities[position == number] for number in range(len(images))]
    together = images.assign(predicted=organs[[int(pool_cells(part, Pooling()).argmax()) for part in parts]])
    return ImageSums(
        {
            "": _confusion(position, of_cells, "predicted", len(images), classes),
            "image_": _confusion(np.arange(len(images)), together, "predicted", len(images), classes),
        }
    )


def _confusion(
    position: np.ndarray, answers: pd.DataFrame, column: str, n_images: int, classes: Sequence[str]
) -> np.ndarray:
    labels, predicted = (pd.Index(classes).get_indexer(answers[name]).astype(np.int64) for name in ("organ", column))
    return confusion_of_images(position, labels, predicted, n_images, len(classes))


def _scores_of_datasets(
    models: dict[str, ImageSums], images: pd.DataFrame, subset: str
) -> tuple[pd.DataFrame, list[str]]:
    """The scores of every model on every data set, and one note a data set."""
    tables, notes = [], []
    for name, sums in models.items():
        for dataset, part in images.groupby("dataset"):
            table, note = summarize_sums(sums.of(part.index.to_numpy()), part)
            labels = {"model": name, "dataset": dataset, "subset": subset, "n_images": len(part)}
            tables.append(table.assign(**labels)[SCORE_COLUMNS])
            if name == BUNDLE:
                notes.append(f"{dataset}: {int(part['n_cells'].sum()):,} cells of {len(part)} images. {note}")
    return pd.concat(tables, ignore_index=True), notes


def _tables(cells: pd.DataFrame, classes: Sequence[str]) -> dict[str, pd.DataFrame]:
    """`per_class`, `confusion` (true organs in rows), `reliability`, all of single cells, and `cells`."""
    labels, predicted = (pd.Index(classes).get_indexer(cells[name]).astype(np.int64) for name in ("organ", "predicted"))
    confusion = confusion_matrix(labels, predicted, n_classes=len(classes))
    square = pd.DataFrame(confusion, columns=list(classes))
    square.insert(0, "organ", list(classes))
    confidence = np.clip(cells["probability"].to_numpy(np.float64), 0, 1)
    return {
        "per_class": pd.DataFrame({"organ": list(classes), **per_class_scores(confusion)}),
        "confusion": square,
        "reliability": pd.DataFrame(reliability_table(confidence, cells["correct"].to_numpy(bool))),
        "cells": cells.drop(columns="position"),
    }
