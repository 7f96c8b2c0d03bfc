"""The answers of bundles for pictures of known truth, before they are summarised."""

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Literal

import pandas as pd

from organscope.errors import DatasetError, UsageError
from organscope.evaluate.evaluation import Evaluation

Kind = Literal["segmentation", "classification", "cells"]

OUT_OF_FOLD = "out of fold"
"""What answers are called that were given by models that never saw the pictures."""


@dataclass(frozen=True)
class Scored:
    """What one bundle, or several on different folds, answered.

    Attributes:
        kind: What the bundles are for.
        bundle: Name and version, of several all of them.
        classes: Of the bundle.
        subset: Name of the part of the index that was scored.
        folds: Numbers of the folds; None where all pictures were scored whatever their fold.
        fingerprint: Of the index.
        pictures: One row a picture.
        cells: One row a cell; none where cells are not scored one by one.
        copies: One row an altered copy of a picture; none where none were made.
        leaks: Pictures with a twin or their slide on the other side of the split; none where none were looked for.
        notes: What must be said beside the scores.
    """

    kind: Kind
    bundle: str
    classes: tuple[str, ...]
    subset: str
    folds: tuple[int, ...] | None
    fingerprint: str
    pictures: pd.DataFrame
    cells: pd.DataFrame = field(default_factory=pd.DataFrame)
    copies: pd.DataFrame = field(default_factory=pd.DataFrame)
    leaks: pd.DataFrame = field(default_factory=pd.DataFrame)
    notes: tuple[str, ...] = ()

    def evaluation(
        self, scores: pd.DataFrame, tables: dict[str, pd.DataFrame], notes: Sequence[str], **changes
    ) -> Evaluation:
        """The evaluation that these answers belong to; `changes` replace its other parts."""
        evaluation = Evaluation(
            task="segmentation" if self.kind == "segmentation" else "classification",
            bundle=self.bundle,
            subset=self.subset,
            fingerprint=self.fingerprint,
            scores=scores,
            per_image=self.pictures,
            tables=tables,
            notes=tuple(notes),
        )
        return replace(evaluation, **changes)


def pool_scored(parts: Sequence[Scored]) -> Scored:
    """Answers of several bundles on different pictures of one index, as if one model had given them all.

    So that every picture is scored once, by a model that was not trained on it, and small organs have all their
    pictures in one score ("out of fold").

    Raises:
        UsageError: The bundles are for different things or know different classes, or there is none.
        DatasetError: A picture was scored twice, or the indexes differ.
    """
    if len({(part.kind, part.classes) for part in parts}) != 1:
        raise UsageError("Expected bundles for one task that know the same classes, found others.")
    if len({part.fingerprint for part in parts}) != 1:
        raise DatasetError("Expected answers on one index, found several. Score all bundles on the same one.")
    pictures = pd.concat([part.pictures for part in parts], ignore_index=True)
    if pictures["id"].duplicated().any():
        twice = pictures["id"][pictures["id"].duplicated()].iloc[0]
        raise DatasetError(f"Expected every picture scored once, found {twice} twice. Give each bundle its own fold.")
    folds = sorted(number for part in parts for number in part.folds or ())
    return Scored(
        kind=parts[0].kind,
        bundle=", ".join(dict.fromkeys(part.bundle for part in parts)),
        classes=parts[0].classes,
        subset=f"{OUT_OF_FOLD} " + ", ".join(str(number) for number in folds),
        folds=tuple(folds),
        fingerprint=parts[0].fingerprint,
        pictures=pictures,
        cells=_pooled_cells(parts),
        copies=pd.concat([part.copies for part in parts], ignore_index=True),
        leaks=pd.concat([part.leaks for part in parts], ignore_index=True),
        notes=tuple(dict.fromkeys(note for part in parts for note in part.notes)),
    )


def _pooled_cells(parts: Sequence[Scored]) -> pd.DataFrame:
    """Where cells say in which row their picture is, the rows of later parts come after those of earlier ones."""
    shifted, first = [], 0
    for part in parts:
        moved = "position" in part.cells
        shifted.append(part.cells.assign(position=part.cells["position"] + first) if moved else part.cells)
        first += len(part.pictures)
    return pd.concat(shifted, ignore_index=True)
