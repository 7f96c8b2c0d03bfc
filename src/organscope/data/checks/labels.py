"""Label images that do not fit their image, hold nothing, occur twice, or have cells in pieces.

Organs with few images, or on one side of the split only.

Slides or patients that lie on both sides of a split.
"""

from collections import defaultdict
from collections.abc import Iterator

import pandas as pd

from organscope.data.checks.finding import Finding, Severity
from organscope.data.survey import Survey


def size_mismatches(survey: Survey) -> Iterator[Finding]:
    """Label images of another size than their image."""
    for sample, facts in survey:
        pixels, cells = facts.pixels, facts.cells
        if pixels is None or cells is None:
            continue
        if (pixels.height_px, pixels.width_px) != (cells.height_px, cells.width_px):
            message = (
                f"Expected labels of {pixels.height_px} x {pixels.width_px} px like the image, "
                f"found {cells.height_px} x {cells.width_px} px."
            )
            remedy = "Export the labels at the size of the image; do not resize them."
            yield Finding(Severity.ERROR, "size-mismatch", sample.id, str(sample.labels_path), message, remedy)


def missing_labels(survey: Survey) -> Iterator[Finding]:
    """Images without annotation in a set that has annotations."""
    if all(sample.labels_path is None for sample in survey.samples):
        return
    for sample in survey.samples:
        if sample.labels_path is None:
            message = "Found no annotation for this image, though others of the set have one."
            remedy = "Annotate it, or leave it: it is used for organs, not for cells."
            yield Finding(Severity.NOTE, "missing-labels", sample.id, str(sample.image_path), message, remedy)


def empty_labels(survey: Survey) -> Iterator[Finding]:
    """Label images without a cell."""
    for sample, cells in survey.cells():
        if cells.n_cells == 0:
            message = "Expected at least one cell, found none."
            remedy = "If the image shows cells, annotate them; a field that is truly empty may stay."
            yield Finding(Severity.WARNING, "empty-labels", sample.id, str(sample.labels_path), message, remedy)


def duplicate_labels(survey: Survey) -> Iterator[Finding]:
    """One and the same label image, with cells, at images that differ."""
    owners = defaultdict(list)
    for sample, facts in survey:
        if facts.cells is not None and facts.cells.n_cells:
            owners[facts.labels_sha256].append((sample, facts))
    for found in owners.values():
        if len({facts.sha256 for _, facts in found}) > 1:
            first, *others = (sample for sample, _ in found)
            message = f"Expected labels of its own, found those of {_names(others)} too, though the images differ."
            remedy = "Find out to which image the labels belong; remove them from the others."
            yield Finding(Severity.ERROR, "duplicate-labels", first.id, str(first.labels_path), message, remedy)


def fragments(survey: Survey) -> Iterator[Finding]:
    """Cells in several pieces under one id: a warning where a second piece is large, a note for stray pixels."""
    for sample, cells in survey.cells():
        if cells.n_divided:
            severity = Severity.WARNING
            message = (
                f"Expected one piece a cell, found a second large piece for {cells.n_divided} of {cells.n_cells} "
                f"cells; the largest is {cells.worst_second_share:.0%} of cell {cells.worst_fragmented}."
            )
            remedy = (
                "Look at these cells: one may lie below another, or two have one id. Give two cells two ids; "
                "a nucleus that another one crosses may stay."
            )
        elif cells.n_fragmented:
            severity = Severity.NOTE
            message = (
                f"Expected one piece a cell, found stray pixels apart from {cells.n_fragmented} of {cells.n_cells} "
                f"cells, such as cell {cells.worst_fragmented}."
            )
            remedy = "Nothing, or remove the stray pixels."
        else:
            continue
        yield Finding(severity, "fragments", sample.id, str(sample.labels_path), message, remedy)


def _names(samples: list) -> str:
    shown = ", ".join(sample.id for sample in samples[:3])
    return shown if len(samples) <= 3 else f"{shown} and {len(samples) - 3} more"


#: The largest organ may have so many times the images of the smallest.
_MAX_RATIO = 10
_SCORED_FOLD = 1


def class_imbalance(survey: Survey) -> Iterator[Finding]:
    """One organ with ten times the images of another, or more."""
    counts = _known(survey.index.table)["organ"].value_counts().sort_index()
    if len(counts) > 1 and counts.max() >= _MAX_RATIO * counts.min():
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
        scored = int((rows["fold"] == _SCORED_FOLD).sum())
        if scored and scored < len(rows):
            continue
        lacking = "fold 1, which is scored" if not scored else "folds 2 and above, which train"
        message = f"Expected images of {organ} on both sides of the split, found none in {lacking}."
        remedy = "Add images (another slide) or leave the organ out; then organscope data split INDEX."
        yield Finding(Severity.WARNING, "one-sided-organ", "", "", message, remedy)


def _known(table: pd.DataFrame) -> pd.DataFrame:
    return table[table["organ"] != ""]


def divided_groups(survey: Survey) -> Iterator[Finding]:
    """Groups with samples in several folds, or in both the delivered train and test part."""
    for group, rows in survey.index.table.groupby("group"):
        parts = sorted(rows["split"][rows["split"] != ""].unique())
        folds = sorted(rows["fold"][rows["fold"] > 0].unique())
        found = " and ".join(parts) if len(parts) > 1 else ", ".join(f"fold {fold}" for fold in folds)
        if len(parts) > 1 or len(folds) > 1:
            message = (
                f"Expected the group '{group}' ({len(rows)} images) on one side of the split, found it in {found}. "
                "A score measured so says how well known slides are recognized, not new ones."
            )
            remedy = (
                "Draw folds that keep groups whole: organscope data split INDEX. Where every organ has one slide only, "
                "no split can; then say so beside every score, or add slides."
            )
            yield Finding(Severity.ERROR, "divided-group", "", "", message, remedy)
