"""One parameter of a space: which values it may take, and which settings of the training they become."""

import math
from typing import TYPE_CHECKING, Any, Self

from pydantic import ConfigDict, Field, model_validator

from organscope.errors import ConfigError
from organscope.train.settings import Settings

if TYPE_CHECKING:
    from optuna.distributions import BaseDistribution

Plain = bool | int | float | str
Line = tuple[float, float]


class Parameter(Settings):
    """Exactly one of `values`, `options` or `min` with `max`.

    Without `options` and `sets`, the name of the parameter is the key of the configuration that it sets.

    Attributes:
        values: A choice among these.
        options: A choice among named groups of settings: key of the configuration to value.
        min, max: A range, both ends included.
        log: Draw evenly on a logarithmic scale.
        integer: Whole numbers only (`int` in the file).
        step: Only `min`, `min + step`, and so on.
        round_to: The drawn value is rounded to a multiple of this.
        sets: Keys that follow the parameter along a straight line: key to its value where the parameter is 0 and
            where it is 1. One strength can so drive a whole group of settings.
    """

    model_config = ConfigDict(extra="forbid", frozen=True, populate_by_name=True)

    values: tuple[Plain, ...] | None = Field(None, min_length=1)
    options: dict[str, dict[str, Any]] | None = Field(None, min_length=1)
    min: int | float | None = None
    max: int | float | None = None
    log: bool = False
    integer: bool = Field(False, alias="int")
    step: float | None = Field(None, gt=0)
    round_to: float | None = Field(None, gt=0)
    sets: dict[str, Line] | None = Field(None, min_length=1)

    @model_validator(mode="after")
    def _is_one_kind(self) -> Self:
        kinds = [self.values is not None, self.options is not None, self.min is not None or self.max is not None]
        if sum(kinds) != 1:
            raise ValueError("give exactly one of: values, options, min with max")
        if not self.is_range:
            if self.log or self.integer or self.step or self.round_to:
                raise ValueError("log, int, step and round_to belong to min and max")
        else:
            self._check_range()
        if self.sets and not (self.is_range or all(_is_number(value) for value in self.values or ())):
            raise ValueError("sets needs a parameter that is a number")
        return self

    def _check_range(self) -> None:
        if self.min is None or self.max is None:
            raise ValueError("min and max belong together")
        if self.min >= self.max:
            raise ValueError(f"min must be less than max, found {self.min} and {self.max}")
        if self.log and (self.min <= 0 or self.step):
            raise ValueError("log needs min above 0, and cannot be combined with step (use round_to)")
        if self.integer and any(
            number is not None and number != int(number) for number in (self.min, self.max, self.step)
        ):
            raise ValueError("int needs whole numbers as min, max and step")

    @property
    def is_range(self) -> bool:
        """Whether it is a range of numbers, not a choice."""
        return self.min is not None or self.max is not None

    def distribution(self) -> "BaseDistribution":
        """What Optuna draws from."""
        from optuna.distributions import CategoricalDistribution, FloatDistribution, IntDistribution

        if not self.is_range:
            return CategoricalDistribution(tuple(self.options or self.values))
        if self.integer:
            return IntDistribution(int(self.min), int(self.max), log=self.log, step=int(self.step or 1))
        return FloatDistribution(float(self.min), float(self.max), log=self.log, step=self.step)

    def grid(self, name: str) -> list[Plain]:
        """Every value, for a sweep over a grid.

        Raises:
            ConfigError: It has endlessly many.
        """
        if not self.is_range:
            return list(self.options or self.values)
        step = self.step or (1 if self.integer else self.round_to)
        if step is None or self.log:
            raise ConfigError(
                f"parameters.{name}: a grid needs values that can be counted, found a continuous range. "
                "Give values, or min and max with step."
            )
        first = self.min if self.round_to is None else math.ceil(self.min / step) * step
        count = int((self.max - first) / step + 1e-9) + 1
        return [int(first + n * step) if self.integer else float(first + n * step) for n in range(count)]

    def overrides(self, name: str, value: Plain) -> dict[str, Any]:
        """The settings that a drawn value stands for: dotted key to value."""
        if self.options is not None:
            return dict(self.options[value])
        if self.round_to is not None:
            rounded = round(value / self.round_to) * self.round_to
            value = int(rounded) if self.integer or float(self.round_to).is_integer() else round(rounded, 12)
        if self.sets is None:
            return {name: value}
        return {key: round(at_0 + value * (at_1 - at_0), 9) for key, (at_0, at_1) in self.sets.items()}

    def examples(self) -> list[Plain]:
        """Values that together reach the ends of every setting, to check a space before it is run."""
        return [self.min, self.max] if self.is_range else list(self.options or self.values)


def _is_number(value: Plain) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)
