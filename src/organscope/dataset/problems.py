"""What could not be used, so that it can be named at the end while everything else goes on."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Problem:
    """One sentence about one input.

    Attributes:
        source: The file, or the part of the data set.
        message: What was expected, what was found, what to do.
        failed: Something is missing from the result because of it; otherwise it is only worth knowing.
    """

    source: str
    message: str
    failed: bool
