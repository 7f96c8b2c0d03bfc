"""Score a bundle that names the organ of single cells, on the labelled cells of pictures of known organs."""

from collections.abc import Callable, Sequence

import numpy as np
import pandas as pd
from jaxtyping import Float64, Int32

from organscope.bundle import Bundle
from organscope.dataset.index import Index, Sample
from organscope.decide.pooling import Pooling, pool_cells
from organscope.errors import AnnotationError, DatasetError
from organscope.evaluate.cell_baseline import cell_forest_baseline
from organscope.evaluate.cell_scores import (
    PictureSums,
    confusion_of_pictures,
    reliability_of_pictures,
    summarise_sums,
)
from organscope.evaluate.evaluation import BUNDLE, SCORE_COLUMNS, Evaluation
from organscope.evaluate.gray_copy import gray_copy
from organscope.evaluate.scored import Scored
from organscope.images import Image
from organscope.metrics.calibration import reliability_table
from organscope.metrics.classification import confusion_matrix, per_class_scores
from organscope.ops.crops import cell_centres
from organscope.predict import CellOrgans, classify_centres

SEED = 0


def summarise_cells(scored: Scored, bundle: Bundle, index: Index, *, baseline: bool) -> Evaluation:
    """Scores of single cells, of gray copies of them, and of their pooled answer for each picture.

    Args:
        scored: The answers.
        bundle: What gave them, or one of several that did; it says how crops are cut for the baseline.
        index: What the pictures are from; its other folds train the baseline.
        baseline: Also score forests that see colours, or gray texture, of the same crops.

    Raises:
        DatasetError: No picture has a labelled cell.
    """
    pictures, cells, classes = scored.pictures, scored.cells, scored.classes
    if not len(cells):
        raise DatasetError(
            f"Expected labelled cells in {index.folder} ({scored.subset}), found none. Import annotations."
        )
    models = {BUNDLE: _sums_of_bundle(pictures, cells, classes)}
    notes = list(scored.notes)
    if baseline:
        answers = cell_forest_baseline(index, scored.folds, cells, bundle)
        models |= {name: _sums_of_baseline(pictures, cells, found, classes) for name, found in answers.items()}
        if not answers:
            notes.append("No colour baseline: the index has no other fold to train it on.")
    scores, unit_notes = _scores_of_datasets(models, pictures, scored.subset)
    return scored.evaluation(scores, _tables(cells, classes), (*unit_notes, *notes))


