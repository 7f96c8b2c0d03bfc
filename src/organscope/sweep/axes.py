"""How a parameter becomes an axis: places of its values, ticks and scale."""

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from organscope.sweep.parameters import Parameter
from organscope.sweep.progress import shown_value

LONGEST_LABEL = 22
N_TICKS = 4


@dataclass(frozen=True)
class ParameterAxis:
    """A parameter's values as places in [0, 1].

    Attributes:
        name: Of the parameter.
        places: One for each trial; not-a-number where the trial has no value.
        ticks: Place and label.
    """

    name: str
    places: np.ndarray
    ticks: tuple[tuple[float, str], ...]

    @property
    def title(self) -> str:
        """The name in words."""
        return self.name.replace("_", " ").replace(".", " ")


def parameter_axis(name: str, parameter: Parameter, values: pd.Series) -> ParameterAxis:
    """Spread choices evenly, ranges by their own scale."""
    if not parameter.is_range:
        choices = list(parameter.options or parameter.values)
        places = {choice: (rank + 0.5) / len(choices) for rank, choice in enumerate(choices)}
        ticks = tuple((place, _short(choice)) for choice, place in places.items())
        return ParameterAxis(name, np.array([places.get(value, math.nan) for value in values], float), ticks)
    low, high = _scaled(parameter.min, parameter), _scaled(parameter.max, parameter)
    numbers = np.array([_scaled(value, parameter) for value in values.astype(float)])
    shown = _range_ticks(parameter)
    ticks = tuple(((_scaled(value, parameter) - low) / (high - low), shown_value(value)) for value in shown)
    return ParameterAxis(name, (numbers - low) / (high - low), ticks)


def score_axis(name: str, values: pd.Series) -> ParameterAxis:
    """An objective from its worst to its best, drawn by size."""
    numbers = values.to_numpy(float)
    low, high = float(np.nanmin(numbers)), float(np.nanmax(numbers))
    spread = (high - low) or 1.0
    ticks = tuple(((value - low) / spread, f"{value:.3g}") for value in np.linspace(low, high, N_TICKS))
    return ParameterAxis(name, (numbers - low) / spread, ticks)


def _range_ticks(parameter: Parameter) -> list[Any]:
    if parameter.integer and parameter.max - parameter.min <= 8:
        return list(range(int(parameter.min), int(parameter.max) + 1, int(parameter.step or 1)))
    if parameter.log:
        numbers = _round_numbers(float(parameter.min), float(parameter.max))
    else:
        numbers = [float(value) for value in np.linspace(parameter.min, parameter.max, N_TICKS)]
    return [round(number) for number in numbers] if parameter.integer else numbers


def _round_numbers(low: float, high: float) -> list[float]:
    """Numbers such as 0.001, 0.002 and 0.005 between two others; sparser where the range is wide."""
    decades = range(math.floor(math.log10(low)), math.ceil(math.log10(high)) + 1)
    for digits in ((1, 2, 5), (1, 3), (1,)):
        found = [digit * 10.0**decade for decade in decades for digit in digits]
        inside = [number for number in found if low * 0.999 <= number <= high * 1.001]
        if len(inside) <= N_TICKS + 1:
            break
    return inside if len(inside) > 1 else [low, high]


def _scaled(value: float, parameter: Parameter) -> float:
    return math.log(value) if parameter.log and value > 0 else float(value)


def _short(value: Any) -> str:
    text = shown_value(value)
    return text if len(text) <= LONGEST_LABEL else f"{text[: LONGEST_LABEL - 1]}…"
