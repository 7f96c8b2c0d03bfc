"""Organs with few images, or on one side of the split only."""

from collections.abc import Iterator

import pandas as pd

from organscope.dataset.checks.finding import Finding, Severity
from organscope.dataset.survey import Survey

#: The largest organ may have so many times the images of the smallest.
MAX_RATIO = 10
SCORED_FOLD = 1


def class_imbalance(survey: Survey) -> Iterator[Finding]:
    """One organ with ten times the images of another, or more."""
    counts = _known(survey.index.table)["organ"].value_counts().sort_index()
    if len(counts) > 1 and counts.max() >= MAX_RATIO * counts.min():
        message = (
            f"Found {counts.max()} images of {counts.idxmax()} and {counts.min()} of {counts.idxmin()}: "
            "accuracy over all images says little about rare organs."
        )
        remedy = "Look at the macro averages and their intervals; weight or add images of the rare organs."
        yield Finding(Severity.WARNING, "class-imbalance", "", "", message, remedy)


def one_sided_organs(survey: Survey) -> Iterator[Finding]:
    """Organs without an image to train on, or without one to score."""
    table = _known(survey.index.table)
    table = table[table["fold"] > 0]
    if table["fold"].nunique() < 2 or table["organ"].nunique() < 2:
        return
    for organ, rows in table.groupby("organ"):
        scored = int((rows["fold"] == SCORED_FOLD).sum())
        if scored and scored < len(rows):
            continue
        lacking = "fold 1, which is scored" if not scored else "folds 2 and above, which train"
        message = f"Expected images of {organ} on both sides of the split, found none in {lacking}."
        remedy = "Add images (another slide) or leave the organ out; then organscope data split INDEX."
        yield Finding(Severity.WARNING, "one-sided-organ", "", "", message, remedy)


def _known(table: pd.DataFrame) -> pd.DataFrame:
    return table[table["organ"] != ""]
