"""Decide: accept or abstain under a policy, costs and constraints.

From what a person asks for to rules.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from jaxtyping import Bool, Float, Int

from organscope.decision.conformal import in_sets
from organscope.decision.costs import Costs, costs_from, expected_costs, least_cost_answers, organ_number
from organscope.decision.policy import Policy
from organscope.decision.risk_control import DEFAULT_RECALL, RecallGuarantee, recall_guarantee
from organscope.errors import ShapeError, UsageError, ValueRangeError


@dataclass(frozen=True)
class Rules:
    """What a person asks for when an answer is needed; nothing of it changes a probability.

    Attributes:
        costs: Prices of mistakes; without, the most probable organ is the answer.
        promise: The organ that must not be missed, and its threshold.
        positive: Number of that organ among the classes; goes with `promise`.
    """

    costs: Costs | None = None
    promise: RecallGuarantee | None = None
    positive: int | None = None


@dataclass(frozen=True)
class Decision:
    """The answer for one image.

    Attributes:
        organ_index: The most probable class, or that of the least expected cost; also where the answer is to abstain.
        confidence: Its calibrated probability, in [0, 1].
        decision: Whether that class is to be relied on.
        reason: Why not, in words; empty when accepted.
        distance: To the training images, from 0 to 2.
        doubt: What stands against relying on any answer for this image, whatever is asked of it, in words: its look,
            or what its cells say. Empty where nothing does.
        prediction_set: Classes that cannot be ruled out, the most probable first; empty where the policy has no sets.
        flagged: Whether it may be the organ that must not be missed; None where no such organ was named.
    """

    organ_index: int
    confidence: float
    decision: Literal["accept", "abstain"]
    reason: str
    distance: float
    doubt: str = ""
    prediction_set: tuple[int, ...] = ()
    flagged: bool | None = None


@dataclass(frozen=True)
class Answers:
    """The same for many images, one entry or row an image.

    Attributes:
        organ_index: See `Decision`; so for `confidence` and `reasons`.
        confidence: See `Decision`.
        accepted: The answer is to be relied on.
        reasons: Why not.
        in_set: Which classes are in the prediction set; None where the policy has no sets.
        flagged: None where no organ was named that must not be missed.
    """

    organ_index: Int[np.ndarray, " n"]
    confidence: Float[np.ndarray, " n"]
    accepted: Bool[np.ndarray, " n"]
    reasons: list[str]
    in_set: Bool[np.ndarray, "n c"] | None
    flagged: Bool[np.ndarray, " n"] | None


def decide(
    probabilities: Float[np.ndarray, " c"],
    distance: float,
    policy: Policy,
    *,
    doubt: str = "",
    rules: Rules | None = None,
) -> Decision:
    """Answer for one image, or abstain and say why.

    Args:
        probabilities: Calibrated (`softmax` at the policy's temperature), summing to 1.
        distance: Of the image to the training images (`nearest_distance`).
        policy: The limits. A value that equals its limit is accepted.
        doubt: What is wrong with the look of the image (`look_fault`).
        rules: Costs and the organ that must not be missed.

    Raises:
        ValueRangeError: The probabilities do not sum to 1, or the distance is not finite.
    """
    answers = decide_all(probabilities[None], np.array([distance], np.float64), policy, doubts=[doubt], rules=rules)
    order = np.argsort(-probabilities, kind="stable")
    return Decision(
        organ_index=int(answers.organ_index[0]),
        confidence=float(answers.confidence[0]),
        decision="accept" if answers.accepted[0] else "abstain",
        reason=answers.reasons[0],
        distance=float(distance),
        doubt=doubt,
        prediction_set=() if answers.in_set is None else tuple(int(k) for k in order if answers.in_set[0, k]),
        flagged=None if answers.flagged is None else bool(answers.flagged[0]),
    )


def decide_all(
    probabilities: Float[np.ndarray, "n c"],
    distances: Float[np.ndarray, " m"],
    policy: Policy,
    *,
    doubts: Sequence[str] | None = None,
    rules: Rules | None = None,
) -> Answers:
    """Answer for many images at once; see `decide`.

    An image is accepted if its look is right, it is near the training images, its answer is sure enough (or, where
    abstaining has a price, no answer is dearer), and, if an organ must not be missed, that organ is the answer or can
    be ruled out.

    Raises:
        ShapeError: Not one distance and one doubt an image.
        ValueRangeError: Probabilities do not sum to 1, or a distance is not finite.
    """
    _check(probabilities, distances, doubts)
    rules = rules or Rules()
    n = len(probabilities)
    choice = _choose(probabilities, policy, rules.costs)
    answer = choice.answer
    confidence = probabilities[np.arange(n), answer].astype(np.float64)
    strange = distances > policy.max_distance
    flagged = None
    if rules.positive is not None and rules.promise is not None:
        flagged = probabilities[:, rules.positive] >= rules.promise.threshold
    contradicted = np.zeros(n, bool) if flagged is None else flagged & (answer != rules.positive)
    faults = list(doubts) if doubts is not None else [""] * n
    accepted = ~(strange | choice.unsure | contradicted) & np.array([not fault for fault in faults], bool)
    reasons = [""] * n
    for i in np.flatnonzero(~accepted).tolist():
        parts = [faults[i]] if faults[i] else []
        parts += [_strange(float(distances[i]), policy)] if strange[i] else []
        parts += [choice.doubt(i)] if choice.unsure[i] else []
        if contradicted[i] and rules.promise is not None:
            parts.append(_not_ruled_out(rules.promise, float(probabilities[i, rules.positive])))
        reasons[i] = "; ".join(parts)
    in_set = in_sets(probabilities, policy.conformal) if policy.conformal else None
    return Answers(answer, confidence, accepted, reasons, in_set, flagged)


@dataclass(frozen=True)
class _Choice:
    """The answer to each image, whether it is doubtful, and the numbers that say so."""

    answer: Int[np.ndarray, " n"]
    unsure: Bool[np.ndarray, " n"]
    found: Float[np.ndarray, " n"]
    limit: Float[np.ndarray, " n"]
    words: str

    def doubt(self, i: int) -> str:
        found, limit = _format_distinct(float(self.found[i]), float(self.limit[i]))
        return self.words.format(found=found, limit=limit)


def _choose(probabilities: Float[np.ndarray, "n c"], policy: Policy, costs: Costs | None) -> _Choice:
    """The most probable or the cheapest class; doubtful where too improbable, or dearer than abstaining."""
    n, n_classes = probabilities.shape
    rows = np.arange(n)
    if costs is not None and costs.can_abstain:
        prices = expected_costs(probabilities, costs.matrix)
        answer = prices[:, :n_classes].argmin(axis=1)
        price, limit = prices[rows, answer], prices[:, n_classes]
        words = "its expected cost {found} is above that of abstaining, {limit}"
        return _Choice(answer, price > limit, price, limit, words)
    answer = probabilities.argmax(axis=1) if costs is None else least_cost_answers(probabilities, costs.matrix)
    confidence = probabilities[rows, answer]
    limit = np.full(n, policy.min_confidence)
    return _Choice(answer, confidence < limit, confidence, limit, "confidence {found} is below {limit}")


def _check(
    probabilities: Float[np.ndarray, "n c"], distances: Float[np.ndarray, " m"], doubts: Sequence[str] | None
) -> None:
    if len(distances) != len(probabilities) or (doubts is not None and len(doubts) != len(probabilities)):
        raise ShapeError(
            f"Expected one distance and one doubt for each of {len(probabilities)} images, found "
            f"{len(distances)} distances. Pass one entry a row of probabilities."
        )
    sums = probabilities.sum(axis=1, dtype=np.float64)
    wrong = np.flatnonzero(~(np.abs(sums - 1.0) < 1e-3) | ~np.isfinite(distances))
    if wrong.size:
        raise ValueRangeError(
            f"Expected probabilities that sum to 1 and a finite distance, found a sum of {sums[wrong[0]]:.3f} and "
            f"{distances[wrong[0]]}. Take them from softmax and nearest_distance."
        )


def _strange(distance: float, policy: Policy) -> str:
    found, limit = _format_distinct(distance, policy.max_distance)
    return f"unlike anything in the training images (distance {found}, limit {limit})"


def _not_ruled_out(promise: RecallGuarantee, probability: float) -> str:
    found, limit = _format_distinct(probability, promise.threshold)
    return f"{promise.organ} cannot be ruled out (probability {found}, flagged from {limit})"


def _format_distinct(value: float, limit: float) -> tuple[str, str]:
    """Both numbers with two decimals, or with as many as tell them apart and show that they are not 0."""

    def told(n: int) -> bool:
        shown, bound = f"{value:.{n}f}", f"{limit:.{n}f}"
        return (shown != bound or value == limit) and (float(bound) > 0 or limit == 0)

    digits = next((n for n in range(2, 6) if told(n)), 6)
    return f"{value:.{digits}f}", f"{limit:.{digits}f}"


def rules_for(
    policy: Policy,
    organs: Sequence[str],
    *,
    positive: Any = None,
    min_recall: Any = None,
    costs: Any = None,
) -> Rules:
    """Rules for a policy.

    Args:
        policy: Of the bundle; its contract says what can be promised.
        organs: Names of the classes.
        positive: Organ that must not be missed, a text.
        min_recall: Recall to promise for it, a number; 0.95 without.
        costs: The prices of mistakes, as a file or as a dictionary; see `costs_from`.

    Raises:
        UnknownNameError: There is no such organ; names those that are near.
        UsageError: A recall without an organ, the bundle holds no contract, or something is of the wrong type.
        ValueRangeError: The recall is not in (0, 1).
        ConfigError: The costs cannot be used.
    """
    _require_types(positive, min_recall)
    table = None if costs is None else costs_from(costs, organs)
    if positive is None:
        if min_recall is not None:
            raise UsageError("Expected an organ that must not be missed: give --positive with --min-recall.")
        return Rules(costs=table)
    number = organ_number(organs, positive)
    if policy.contract is None:
        raise UsageError(
            f"Expected a bundle with a recall contract to promise the recall of {organs[number]}, found one without "
            "calibration probabilities by organ. Train it again with this version."
        )
    asked = DEFAULT_RECALL if min_recall is None else min_recall
    return Rules(costs=table, promise=recall_guarantee(policy.contract, organs[number], asked), positive=number)


def _require_types(positive: object, min_recall: object) -> None:
    if positive is not None and not isinstance(positive, str):
        raise UsageError(f"Expected the name of an organ that must not be missed, found {type(positive).__name__}.")
    if min_recall is not None and (isinstance(min_recall, bool) or not isinstance(min_recall, int | float)):
        raise UsageError(f"Expected a recall above 0 and below 1, such as 0.9, found {min_recall!r}.")
