"""When to answer and when to abstain, as data that travels in the bundle."""

from dataclasses import dataclass
from typing import Literal

import numpy as np
from jaxtyping import Float
from pydantic import BaseModel, ConfigDict, Field

from organscope.errors import ValueRangeError


class Policy(BaseModel):
    """The rule from a classifier's outputs to an answer.

    Attributes:
        temperature: Divides the logits before softmax.
        min_confidence: The first class must be at least this probable.
        max_distance: The picture must be at most this far from the training pictures: distance to the
            `n_neighbours`-th nearest embedding of length 1, from 0 to 2.
        n_neighbours: k of that distance.
        reference: File of the bundle, safetensors, whose tensor `features` holds the training embeddings.
    """

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)

    temperature: float = Field(1.0, gt=0)
    min_confidence: float = Field(0.0, ge=0, le=1)
    max_distance: float = Field(2.0, ge=0, le=2)
    n_neighbours: int = Field(5, ge=1)
    reference: str = "reference.safetensors"


@dataclass(frozen=True)
class Decision:
    """The answer for one picture.

    Attributes:
        organ_index: The most probable class, also where the answer is to abstain.
        confidence: Its calibrated probability, in [0, 1].
        decision: Whether that class is to be relied on.
        reason: Why not, in words; empty when accepted.
        distance: To the training pictures, from 0 to 2.
    """

    organ_index: int
    confidence: float
    decision: Literal["accept", "abstain"]
    reason: str
    distance: float


def decide(probabilities: Float[np.ndarray, " c"], distance: float, policy: Policy) -> Decision:
    """Accept the most probable class, or abstain and say why.

    Args:
        probabilities: Calibrated (`softmax` at the policy's temperature), summing to 1.
        distance: Of the picture to the training pictures (`nearest_distance`).
        policy: The limits. A value that equals its limit is accepted.

    Raises:
        ValueRangeError: The probabilities do not sum to 1, or the distance is not finite.
    """
    if not abs(float(probabilities.sum()) - 1.0) < 1e-3 or not np.isfinite(distance):
        raise ValueRangeError(
            f"Expected probabilities that sum to 1 and a finite distance, found a sum of "
            f"{float(probabilities.sum()):.3f} and {distance}. Take them from softmax and nearest_distance."
        )
    first = int(np.argmax(probabilities))
    confidence = float(probabilities[first])
    reasons = _reasons(confidence, float(distance), policy)
    return Decision(
        organ_index=first,
        confidence=confidence,
        decision="abstain" if reasons else "accept",
        reason="; ".join(reasons),
        distance=float(distance),
    )


def _reasons(confidence: float, distance: float, policy: Policy) -> list[str]:
    """Every limit that is not kept, in words; none where the answer is accepted."""
    reasons = []
    if distance > policy.max_distance:
        found, limit = _told_apart(distance, policy.max_distance)
        reasons.append(f"unlike anything in the training pictures (distance {found}, limit {limit})")
    if confidence < policy.min_confidence:
        found, limit = _told_apart(confidence, policy.min_confidence)
        reasons.append(f"confidence {found} is below {limit}")
    return reasons


def _told_apart(value: float, limit: float) -> tuple[str, str]:
    """Both numbers with two decimals, or with as many as tell them apart."""
    digits = next((n for n in range(2, 6) if f"{value:.{n}f}" != f"{limit:.{n}f}"), 6)
    return f"{value:.{digits}f}", f"{limit:.{digits}f}"
