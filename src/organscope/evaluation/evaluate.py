"""Bundles on parts of an index: predict through the inference side, compare, summarize.

From answers to scores with intervals and tables.
"""

import re
from collections.abc import Callable, Collection, Sequence
from dataclasses import replace

import pandas as pd

from organscope.data.index import Index, Sample, fold_numbers
from organscope.errors import DatasetError, UsageError
from organscope.evaluation import classification, segmentation
from organscope.evaluation.baselines import color_forest_baseline
from organscope.evaluation.cells import score_cells, summarize_cells
from organscope.evaluation.classification import organ_tables
from organscope.evaluation.results import BUNDLE, SCORE_COLUMNS, Evaluation, Kind, Predictions, pool_scored
from organscope.evaluation.robustness import leak_table, score_copies
from organscope.models import Bundle


def _summarize_scored(scored: Predictions, bundle: Bundle, index: Index, *, baseline: bool) -> Evaluation:
    """Scores and tables of answers.

    Args:
        scored: The answers.
        bundle: What gave them, or one of several that did.
        index: What the images are from.
        baseline: Also score the color forests (classification only).
    """
    if scored.kind == "segmentation":
        return _segmentation(scored)
    if scored.kind == "cells":
        return summarize_cells(scored, bundle, index, baseline=baseline)
    evaluation = _classification(scored, index)
    return _with_baselines(evaluation, scored, index) if baseline else evaluation


def _segmentation(scored: Predictions) -> Evaluation:
    images, cells = scored.pictures, scored.cells
    tables, notes = [], []
    for dataset, part in images.groupby("dataset"):
        table, note = segmentation.summarize(part, cells[cells["id"].isin(part["id"])])
        tables.append(labeled(table, BUNDLE, dataset, scored.subset, len(part)))
        notes.append(f"{dataset}: {note}")
    scores = pd.concat(tables, ignore_index=True)
    return scored.evaluation(
        scores, {"by_organ": segmentation.by_organ(images), "cells": cells}, (*notes, *scored.notes)
    )


def _classification(scored: Predictions, index: Index) -> Evaluation:
    images, classes = scored.pictures, scored.classes
    tables, notes = [], []
    for dataset, part in images.groupby("dataset"):
        table, note = classification.summarize(part, classes)
        tables.append(labeled(table, BUNDLE, dataset, scored.subset, len(part)))
        notes.append(f"{dataset}: {note}")
    if shared := _groups_in_several_folds(index, images["group"]):
        notes.append(
            f"{len(shared)} groups (slides, patients) of the scored images, such as {shared[0]!r}, also have "
            "images in other folds: the scores measure slide and stain as well as organ."
        )
    scores = pd.concat(tables, ignore_index=True)
    return scored.evaluation(scores, organ_tables(scored), (*notes, *scored.notes))


def _groups_in_several_folds(index: Index, groups: pd.Series) -> list[str]:
    n_folds = index.table.groupby("group")["fold"].nunique()
    return sorted({group for group in groups if n_folds[group] > 1})


def _with_baselines(evaluation: Evaluation, scored: Predictions, index: Index) -> Evaluation:
    """The same evaluation with the baselines' rows in its scores and their answers in its images."""
    images, tables, notes = evaluation.per_image, [evaluation.scores], list(evaluation.notes)
    classes = list(scored.classes)
    baselines = color_forest_baseline(index, scored.folds, organs=classes)
    if not baselines:
        notes.append("No color baseline: the index has no other fold to train it on.")
    for name, answers in baselines.items():
        probs = answers.loc[images["id"], classes]
        images = images.assign(**{name: probs.idxmax(axis=1).to_numpy()})
        for dataset, part in images.groupby("dataset"):
            rows = classification.summarize_baseline(part, probs.loc[part["id"]].to_numpy(), classes)
            tables.append(labeled(rows, name, dataset, evaluation.subset, len(part)))
    scores = pd.concat(tables, ignore_index=True)
    return replace(evaluation, scores=scores, per_image=images, notes=tuple(notes))


def labeled(table: pd.DataFrame, model: str, dataset: str, subset: str, n_images: int) -> pd.DataFrame:
    """Rows of scores with what they are of, in `SCORE_COLUMNS`."""
    labels = {"model": model, "dataset": dataset, "subset": subset, "n_images": n_images}
    return table.assign(**labels)[SCORE_COLUMNS]


