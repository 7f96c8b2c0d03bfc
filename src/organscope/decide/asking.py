"""From what a person asks for to rules."""

from collections.abc import Sequence

from organscope.decide.answers import Rules
from organscope.decide.contract import DEFAULT_RECALL, promise
from organscope.decide.costs import costs_from
from organscope.decide.names import organ_number
from organscope.decide.policy import Policy
from organscope.errors import UsageError


def rules_for(
    policy: Policy,
    organs: Sequence[str],
    *,
    positive: object = None,
    min_recall: object = None,
    costs: object = None,
) -> Rules:
    """Rules for a policy.

    Args:
        policy: Of the bundle; its contract says what can be promised.
        organs: Names of the classes.
        positive: Organ that must not be missed.
        min_recall: Recall to promise for it, 0.95 without.
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
    return Rules(costs=table, promise=promise(policy.contract, organs[number], asked), positive=number)


def _require_types(positive: object, min_recall: object) -> None:
    if positive is not None and not isinstance(positive, str):
        raise UsageError(f"Expected the name of an organ that must not be missed, found {type(positive).__name__}.")
    if min_recall is not None and (isinstance(min_recall, bool) or not isinstance(min_recall, int | float)):
        raise UsageError(f"Expected a recall above 0 and below 1, such as 0.9, found {min_recall!r}.")
