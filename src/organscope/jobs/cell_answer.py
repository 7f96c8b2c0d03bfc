"""What the cells of an image say together, and whether the whole image says the same."""

from dataclasses import dataclass, replace
from typing import Literal

import numpy as np
from jaxtyping import Float64, Int64

from organscope.decide import Decision, Rules, Together, decide
from organscope.predict import CellOrgans, Classification

Agreement = Literal["agree", "disagree", "unsure", "no cells"]
"""Of the image as a whole and its cells together: `unsure` where they name different organs, but at least one of both
answers is not to be relied on anyway; `disagree` where both are."""

NO_CELLS = "no cell was found in it, and its organ is named from the image and its cells together"

SETTLED = 0.6
"""An answer of image and cells together that is at least this probable settles a contradiction between them."""


@dataclass(frozen=True)
class CellAnswer:
    """The organs of the cells of one image, without the cells.

    Attributes:
        organs: The classes of the bundle for cells.
        counts: How many cells each organ is the most probable one of.
        pooled: Probability of each organ from all cells together; None without cells.
        decision: The organ that the cells name together, and whether to rely on it; None without cells.
        agreement: With the answer for the image as a whole, before the cells were heard.
        image_organ: That answer.
        image_confidence: Its probability.
    """

    organs: tuple[str, ...]
    counts: Int64[np.ndarray, " organ"]
    pooled: Float64[np.ndarray, " organ"] | None
    decision: Decision | None
    agreement: Agreement
    image_organ: str
    image_confidence: float

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
    image_organ = whole.organs[whole.decision.organ_index]
    agreement = _agreement(organs, decision, whole)
    return CellAnswer(organs, counts, pooled, decision, agreement, image_organ, float(whole.decision.confidence))


def with_cells_heard(
    whole: Classification, cells: CellAnswer, together: Together | None = None, rules: Rules | None = None
) -> Classification:
    """The answer for an image after its cells were heard.

    It is that of both where they were calibrated beside each other, else that of the image as a whole. It is abstained
    from where both contradict each other with confidence, unless the answer of both settles it, and where both should
    answer and there is no cell.

    Args:
        whole: The answer of the image as a whole.
        cells: That of its cells, and whether they agree.
        together: How both decide; the bundles know the same organs.
        rules: What is asked of the answer of both.
    """
    contradiction = _contradiction(cells) if cells.agreement == "disagree" else ""
    decision = whole.decision
    if together is None:
        if not contradiction:
            return whole
        doubted = replace(decision, decision="abstain", reason=contradiction, doubt=contradiction)
        return replace(whole, decision=doubted)
    probabilities, missing = whole.probabilities, NO_CELLS
    if cells.pooled is not None:
        in_order = cells.pooled[[cells.organs.index(organ) for organ in whole.organs]]
        probabilities, missing = together.probabilities(probabilities[None], in_order[None])[0], ""
    unsettled = contradiction if probabilities.max() < SETTLED else ""
    doubt = "; ".join(part for part in (decision.doubt, unsettled, missing) if part)
    decided = decide(probabilities, decision.distance, together.policy, doubt=doubt, rules=rules)
    return replace(whole, probabilities=probabilities, decision=decided)


def _contradiction(cells: CellAnswer) -> str:
    return (
        f"the whole image says {cells.image_organ} (probability {cells.image_confidence:.2f}), its cells "
        f"together say {cells.organ} ({cells.decision.confidence:.2f})"
    )


def cells_row(cells: CellAnswer) -> dict[str, str | float | None]:
    """What an image and its cells say, each alone, as the summary and the JSON of an analysis hold it."""
    return {
        "image_organ": cells.image_organ,
        "image_confidence": cells.image_confidence,
        "cells_organ": cells.organ or None,
        "cells_confidence": None if cells.decision is None else float(cells.decision.confidence),
        "agreement": cells.agreement,
    }


def _agreement(organs: tuple[str, ...], decision: Decision | None, whole: Classification) -> Agreement:
    if decision is None:
        return "no cells"
    if whole.organs[whole.decision.organ_index] == organs[decision.organ_index]:
        return "agree"
    both = whole.decision.decision == decision.decision == "accept"
    return "disagree" if both else "unsure"
