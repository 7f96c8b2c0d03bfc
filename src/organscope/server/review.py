"""Answers for the images of a study at the prices a person names, from stored probabilities; no network runs."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from organscope.decision import Answers, CostTable, Rules, costs_of, decide_all, describe_guarantee, recall_guarantee
from organscope.decision.costs import organ_number
from organscope.decision.explain import (
    Explanation,
    describe_guarantee_plainly,
    is_out_of_distribution,
    percent,
    reasons_in_words,
)
from organscope.pipeline.plan import POLICY
from organscope.pipeline.results import StoredPolicy, read_policy
from organscope.server.settings import Settings
from organscope.server.wording import for_page

_TOP_ORGANS = 5
_MAX_POLICIES = 16


@dataclass(frozen=True)
class Constraints:
    """What a person asks for.

    Attributes:
        positive: Organ that must not be missed; None where none is.
        miss_cost: How many times worse it is to miss it than a false alarm.
        min_recall: Recall to promise for it; None for no promise.
    """

    positive: str | None = None
    miss_cost: float = 1.0
    min_recall: float | None = None


class DecisionService:
    """Decides on stored probabilities; remembers how the bundles that gave them decide."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._policies: dict[str, StoredPolicy] = {}

    def verdicts(self, images: Sequence[dict[str, Any]], question: Constraints) -> list[dict[str, Any]]:
        """The verdict on each finished image, those to look at first at the top.

        Doubtful ones come first, by what it would cost on average to leave them to the network; then the others
        likewise.

        Raises:
            UnknownNameError: No bundle of these images knows the positive organ.
        """
        found: list[dict[str, Any]] = []
        for stored, group in self._by_policy(images):
            rules = _rules_of(stored, question)
            probabilities = np.array([[row["summary"]["probabilities"][o] for o in stored.organs] for row in group])
            distances = np.array([row["summary"]["distance"] for row in group])
            doubts = [row["summary"]["doubt"] for row in group]
            answers = decide_all(probabilities, distances, stored.policy, doubts=doubts, rules=rules)
            costs = _expected_losses(probabilities, answers, rules)
            found += [
                _verdict(row, stored, probabilities[i], answers, i, float(costs[i]))
                | {"why": _why(row, stored, answers, i, rules.positive)}
                for i, row in enumerate(group)
            ]
        return sorted(found, key=lambda verdict: (verdict["decision"] == "accept", -verdict["cost"]))

    def promise(self, images: Sequence[dict[str, Any]], question: Constraints, *, is_plain: bool = False) -> list[str]:
        """What is promised for the positive organ; empty where no promise is asked for.

        Args:
            images: Rows of the database; the first bundle among them promises.
            question: What a person asks for.
            is_plain: Counted in images, for a person at the bench, rather than as a paper would say it.
        """
        words = describe_guarantee_plainly if is_plain else describe_guarantee
        if question.positive is None or question.min_recall is None:
            return []
        for stored, _ in self._by_policy(images):
            if stored.policy.contract is None:
                return [_no_contract(stored.bundle)]
            return list(words(recall_guarantee(stored.policy.contract, question.positive, question.min_recall)))
        return []

    def policy_of(self, row: dict[str, Any]) -> StoredPolicy:
        """How the bundle that answered for an image decides; the same wherever a copy of its policy lies."""
        sha256 = row["summary"]["policy"]
        if sha256 not in self._policies:
            if len(self._policies) >= _MAX_POLICIES:
                self._policies.clear()
            self._policies[sha256] = read_policy(self._settings.result_folder(row["id"]) / POLICY)
        return self._policies[sha256]

    def _by_policy(self, images: Sequence[dict[str, Any]]) -> list[tuple[StoredPolicy, list[dict[str, Any]]]]:
        """Images whose answers were given by one bundle belong together."""
        groups: dict[str, list[dict[str, Any]]] = {}
        for row in images:
            if row["summary"] is not None:
                groups.setdefault(row["summary"]["policy"], []).append(row)
        return [(self.policy_of(group[0]), group) for group in groups.values()]


