"""A recall promise in plain words, for the terminal and for pages."""

from organscope.decide.contract import Promise

CONDITION = (
    "The promise is for pictures exchangeable with the calibration pictures: the same kinds of tissue, slide, stain "
    "and scanner. It says nothing about others."
)


def promise_in_words(promise: Promise) -> tuple[str, ...]:
    """Sentences: what is promised, what it costs in false alarms, and under which condition."""
    if promise.level == 0:
        return (
            f"No recall of {promise.organ} can be promised, because no calibration picture shows it; "
            f"{share(promise.asked)} takes {promise.n_needed}. Every picture is flagged.",
        )
    shortfall = (
        f"{share(promise.asked)} cannot be promised for {promise.organ}: that takes {promise.n_needed} calibration "
        f"pictures of it, and there are {promise.n_positive}. The most that they allow is promised instead.",
    )
    return (
        *(() if promise.kept else shortfall),
        f"Pictures with a probability of {promise.organ} of at least {promise.threshold:.4g} are flagged. With "
        f"{promise.confidence:.0%} confidence, at least {share(promise.level)} of all pictures of {promise.organ} are "
        f"({promise.n_positive - promise.n_missed} of {promise.n_positive} calibration pictures were).",
        _price(promise),
        CONDITION,
    )


def share(level: float) -> str:
    """A share as percents, rounded down so that no more is said than is meant: 0.9627 is 96.2 %."""
    tenths = int(level * 1000 + 1e-6)
    return f"{tenths / 10:.0f} %" if tenths % 10 == 0 else f"{tenths / 10:.1f} %"


def _price(promise: Promise) -> str:
    if not promise.n_negative:
        return "Its price in false alarms is unknown, because the calibration pictures show no other organ."
    low, high = promise.false_alarm_interval
    return (
        f"The price: {promise.false_alarm_rate:.1%} of the pictures of other organs are flagged too "
        f"({promise.n_false} of {promise.n_negative} calibration pictures; 95 % interval {low:.1%} to {high:.1%})."
    )
