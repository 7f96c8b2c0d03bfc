"""How a trial ended."""

from dataclasses import dataclass
from typing import Literal

End = Literal["complete", "pruned", "failed", "interrupted"]


@dataclass(frozen=True)
class Ending:
    """What is kept of a trial.

    Attributes:
        end: `interrupted` trials are run again, all others count.
        values: One for each objective, where it is complete.
        reason: Why it ended otherwise, or what a reader should know.
        epochs: Whole epochs.
        seconds: From start to end.
    """

    end: End
    values: tuple[float, ...] = ()
    reason: str = ""
    epochs: int = 0
    seconds: float = 0.0