def is_strange(row: dict[str, Any], stored: StoredPolicy) -> bool:
    """Whether a finished image is unlike those that the bundle was calibrated on."""
    return is_out_of_distribution(row["summary"]["distance"], stored.policy) or bool(row["summary"]["doubt"])


def _rules_of(stored: StoredPolicy, question: Constraints) -> Rules:
    """The question as rules for one bundle.

    Raises:
        UnknownNameError: It does not know the positive organ.
    """
    if question.positive is None:
        return Rules()
    number = organ_number(stored.organs, question.positive)
    costs = costs_of(CostTable(miss={stored.organs[number]: question.miss_cost}), stored.organs)
    if question.min_recall is None or stored.policy.contract is None:
        return Rules(costs=costs)
    promised = recall_guarantee(stored.policy.contract, stored.organs[number], question.min_recall)
    return Rules(costs=costs, promise=promised, positive=number)


def _expected_losses(probabilities: np.ndarray, answers: Answers, rules: Rules) -> np.ndarray:
    """What the answer to each image costs on average if it is believed: chances of being wrong times prices."""
    rows = np.arange(len(probabilities))
    if rules.costs is None:
        return 1.0 - probabilities[rows, answers.organ_index]
    return (probabilities * rules.costs.matrix[answers.organ_index]).sum(axis=1)


def _verdict(
    row: dict[str, Any], stored: StoredPolicy, own: np.ndarray, answers: Answers, i: int, cost: float
) -> dict[str, Any]:
    order = np.argsort(-own, kind="stable")
    in_set = None if answers.in_set is None else [stored.organs[k] for k in order if answers.in_set[i, k]]
    strange = is_strange(row, stored)
    return {
        "image": row["id"],
        "organ": stored.organs[int(answers.organ_index[i])],
        "confidence": float(answers.confidence[i]),
        "decision": "accept" if answers.accepted[i] else "abstain",
        "reason": answers.reasons[i],
        "prediction_set": in_set,
        "set_note": _set_note(in_set, stored, is_strange=strange),
        "flagged": None if answers.flagged is None else bool(answers.flagged[i]),
        "cost": cost,
        "coverage": None if stored.policy.conformal is None else stored.policy.conformal.coverage,
        "is_strange": strange,
        "distance": row["summary"]["distance"],
        "max_distance": stored.policy.max_distance,
        "top": [{"organ": stored.organs[k], "probability": float(own[k])} for k in order[:_TOP_ORGANS]],
    }


def _set_note(in_set: list[str] | None, stored: StoredPolicy, *, is_strange: bool) -> str:
    """A set holds what it promises for images like those that it was calibrated on, and for no others."""
    if in_set is None:
        return ""
    if is_strange:
        return "No organ can be ruled out here: the usual promise does not hold for an image like this."
    if not in_set:
        return "No organ fits: the image is unlike all of them."
    coverage = percent(stored.policy.conformal.coverage)
    return f"The true organ is in this set for {coverage} of images like those of the calibration."


def _why(row: dict[str, Any], stored: StoredPolicy, answers: Answers, i: int, positive: int | None) -> list[str]:
    """Sentences that say why the answer is withheld; none where it is given."""
    if answers.accepted[i]:
        return []
    shares = row["summary"]["probabilities"]
    answer = int(answers.organ_index[i])
    is_open = answers.flagged is not None and bool(answers.flagged[i]) and answer != positive
    doubted = Explanation(
        organ=stored.organs[answer],
        probability=float(answers.confidence[i]),
        likeliest=max(shares, key=shares.get),
        distance=row["summary"]["distance"],
        doubt=row["summary"]["doubt"],
        not_ruled_out=stored.organs[positive] if is_open else None,
    )
    return [for_page(reason) for reason in reasons_in_words(doubted, stored.policy) or [answers.reasons[i]]]


def organs_known(images: Sequence[dict[str, Any]]) -> list[str]:
    """All organs that the bundles of these images know, in order of name."""
    return sorted({organ for row in images if row["summary"] for organ in row["summary"]["probabilities"]})


def _no_contract(bundle: str) -> str:
    return f"The bundle {bundle} holds no recall contract, so no recall is promised; the cost alone decides."
