"""What the cells of an image say together, and whether the whole image says the same."""

from dataclasses import dataclass, replace
from typing import Literal

import numpy as np
from jaxtyping import Float64, Int64

from organscope.decide import Decision
from organscope.decide.pooling import pool_answers
from organscope.predict import CellOrgans, Classification

Agreement = Literal["agree", "disagree", "unsure", "no cells"]
"""Of the image as a whole and its cells together: `unsure` where they name different organs, but at least one of both
answers is not to be relied on anyway; `disagree` where both are."""


@dataclass(frozen=True)
class CellAnswer:
    """The organs of the cells of one image, without the cells.

    Attributes:
        organs: The classes of the bundle for cells.
        counts: How many cells each organ is the most probable one of.
        pooled: Probability of each organ from all cells together; None without cells.
        decision: The organ that the cells name together, and whether to rely on it; None without cells.
        agreement: With the answer for the image as a whole, before the cells were heard.
    """

    organs: tuple[str, ...]
    counts: Int64[np.ndarray, " organ"]
    pooled: Float64[np.ndarray, " organ"] | None
    decision: Decision | None
    agreement: Agreement

    @property
    def organ(self) -> str:
        """The organ that the cells name together; empty without cells."""
        return "" if self.decision is None else self.organs[self.decision.organ_index]


def answer_of_cells(found: CellOrgans, whole: Classification) -> CellAnswer:
    """Keep of the cells of an image what its page and its row in a table say."""
    counts = np.bincount(found.organ_index, minlength=len(found.organs)).astype(np.int64)
    return answer_of_counts(found.organs, counts, found.pooled, found.decision, whole)


def answer_of_counts(
    organs: tuple[str, ...],
    counts: Int64[np.ndarray, " organ"],
    pooled: Float64[np.ndarray, " organ"] | None,
    decision: Decision | None,
    whole: Classification,
) -> CellAnswer:
    """The same where the cells are too many to hold; see `CellAnswer`."""
    return CellAnswer(organs, counts, pooled, decision, _agreement(organs, decision, whole))


def with_cells_heard(whole: Classification, cells: CellAnswer) -> Classification:
    """The same answer, or abstained from where the cells contradict it with confidence."""
    if cells.agreement != "disagree":
        return whole
    decision = whole.decision
    reason = (
        f"the whole image says {whole.organs[decision.organ_index]} (probability {decision.confidence:.2f}), its cells "
        f"together say {cells.organ} ({cells.decision.confidence:.2f})"
    )
    return replace(whole, decision=replace(decision, decision="abstain", reason=reason, doubt=reason))


def joint_answer(whole: Classification, cells: CellAnswer | None) -> tuple[str, float] | None:
    """The organ that the image and its cells name together, and its probability.

    Both count the same (`pool_answers`). None without cells, or where the two bundles know different organs.
    """
    if cells is None or cells.pooled is None or set(cells.organs) != set(whole.organs):
        return None
    in_order = cells.pooled[[cells.organs.index(organ) for organ in whole.organs]]
    joint = pool_answers(whole.probabilities, in_order)
    return whole.organs[int(joint.argmax())], float(joint.max())


def cells_row(whole: Classification, cells: CellAnswer) -> dict[str, str | float | None]:
    """What the cells of an image say, alone and with it, as the summary and the JSON of an analysis hold it."""
    organ, confidence = joint_answer(whole, cells) or (None, None)
    return {
        "cells_organ": cells.organ or None,
        "cells_confidence": None if cells.decision is None else float(cells.decision.confidence),
        "agreement": cells.agreement,
        "joint_organ": organ,
        "joint_confidence": confidence,
    }


def _agreement(organs: tuple[str, ...], decision: Decision | None, whole: Classification) -> Agreement:
    if decision is None:
        return "no cells"
    if whole.organs[whole.decision.organ_index] == organs[decision.organ_index]:
        return "agree"
    both = whole.decision.decision == decision.decision == "accept"
    return "disagree" if both else "unsure"
