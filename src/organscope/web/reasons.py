"""Why an answer is not to be relied on, in sentences for who looks at the picture."""

from dataclasses import dataclass

from organscope.decide import Policy, Promise

#: A share is never said to be 0 or 100 % where it is not.
SMALLEST_SHARE, LARGEST_SHARE = 0.001, 0.999


@dataclass(frozen=True)
class Doubted:
    """An answer and everything that may stand against it.

    Attributes:
        organ: The answer: the most probable organ, or the cheapest at the price that was named.
        probability: Of that organ.
        likeliest: The most probable organ.
        distance: Of the picture to the training pictures.
        doubt: What the picture's look or its cells say against any answer; empty where nothing.
        not_ruled_out: The organ that must not be missed, where it is flagged and is not the answer; else None.
    """

    organ: str
    probability: float
    likeliest: str
    distance: float
    doubt: str
    not_ruled_out: str | None


def is_strange(distance: float, policy: Policy) -> bool:
    """Whether a picture is too far from the training pictures for any answer."""
    return distance > policy.max_distance


def reasons_in_words(asked: Doubted, policy: Policy) -> list[str]:
    """One sentence a reason, the gravest first."""
    found = [f"{asked.doubt[:1].upper()}{asked.doubt[1:]}."] if asked.doubt else []
    if is_strange(asked.distance, policy):
        found.append(
            "The picture is unlike everything that the model was trained on "
            f"(distance {asked.distance:.2f}; it answers up to {policy.max_distance:.2f})."
        )
    if asked.probability < policy.min_confidence:
        found.append(_unsure(asked, policy))
    if asked.not_ruled_out is not None:
        found.append(f"It may be {asked.not_ruled_out}, which must not be missed.")
    return found


def _unsure(asked: Doubted, policy: Policy) -> str:
    needed = f"{share(policy.min_confidence)} are needed"
    if asked.organ == asked.likeliest:
        return f"No organ is probable enough: {asked.organ} has {share(asked.probability)}, and {needed}."
    return (
        f"At this price the safest answer would be {asked.organ}, which has only {share(asked.probability)}; {needed}."
    )


def promise_plainly(promise: Promise) -> list[str]:
    """What is promised for the organ that must not be missed, counted in pictures."""
    organ, hundred = promise.organ, int(100 * promise.level + 1e-6)
    if promise.level == 0:
        return [f"Nothing can be promised for {organ}: there was no picture of it to measure with. All are flagged."]
    short = (
        f"{share(promise.asked)} cannot be promised: that takes {promise.n_needed} pictures of {organ} to measure "
        f"with, and there were {promise.n_positive}."
    )
    found = [] if promise.kept else [short]
    found.append(
        f"Of 100 pictures of {organ}, at least {hundred} are flagged. That is promised with "
        f"{share(promise.confidence)} confidence: {promise.n_positive - promise.n_missed} of {promise.n_positive} "
        "were, where it was measured."
    )
    if promise.n_negative:
        low, high = (round(100 * end) for end in promise.false_alarm_interval)
        found.append(f"The price: of 100 pictures of other organs, {low} to {high} are flagged in vain.")
    found.append(
        "This holds for pictures like those that it was measured on, in tissue, stain and scanner; it says nothing "
        "about others."
    )
    return found


def share(value: float) -> str:
    """A probability as percents, with a space that does not break."""
    if value < SMALLEST_SHARE:
        return "less than 0.1\u00a0%"
    if value > LARGEST_SHARE:
        return "more than 99.9\u00a0%"
    digits = 0 if 0.1 <= value <= 0.99 else 1
    return f"{100 * value:.{digits}f}\u00a0%"
