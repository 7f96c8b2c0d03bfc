"""From answers to scores with intervals and tables."""

from dataclasses import replace

import pandas as pd

from organscope.bundle import Bundle
from organscope.dataset.index import Index
from organscope.evaluate import classification, segmentation
from organscope.evaluate.baseline import colour_forest_baseline
from organscope.evaluate.cells import summarise_cells
from organscope.evaluate.evaluation import BUNDLE, SCORE_COLUMNS, Evaluation
from organscope.evaluate.organ_tables import organ_tables
from organscope.evaluate.scored import Scored


def summarise_scored(scored: Scored, bundle: Bundle, index: Index, *, baseline: bool) -> Evaluation:
    """Scores and tables of answers.

    Args:
        scored: The answers.
        bundle: What gave them, or one of several that did.
        index: What the pictures are from.
        baseline: Also score the colour forests (classification only).
    """
    if scored.kind == "segmentation":
        return _segmentation(scored)
    if scored.kind == "cells":
        return summarise_cells(scored, bundle, index, baseline=baseline)
    evaluation = _classification(scored, index)
    return _with_baselines(evaluation, scored, index) if baseline else evaluation


def _segmentation(scored: Scored) -> Evaluation:
    pictures, cells = scored.pictures, scored.cells
    tables, notes = [], []
    for dataset, part in pictures.groupby("dataset"):
        table, note = segmentation.summarise(part, cells[cells["id"].isin(part["id"])])
        tables.append(labelled(table, BUNDLE, dataset, scored.subset, len(part)))
        notes.append(f"{dataset}: {note}")
    scores = pd.concat(tables, ignore_index=True)
    return scored.evaluation(
        scores, {"by_organ": segmentation.by_organ(pictures), "cells": cells}, (*notes, *scored.notes)
    )


def _classification(scored: Scored, index: Index) -> Evaluation:
    pictures, classes = scored.pictures, scored.classes
    tables, notes = [], []
    for dataset, part in pictures.groupby("dataset"):
        table, note = classification.summarise(part, classes)
        tables.append(labelled(table, BUNDLE, dataset, scored.subset, len(part)))
        notes.append(f"{dataset}: {note}")
    if shared := _groups_in_several_folds(index, pictures["group"]):
        notes.append(
            f"{len(shared)} groups (slides, patients) of the scored pictures, such as {shared[0]!r}, also have "
            "pictures in other folds: the scores measure slide and stain as well as organ."
        )
    scores = pd.concat(tables, ignore_index=True)
    return scored.evaluation(scores, organ_tables(scored), (*notes, *scored.notes))


def _groups_in_several_folds(index: Index, groups: pd.Series) -> list[str]:
    n_folds = index.table.groupby("group")["fold"].nunique()
    return sorted({group for group in groups if n_folds[group] > 1})


def _with_baselines(evaluation: Evaluation, scored: Scored, index: Index) -> Evaluation:
    """The same evaluation with the baselines' rows in its scores and their answers in its pictures."""
    pictures, tables, notes = evaluation.per_image, [evaluation.scores], list(evaluation.notes)
    classes = list(scored.classes)
    baselines = colour_forest_baseline(index, scored.folds, organs=classes)
    if not baselines:
        notes.append("No colour baseline: the index has no other fold to train it on.")
    for name, answers in baselines.items():
        probs = answers.loc[pictures["id"], classes]
        pictures = pictures.assign(**{name: probs.idxmax(axis=1).to_numpy()})
        for dataset, part in pictures.groupby("dataset"):
            rows = classification.summarise_baseline(part, probs.loc[part["id"]].to_numpy(), classes)
            tables.append(labelled(rows, name, dataset, evaluation.subset, len(part)))
    scores = pd.concat(tables, ignore_index=True)
    return replace(evaluation, scores=scores, per_image=pictures, notes=tuple(notes))


def labelled(table: pd.DataFrame, model: str, dataset: str, subset: str, n_images: int) -> pd.DataFrame:
    """Rows of scores with what they are of, in `SCORE_COLUMNS`."""
    labels = {"model": model, "dataset": dataset, "subset": subset, "n_images": n_images}
    return table.assign(**labels)[SCORE_COLUMNS]
