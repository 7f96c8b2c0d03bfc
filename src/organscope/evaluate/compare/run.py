"""Models on one part of an index, compared."""

import re
from collections.abc import Callable, Collection, Sequence
from dataclasses import replace

import numpy as np
import pandas as pd

from organscope.dataset.index import Index
from organscope.errors import UsageError
from organscope.evaluate import classification, segmentation
from organscope.evaluate.compare.comparison import MEASURES, SMALLER_IS_BETTER, Comparison, Measures
from organscope.evaluate.compare.cost import cost_table
from organscope.evaluate.compare.disagreement import picture_table
from organscope.evaluate.compare.models import Model
from organscope.evaluate.compare.organs import organ_differences
from organscope.evaluate.compare.paired_tests import paired_tests
from organscope.evaluate.run import score_bundle
from organscope.evaluate.scored import Scored

Progress = Callable[[str, int, int], None]
ROUNDS = 5


def compare_models(
    models: Sequence[Model],
    index: Index,
    *,
    fold: int | Collection[int] | None = None,
    reference: str | None = None,
    rounds: int = ROUNDS,
    progress: Progress | None = None,
) -> Comparison:
    """Score all models on the same pictures and say how they differ.

    Args:
        models: Of one task, see `find_models`.
        index: Pictures with labels (segmentation) or organs.
        fold: Score only these folds; all pictures without.
        reference: Name of the model that the others are tested against; without, the best by the main score.
        rounds: Of the timing; 0 for none.
        progress: Called with what is being done, and how much of it is done and to do.

    Raises:
        UsageError: The index has no such fold, or no model has the name of the reference.
        DatasetError: Pictures have no labels, or organs that a model does not know.
        InputError: A picture cannot be read.
    """
    names = [model.name for model in models]
    if reference is not None and reference not in names:
        raise UsageError(f"Expected one of {', '.join(names)} as reference, found {reference!r}.")
    report = progress or (lambda what, done, total: None)
    scored = [_score(model, index, fold, report) for model in models]
    measures = MEASURES[models[0].bundle.manifest.spec.task]
    order = _best_first(scored, measures)
    models, scored = [models[place] for place in order], [scored[place] for place in order]
    pictures = {model.name: part.pictures for model, part in zip(models, scored, strict=True)}
    reference = reference or models[0].name
    used = set(scored[0].pictures["id"])
    samples = [sample for sample in index.samples(fold) if sample.id in used]
    tables = [_scores(model.name, part) for model, part in zip(models, scored, strict=True)]
    return Comparison(
        task=models[0].bundle.manifest.spec.task,
        subset=scored[0].subset,
        fingerprint=scored[0].fingerprint,
        models=tuple(models),
        reference=reference,
        scores=pd.concat([table for table, _ in tables], ignore_index=True),
        tests=paired_tests(pictures, reference, measures),
        costs=cost_table(models, samples, rounds=rounds, progress=lambda done, n: report("timing", done, n)),
        organs=organ_differences(pictures, reference, "correct" if measures.main == "accuracy" else measures.main),
        pictures=picture_table(pictures, measures),
        notes=(*tables[0][1], *scored[0].notes, *_seen_in_training(models, scored[0])),
    )


def _score(model: Model, index: Index, fold: int | Collection[int] | None, report: Progress) -> Scored:
    found = score_bundle(
        model.bundle, index, fold=fold, progress=lambda done, total: report(f"scoring {model.name}", done, total)
    )
    order = found.pictures["id"].argsort(kind="stable")
    return replace(found, pictures=found.pictures.iloc[order].reset_index(drop=True))


def _best_first(scored: Sequence[Scored], measures: Measures) -> list[int]:
    """Positions of the models, by the mean over data sets of the main score."""
    column = "correct" if measures.main == "accuracy" else measures.main
    means = [part.pictures.groupby("dataset")[column].mean().mean() for part in scored]
    sign = 1 if measures.main in SMALLER_IS_BETTER else -1
    return list(np.argsort(sign * np.array(means), kind="stable"))


def _scores(name: str, scored: Scored) -> tuple[pd.DataFrame, list[str]]:
    """The scores of a model with their intervals, and what was drawn for these."""
    tables, notes = [], []
    for dataset, part in scored.pictures.groupby("dataset", sort=True):
        if scored.kind == "segmentation":
            cells = scored.cells[scored.cells["id"].isin(part["id"])]
            table, note = segmentation.summarise(part, cells)
        else:
            table, note = classification.summarise(part, scored.classes)
        facts = {"model": name, "dataset": dataset, "n_images": len(part)}
        tables.append(table.assign(**facts))
        notes.append(f"{dataset}: {note}")
    columns = ["model", "dataset", "n_images", "metric", "value", "low", "high", "unit"]
    return pd.concat(tables, ignore_index=True)[columns], notes


def _seen_in_training(models: Sequence[Model], scored: Scored) -> list[str]:
    """A sentence for each model that may have learnt from pictures of these folds."""
    folds, datasets = set(scored.pictures["fold"]), set(scored.pictures["dataset"])
    notes = []
    for model in models:
        subsets = {score.subset for score in model.bundle.manifest.scores if score.dataset in datasets}
        held = {int(number) for subset in subsets for number in re.findall(r"\d+", subset)}
        if held and not folds <= held:
            listed = ", ".join(str(number) for number in sorted(held))
            notes.append(
                f"{model.name} was held back from fold {listed} alone: pictures of other folds may have trained it."
            )
    return notes