_Progress = Callable[[int, int], None]


def evaluate_bundle(
    bundle: Bundle,
    index: Index,
    *,
    fold: int | Collection[int] | None = None,
    baseline: bool = True,
    checks: bool = False,
    cells_per_picture: int | None = None,
    progress: _Progress | None = None,
) -> Evaluation:
    """Measure a bundle on the images of an index, one image in memory at a time.

    Args:
        bundle: Of either task.
        index: Segmentation scores the images that have labels; classification needs an organ for each.
        fold: Score only these folds; all images without.
        baseline: Also score the color forests (classification only).
        checks: Also score gray, restained and spoilt copies of the images, and look for images that have a twin or
            their slide on the other side of the split (classification of images only). Takes eight times as long.
        cells_per_picture: Most cells of an image that are scored, drawn by a fixed seed; all without (only for
            bundles that name the organ of single cells).
        progress: Called with the images done and the images to do.

    Raises:
        UsageError: The index has no such fold, or none of its organs is known to the bundle.
        DatasetError: No image has labels, or an image's organ is unknown to the bundle.
        InputError: An image or its labels cannot be read, or do not fit; nothing is scored without it.
    """
    scored = score_bundle(
        bundle, index, fold=fold, checks=checks, cells_per_picture=cells_per_picture, progress=progress
    )
    return _summarize_scored(scored, bundle, index, baseline=baseline)


def evaluate_out_of_fold(
    bundles: Sequence[Bundle],
    index: Index,
    *,
    folds: Sequence[int] | None = None,
    baseline: bool = True,
    checks: bool = False,
    cells_per_image: int | None = None,
    progress: _Progress | None = None,
) -> Evaluation:
    """Measure the models of a cross-validation together: each on the fold that it was not trained on.

    The scores are those of all images pooled, not means over folds, so that an organ with one image a fold is
    scored on all of them at once.

    Args:
        bundles: One a fold, of the same task and classes.
        index: Whose folds they were trained on.
        folds: The fold that each bundle is scored on, in the order of the bundles; without, the folds on which the
            training measured it, as its manifest says.
        baseline: As in `evaluate_bundle`; so are `checks`, `cells_per_image` and `progress`.

    Raises:
        UsageError: A bundle's fold is unknown or given twice, or the bundles do not belong together.
        DatasetError: See `evaluate_bundle`.
        InputError: See `evaluate_bundle`.
    """
    parts = folds_of(bundles) if folds is None else [(fold,) for fold in folds]
    if len(parts) != len(bundles):
        raise UsageError(f"Expected one fold for each of {len(bundles)} bundles, found {len(parts)}.")
    everything = [number for part in parts for number in part]
    if len(set(everything)) != len(everything):
        raise UsageError(
            f"Expected every bundle to have folds of its own, found {', '.join(map(str, everything))}. "
            "Name the fold of each with --fold, in the order of the bundles."
        )
    scored = [
        score_bundle(bundle, index, fold=part, checks=checks, cells_per_picture=cells_per_image, progress=progress)
        for bundle, part in zip(bundles, parts, strict=True)
    ]
    return _summarize_scored(pool_scored(scored), bundles[0], index, baseline=baseline)


def folds_of(bundles: Sequence[Bundle]) -> list[tuple[int, ...]]:
    """The folds on which the training of each bundle measured it: those it was not trained on.

    Raises:
        UsageError: A manifest does not say.
    """
    found = []
    for bundle in bundles:
        subsets = {score.subset for score in bundle.manifest.scores}
        numbers = {int(number) for subset in subsets for number in re.findall(r"\d+", subset)}
        if not numbers:
            raise UsageError(
                f"Expected scores of some fold in the manifest of {bundle.source}, found none. "
                "Name the fold of each bundle with --fold, in the order of the bundles."
            )
        found.append(tuple(sorted(numbers)))
    return found


