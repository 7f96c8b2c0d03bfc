"""From what a person asks for to rules."""

from collections.abc import Sequence
from pathlib import Path

from organscope.decide.answers import Rules
from organscope.decide.contract import DEFAULT_RECALL, promise
from organscope.decide.costs import read_costs
from organscope.decide.names import organ_number
from organscope.decide.policy import Policy
from organscope.errors import UsageError


def rules_for(
    policy: Policy,
    organs: Sequence[str],
    *,
    positive: str | None = None,
    min_recall: float | None = None,
    costs: Path | None = None,
) -> Rules:
    """Rules for a policy.

    Args:
        policy: Of the bundle; its contract says what can be promised.
        organs: Names of the classes.
        positive: Organ that must not be missed.
        min_recall: Recall to promise for it, 0.95 without.
        costs: File of the prices of mistakes, see `read_costs`.

    Raises:
        UnknownNameError: There is no such organ; names those that are near.
        UsageError: A recall without an organ, or the bundle holds no contract.
        ValueRangeError: The recall is not in (0, 1).
        ConfigError: The file of costs cannot be used.
    """
    table = None if costs is None else read_costs(costs, organs)
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
    return Rules(costs=table, promise=promise(policy.contract, organs[number], asked), positive=number)
