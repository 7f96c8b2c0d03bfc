"""Slides or patients that lie on both sides of a split."""

from collections.abc import Iterator

from organscope.dataset.checks.finding import Finding, Severity
from organscope.dataset.survey import Survey


def divided_groups(survey: Survey) -> Iterator[Finding]:
    """Groups with samples in several folds, or in both the delivered train and test part."""
    for group, rows in survey.index.table.groupby("group"):
        parts = sorted(rows["split"][rows["split"] != ""].unique())
        folds = sorted(rows["fold"][rows["fold"] > 0].unique())
        found = " and ".join(parts) if len(parts) > 1 else ", ".join(f"fold {fold}" for fold in folds)
        if len(parts) > 1 or len(folds) > 1:
            message = (
                f"Expected the group '{group}' ({len(rows)} images) on one side of the split, found it in {found}. "
                "A score measured so says how well known slides are recognised, not new ones."
            )
            remedy = (
                "Draw folds that keep groups whole: organscope data split INDEX. Where every organ has one slide only, "
                "no split can; then say so beside every score, or add slides."
            )
            yield Finding(Severity.ERROR, "divided-group", "", "", message, remedy)