def score_bundle(
    bundle: Bundle,
    index: Index,
    *,
    fold: int | Collection[int] | None = None,
    checks: bool = False,
    cells_per_picture: int | None = None,
    progress: _Progress | None = None,
) -> Predictions:
    """The answers of a bundle, without scores; see `evaluate_bundle`."""
    spec = bundle.manifest.spec
    if spec.task == "cell kinds":
        raise UsageError(
            f"Expected a bundle that finds cells or names organs, found '{bundle.manifest.name}', which names kinds of "
            "cells. Its scores, of patients that were left out, are in its card: organscope bundle show."
        )
    samples = _select(index, fold)
    kind: Kind = "segmentation"
    if spec.task == "classification":
        kind = "cells" if spec.subject == "cell" else "classification"
    usable = samples
    if kind != "classification":
        usable = [sample for sample in samples if sample.labels_path is not None]
    if not usable:
        raise DatasetError(f"Expected images with labels in {index.folder} ({_subset_name(fold)}), found none.")
    if kind == "segmentation" and not any(sample.read_labels().any() for sample in usable):
        raise DatasetError(
            f"Expected labeled cells on the {len(usable)} images of {index.folder} ({_subset_name(fold)}), found none: "
            "no score is defined. Choose other folds, or import annotations with cells."
        )
    if kind != "segmentation":
        classification.check_organs(usable, bundle.manifest.classes, bundle.manifest.name)
    report = progress or (lambda done, total: None)
    images, cells, altered = _answers(kind, bundle, usable, checks, cells_per_picture, report)
    species = index.table.set_index("id")["species"]
    if kind == "classification" and (species != "").any():
        images.insert(images.columns.get_loc("group"), "species", species[images["id"]].to_numpy())
    left_out = len(samples) - len(usable)
    return Predictions(
        kind=kind,
        bundle=bundle.manifest.title,
        classes=tuple(bundle.manifest.classes),
        subset=_subset_name(fold),
        folds=None if fold is None else fold_numbers(fold),
        fingerprint=index.fingerprint(),
        pictures=images,
        cells=cells,
        copies=altered,
        leaks=leak_table(index, images["id"]) if checks and kind == "classification" else pd.DataFrame(),
        notes=(*_notes(bundle, left_out), *_undefined(kind, images)),
    )


def _notes(bundle: Bundle, left_out: int) -> tuple[str, ...]:
    """What a reader of the scores must know."""
    notes = [f"{left_out} images without labels were left out."] if left_out else []
    members = bundle.manifest.weights.architecture.get("members", 1)
    if isinstance(members, int) and members > 1:
        notes.append(
            f"{bundle.manifest.name} is the mean of {members} networks that together have learnt from every image of "
            "their training set: scores on those images are no test. Its cross-validated scores: organscope bundle "
            f"show {bundle.manifest.name}."
        )
    return tuple(notes)


def _undefined(kind: str, images: pd.DataFrame) -> tuple[str, ...]:
    """What is said of images without a cell, labeled or found."""
    n = int(images["pq"].isna().sum()) if kind == "segmentation" else 0
    if not n:
        return ()
    return (f"{n} of {len(images)} images show no cell and none was found there: they have no score.",)


def _answers(
    kind: str,
    bundle: Bundle,
    samples: Sequence[Sample],
    checks: bool,
    cells_per_image: int | None,
    progress: _Progress,
) -> tuple[pd.DataFrame, pd.DataFrame, pd.DataFrame]:
    """Rows of images, of cells and of altered copies."""
    nothing = pd.DataFrame()
    if kind == "segmentation":
        return *segmentation.score_images(bundle, samples, progress), nothing
    if kind == "cells":
        return *score_cells(bundle, samples, cells_per_image, progress), nothing
    images = classification.score_images(bundle, samples, progress)
    return images, nothing, score_copies(bundle, samples, progress) if checks else nothing


def _select(index: Index, fold: int | Collection[int] | None) -> list[Sample]:
    samples = index.samples(fold)
    if not samples:
        known = ", ".join(str(number) for number in sorted({sample.fold for sample in index.samples()}))
        raise UsageError(f"Expected a fold of {index.folder} ({known}), found {_subset_name(fold)}.")
    return samples


def _subset_name(fold: int | Collection[int] | None) -> str:
    if fold is None:
        return "all"
    folds = fold_numbers(fold)
    return ("fold " if len(folds) == 1 else "folds ") + ", ".join(str(number) for number in folds)
