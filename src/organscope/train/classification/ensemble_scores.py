"""Cross-validated scores: each network on the pictures that it never saw, pooled."""

from collections.abc import Callable, Sequence

import pandas as pd

from organscope.bundle import Bundle, Score
from organscope.evaluate import manifest_scores
from organscope.evaluate.baseline import colour_forest_baseline
from organscope.evaluate.classification import score_pictures, summarise, summarise_baseline
from organscope.evaluate.evaluation import BUNDLE, SCORE_COLUMNS, Evaluation
from organscope.train.classification.members import Member

SUBSET = "out of fold"


def out_of_fold_scores(
    members: Sequence[Member], bundles: Sequence[Bundle], report: Callable[[str], None]
) -> list[Score]:
    """Scores with intervals, by data set, beside forests that see only colour or only gray texture.

    Args:
        members: In the order of `bundles`.
        bundles: With policies that do not come from their own test pictures.
        report: Gets a line for the person who watches.
    """
    pictures = pd.concat(
        [
            score_pictures(bundle, member.split.test, lambda done, total: None)
            for member, bundle in zip(members, bundles, strict=True)
        ],
        ignore_index=True,
    )
    classes = bundles[0].manifest.classes
    tables = []
    for dataset, part in pictures.groupby("dataset"):
        tables.append(_labelled(summarise(part, classes)[0], BUNDLE, dataset, len(part)))
    for index in members[0].split.indexes:
        for name, answers in colour_forest_baseline(index, organs=classes).items():
            part = pictures[pictures["id"].isin(answers.index)]
            rows = summarise_baseline(part, answers.loc[part["id"], list(classes)].to_numpy(), classes)
            tables.append(_labelled(rows, name, part["dataset"].iloc[0], len(part)))
    scores = pd.concat(tables, ignore_index=True)
    evaluation = Evaluation("classification", bundles[0].manifest.name, SUBSET, "", scores, pictures)
    figures = ("accuracy", "balanced_accuracy", "macro_f1", "ece")
    report("Out of fold: " + ", ".join(f"{name.replace('_', ' ')} {evaluation.score(name):.3f}" for name in figures))
    return manifest_scores(evaluation)


def _labelled(table: pd.DataFrame, model: str, dataset: str, n_images: int) -> pd.DataFrame:
    labels = {"model": model, "dataset": dataset, "subset": SUBSET, "n_images": n_images}
    return table.assign(**labels)[SCORE_COLUMNS]
