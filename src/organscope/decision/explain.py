"""Reasons and guarantees of a decision in plain words.

Why an answer is not to be relied on, in sentences for who looks at the image.
"""

from dataclasses import dataclass

from organscope.decision.policy import Policy
from organscope.decision.risk_control import RecallGuarantee

_CONDITION = (
    "The promise is for images exchangeable with the calibration images: the same kinds of tissue, slide, stain "
    "and scanner. It says nothing about others."
)


def describe_guarantee(promise: RecallGuarantee) -> tuple[str, ...]:
    """Sentences: what is promised, what it costs in false alarms, and under which condition."""
    if promise.level == 0:
        return (
            f"No recall of {promise.organ} can be promised, because no calibration image shows it; "
            f"{share(promise.asked)} takes {promise.n_needed}. Every image is flagged.",
        )
    shortfall = (
        f"{share(promise.asked)} cannot be promised for {promise.organ}: that takes {promise.n_needed} calibration "
        f"images of it, and there are {promise.n_positive}. The most that they allow is promised instead.",
    )
    return (
        *(() if promise.kept else shortfall),
        f"Images with a probability of {promise.organ} of at least {promise.threshold:.4g} are flagged. With "
        f"{promise.confidence:.0%} confidence, at least {share(promise.level)} of all images of {promise.organ} are "
        f"({promise.n_positive - promise.n_missed} of {promise.n_positive} calibration images were).",
        _price(promise),
        _CONDITION,
    )


def share(level: float) -> str:
    """A share as percents, rounded down so that no more is said than is meant: 0.9627 is 96.2 %."""
    tenths = int(level * 1000 + 1e-6)
    return f"{tenths / 10:.0f} %" if tenths % 10 == 0 else f"{tenths / 10:.1f} %"


def _price(promise: RecallGuarantee) -> str:
    if not promise.n_negative:
        return "Its price in false alarms is unknown, because the calibration images show no other organ."
    low, high = promise.false_alarm_interval
    return (
        f"The price: {promise.false_alarm_rate:.1%} of the images of other organs are flagged too "
        f"({promise.n_false} of {promise.n_negative} calibration images; 95 % interval {low:.1%} to {high:.1%})."
    )


#: A share is never said to be 0 or 100 % where it is not.
_SMALLEST_SHARE, _LARGEST_SHARE = 0.001, 0.999


@dataclass(frozen=True)
class Explanation:
    """An answer and everything that may stand against it.

    Attributes:
        organ: The answer: the most probable organ, or the cheapest at the price that was named.
        probability: Of that organ.
        likeliest: The most probable organ.
        distance: Of the image to the training images.
        doubt: What the image's look or its cells say against any answer; empty where nothing.
        not_ruled_out: The organ that must not be missed, where it is flagged and is not the answer; else None.
    """

    organ: str
    probability: float
    likeliest: str
    distance: float
    doubt: str
    not_ruled_out: str | None


def is_out_of_distribution(distance: float, policy: Policy) -> bool:
    """Whether an image is too far from the training images for any answer."""
    return distance > policy.max_distance


def reasons_in_words(asked: Explanation, policy: Policy) -> list[str]:
    """One sentence a reason, the gravest first."""
    found = [f"{asked.doubt[:1].upper()}{asked.doubt[1:]}."] if asked.doubt else []
    if is_out_of_distribution(asked.distance, policy):
        found.append(
            "The image is unlike everything that the model was trained on, in tissue, stain, magnification or kind of "
            "microscope."
        )
    if asked.probability < policy.min_confidence:
        found.append(_unsure(asked, policy))
    if asked.not_ruled_out is not None:
        found.append(f"It may be {asked.not_ruled_out}, which must not be missed.")
    return found


def _unsure(asked: Explanation, policy: Policy) -> str:
    needed = f"{percent(policy.min_confidence)} are needed"
    if asked.organ == asked.likeliest:
        return f"No organ is probable enough: {asked.organ} has {percent(asked.probability)}, and {needed}."
    found = percent(asked.probability)
    return f"At this price the safest answer would be {asked.organ}, which has only {found}; {needed}."


def describe_guarantee_plainly(promise: RecallGuarantee) -> list[str]:
    """What is promised for the organ that must not be missed, counted in images."""
    organ, hundred = promise.organ, int(100 * promise.level + 1e-6)
    if promise.level == 0:
        return [f"Nothing can be promised for {organ}: there was no image of it to measure with. All are flagged."]
    short = (
        f"{percent(promise.asked)} cannot be promised: that takes {promise.n_needed} images of {organ} to measure "
        f"with, and there were {promise.n_positive}."
    )
    found = [] if promise.kept else [short]
    found.append(
        f"Of 100 images of {organ}, at least {hundred} are flagged. That is promised with "
        f"{percent(promise.confidence)} confidence: {promise.n_positive - promise.n_missed} of {promise.n_positive} "
        "were, where it was measured."
    )
    if promise.n_negative:
        low, high = (round(100 * end) for end in promise.false_alarm_interval)
        found.append(f"False-positive rate: {low} to {high} % of the images of other organs.")
    found.append(
        "This holds for images like those that it was measured on, in tissue, stain and scanner; it says nothing "
        "about others."
    )
    return found


def percent(value: float) -> str:
    """A probability as percents, with a space that does not break."""
    if value < _SMALLEST_SHARE:
        return "less than 0.1\u00a0%"
    if value > _LARGEST_SHARE:
        return "more than 99.9\u00a0%"
    digits = 0 if 0.1 <= value <= 0.99 else 1
    return f"{100 * value:.{digits}f}\u00a0%"
