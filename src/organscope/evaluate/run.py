"""One bundle on one part of an index: predict through the use side, compare, summarise."""

from collections.abc import Callable, Collection, Sequence
from dataclasses import replace

import pandas as pd

from organscope.bundle import Bundle
from organscope.dataset.index import Index, Sample
from organscope.errors import DatasetError, UsageError
from organscope.evaluate import classification, segmentation
from organscope.evaluate.baseline import colour_forest_baseline
from organscope.evaluate.cells import evaluate_cells
from organscope.evaluate.evaluation import BUNDLE, SCORE_COLUMNS, Evaluation

Progress = Callable[[int, int], None]


def evaluate_bundle(
    bundle: Bundle,
    index: Index,
    *,
    fold: int | Collection[int] | None = None,
    baseline: bool = True,
    cells_per_picture: int | None = None,
    progress: Progress | None = None,
) -> Evaluation:
    """Measure a bundle on the pictures of an index, one picture in memory at a time.

    Args:
        bundle: Of either task.
        index: Segmentation scores the pictures that have labels; classification needs an organ for each.
        fold: Score only these folds; all pictures without.
        baseline: Also score the colour forests (classification only).
        cells_per_picture: Most cells of a picture that are scored, drawn by a fixed seed; all without (only for
            bundles that name the organ of single cells).
        progress: Called with the pictures done and the pictures to do.

    Raises:
        UsageError: The index has no such fold, or none of its organs is known to the bundle.
        DatasetError: No picture has labels, or a picture's organ is unknown to the bundle.
        InputError: A picture or its labels cannot be read, or do not fit; nothing is scored without it.
    """
    samples = _select(index, fold)
    subset = _subset_name(fold)
    report = progress or (lambda done, total: None)
    if bundle.manifest.spec.task == "segmentation":
        return _evaluate_segmentation(bundle, index, samples, subset, report)
    classification.check_organs(samples, bundle.manifest.classes, bundle.manifest.name)
    if bundle.manifest.spec.subject == "cell":
        return evaluate_cells(
            bundle, index, samples, subset,
            fold=fold, cells_per_picture=cells_per_picture, baseline=baseline, progress=report,
        )  # fmt: skip
    evaluation = _evaluate_classification(bundle, index, samples, subset, report)
    return _with_baselines(evaluation, index, fold, bundle.manifest.classes) if baseline else evaluation


def _select(index: Index, fold: int | Collection[int] | None) -> list[Sample]:
    samples = index.samples(fold)
    if not samples:
        known = ", ".join(str(number) for number in sorted({sample.fold for sample in index.samples()}))
        raise UsageError(f"Expected a fold of {index.folder} ({known}), found {_subset_name(fold)}.")
    return samples


def _subset_name(fold: int | Collection[int] | None) -> str:
    if fold is None:
        return "all"
    folds = [fold] if isinstance(fold, int) else sorted(fold)
    return ("fold " if len(folds) == 1 else "folds ") + ", ".join(str(number) for number in folds)


def _evaluate_segmentation(
    bundle: Bundle, index: Index, samples: Sequence[Sample], subset: str, progress: Progress
) -> Evaluation:
    labelled = [sample for sample in samples if sample.labels_path is not None]
    if not labelled:
        raise DatasetError(f"Expected pictures with labels in {index.folder} ({subset}), found none.")
    pictures, cells = segmentation.score_pictures(bundle, labelled, progress)
    tables, notes = [], []
    for dataset, part in pictures.groupby("dataset"):
        table, note = segmentation.summarise(part, cells[cells["id"].isin(part["id"])])
        tables.append(_labelled(table, BUNDLE, dataset, subset, len(part)))
        notes.append(f"{dataset}: {note}")
    if len(labelled) < len(samples):
        notes.append(f"{len(samples) - len(labelled)} pictures without labels were left out.")
    return Evaluation(
        task="segmentation",
        bundle=f"{bundle.manifest.name} {bundle.manifest.version}",
        subset=subset,
        fingerprint=index.fingerprint(),
        scores=pd.concat(tables, ignore_index=True),
        per_image=pictures,
        tables={"by_organ": segmentation.by_organ(pictures), "cells": cells},
        notes=tuple(notes),
    )


def _evaluate_classification(
    bundle: Bundle, index: Index, samples: Sequence[Sample], subset: str, progress: Progress
) -> Evaluation:
    classes = bundle.manifest.classes
    pictures = classification.score_pictures(bundle, samples, progress)
    tables, notes = [], []
    for dataset, part in pictures.groupby("dataset"):
        table, note = classification.summarise(part, classes)
        tables.append(_labelled(table, BUNDLE, dataset, subset, len(part)))
        notes.append(f"{dataset}: {note}")
    if shared := _groups_in_several_folds(index, samples):
        notes.append(
            f"{len(shared)} groups (slides, patients) of the scored pictures, such as {shared[0]!r}, also have "
            "pictures in other folds: the scores measure slide and stain as well as organ."
        )
    return Evaluation(
        task="classification",
        bundle=f"{bundle.manifest.name} {bundle.manifest.version}",
        subset=subset,
        fingerprint=index.fingerprint(),
        scores=pd.concat(tables, ignore_index=True),
        per_image=pictures,
        tables=classification.organ_tables(pictures, classes),
        notes=tuple(notes),
    )


def _groups_in_several_folds(index: Index, samples: Sequence[Sample]) -> list[str]:
    n_folds = index.table.groupby("group")["fold"].nunique()
    return sorted({sample.group for sample in samples if n_folds[sample.group] > 1})


def _with_baselines(
    evaluation: Evaluation, index: Index, fold: int | Collection[int] | None, classes: Sequence[str]
) -> Evaluation:
    """The same evaluation with the baselines' rows in its scores and their answers in its pictures."""
    pictures, tables, notes = evaluation.per_image, [evaluation.scores], list(evaluation.notes)
    baselines = colour_forest_baseline(index, fold, organs=classes)
    if not baselines:
        notes.append("No colour baseline: the index has no other fold to train it on.")
    for name, answers in baselines.items():
        probs = answers.loc[pictures["id"], list(classes)]
        pictures = pictures.assign(**{name: probs.idxmax(axis=1).to_numpy()})
        for dataset, part in pictures.groupby("dataset"):
            rows = classification.summarise_baseline(part, probs.loc[part["id"]].to_numpy(), classes)
            tables.append(_labelled(rows, name, dataset, evaluation.subset, len(part)))
    scores = pd.concat(tables, ignore_index=True)
    return replace(evaluation, scores=scores, per_image=pictures, notes=tuple(notes))


def _labelled(table: pd.DataFrame, model: str, dataset: str, subset: str, n_images: int) -> pd.DataFrame:
    labels = {"model": model, "dataset": dataset, "subset": subset, "n_images": n_images}
    return table.assign(**labels)[SCORE_COLUMNS]