def score_cells(
    bundle: Bundle,
    samples: Sequence[Sample],
    cells_per_picture: int | None,
    progress: Callable[[int, int], None],
) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Name the organ of the labelled cells of each picture, as it is and in gray; one picture in memory at a time.

    Returns:
        One row a picture (what the cells say together), and one row a cell (`id` of the picture, `position` of
        the picture in the first table, `cell`, `centroid_y_px`, `centroid_x_px`, `organ` (true), `predicted`,
        `probability`, `correct`, `gray_predicted`). Pictures without a cell are in neither.
    """
    pictures, cells = [], []
    for number, sample in enumerate(samples):
        progress(number, len(samples))
        labels = sample.read_labels()
        with sample.open() as image:
            _require_fitting(sample, image, labels)
            ids, centres = _chosen_cells(labels, cells_per_picture, sample.id)
            if len(ids):
                found = classify_centres(image, centres, bundle)
                gray = classify_centres(gray_copy(image), centres, bundle)
                cells.append(_cell_rows(sample, len(pictures), ids, centres, found, gray))
                pictures.append(_picture_row(sample, found, gray))
    progress(len(samples), len(samples))
    return pd.DataFrame(pictures), pd.concat(cells, ignore_index=True) if cells else pd.DataFrame()


def _require_fitting(sample: Sample, image: Image, labels: Int32[np.ndarray, "y x"]) -> None:
    if labels.shape != (image.height_px, image.width_px):
        raise AnnotationError(
            f"Expected labels of {image.height_px} x {image.width_px} px for {sample.image_path}, found "
            f"{labels.shape[0]} x {labels.shape[1]} px in {sample.labels_path}. Import the data again."
        )


def _chosen_cells(
    labels: Int32[np.ndarray, "y x"], n_most: int | None, picture: str
) -> tuple[np.ndarray, Float64[np.ndarray, "n 2"]]:
    """Labels and centroids of the cells of a picture, or of a sample of them that depends on its name alone."""
    ids, centres = np.unique(labels[labels > 0]), cell_centres(labels)
    if n_most is None or len(ids) <= n_most:
        return ids, centres
    random = np.random.default_rng([SEED, *picture.encode()])
    kept = np.sort(random.choice(len(ids), n_most, replace=False))
    return ids[kept], centres[kept]


def _cell_rows(
    sample: Sample, position: int, ids: np.ndarray, centres: np.ndarray, found: CellOrgans, gray: CellOrgans
) -> pd.DataFrame:
    organs = np.array(found.organs)
    predicted = organs[found.organ_index]
    return pd.DataFrame(
        {
            "id": sample.id,
            "position": position,
            "cell": ids,
            "centroid_y_px": centres[:, 0],
            "centroid_x_px": centres[:, 1],
            "organ": sample.organ,
            "predicted": predicted,
            "probability": found.confidence,
            "correct": predicted == sample.organ,
            "gray_predicted": organs[gray.organ_index],
        }
    )


def _picture_row(sample: Sample, found: CellOrgans, gray: CellOrgans) -> dict:
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


def _sums_of_bundle(pictures: pd.DataFrame, cells: pd.DataFrame, classes: Sequence[str]) -> PictureSums:
    position = cells["position"].to_numpy(np.int64)
    confidence, correct = cells["probability"].to_numpy(), cells["correct"].to_numpy(bool)
    return PictureSums(
        {
            "": _confusion(position, cells, "predicted", len(pictures), classes),
            "gray_": _confusion(position, cells, "gray_predicted", len(pictures), classes),
            "image_": _confusion(np.arange(len(pictures)), pictures, "predicted", len(pictures), classes),
            "gray_image_": _confusion(np.arange(len(pictures)), pictures, "gray_predicted", len(pictures), classes),
        },
        reliability_of_pictures(position, confidence, correct, len(pictures)),
    )


def _sums_of_baseline(
    pictures: pd.DataFrame, cells: pd.DataFrame, probabilities: Float64[np.ndarray, "n c"], classes: Sequence[str]
) -> PictureSums:
    """A forest's single cells, and the mean of its probabilities over the cells of each picture."""
    organs, position = np.array(classes), cells["position"].to_numpy(np.int64)
    of_cells = cells.assign(predicted=organs[probabilities.argmax(axis=1)])
    parts = [probabilities[position == number] for number in range(len(pictures))]
    together = pictures.assign(predicted=organs[[int(pool_cells(part, Pooling()).argmax()) for part in parts]])
    return PictureSums(
        {
            "": _confusion(position, of_cells, "predicted", len(pictures), classes),
            "image_": _confusion(np.arange(len(pictures)), together, "predicted", len(pictures), classes),
        }
    )


def _confusion(
    position: np.ndarray, answers: pd.DataFrame, column: str, n_pictures: int, classes: Sequence[str]
) -> np.ndarray:
    labels, predicted = (pd.Index(classes).get_indexer(answers[name]).astype(np.int64) for name in ("organ", column))
    return confusion_of_pictures(position, labels, predicted, n_pictures, len(classes))


def _scores_of_datasets(
    models: dict[str, PictureSums], pictures: pd.DataFrame, subset: str
) -> tuple[pd.DataFrame, list[str]]:
    """The scores of every model on every data set, and one note a data set."""
    tables, notes = [], []
    for name, sums in models.items():
        for dataset, part in pictures.groupby("dataset"):
            table, note = summarise_sums(sums.of(part.index.to_numpy()), part)
            labels = {"model": name, "dataset": dataset, "subset": subset, "n_images": len(part)}
            tables.append(table.assign(**labels)[SCORE_COLUMNS])
            if name == BUNDLE:
                notes.append(f"{dataset}: {int(part['n_cells'].sum()):,} cells of {len(part)} pictures. {note}")
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
