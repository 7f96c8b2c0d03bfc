"""What the promise of few missed cells costs, as text and as JSON."""

from typing import Any

from organscope.cli.printing import output_console
from organscope.predict import OperatingPoint


def print_few_misses(point: OperatingPoint | None) -> None:
    """Print the sentence that belongs beside the results; nothing where no recall was asked for."""
    if point is not None:
        output_console().print(f"\n{point.sentence}", soft_wrap=True)


def few_misses_as_data(point: OperatingPoint | None) -> dict[str, Any]:
    """The same for scripts; no entry where no recall was asked for."""
    return {} if point is None else {"few_misses": point.as_data()}
