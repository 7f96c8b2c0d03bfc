"""A search space: what is trained, what is varied, what is better, and what a trial may cost.

One parameter of a space: which values it may take, and which settings of the training they become.

The configuration of one trial: a file that `organscope train` takes as it is.

The space beside the study of its trials, so that a folder explains itself.
"""

import json
import math
import os
import tomllib
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, Self

from pydantic import ConfigDict, Field, field_validator, model_validator

from organscope.errors import ConfigError, OutputError, UsageError
from organscope.io.paths import atomic_path
from organscope.training.config import Settings, check_settings
from organscope.training.record import MODELS

if TYPE_CHECKING:
    from optuna.distributions import BaseDistribution


_Plain = bool | int | float | str
_Line = tuple[float, float]


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

    values: tuple[_Plain, ...] | None = Field(None, min_length=1)
    options: dict[str, dict[str, Any]] | None = Field(None, min_length=1)
    min: int | float | None = None
    max: int | float | None = None
    log: bool = False
    integer: bool = Field(False, alias="int")
    step: float | None = Field(None, gt=0)
    round_to: float | None = Field(None, gt=0)
    sets: dict[str, _Line] | None = Field(None, min_length=1)

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

    def grid(self, name: str) -> list[_Plain]:
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

    def overrides(self, name: str, value: _Plain) -> dict[str, Any]:
        """The settings that a drawn value stands for: dotted key to value."""
        if self.options is not None:
            return dict(self.options[value])
        if self.round_to is not None:
            rounded = round(value / self.round_to) * self.round_to
            value = int(rounded) if self.integer or float(self.round_to).is_integer() else round(rounded, 12)
        if self.sets is None:
            return {name: value}
        return {key: round(at_0 + value * (at_1 - at_0), 9) for key, (at_0, at_1) in self.sets.items()}

    def examples(self) -> list[_Plain]:
        """Values that together reach the ends of every setting, to check a space before it is run."""
        return [self.min, self.max] if self.is_range else list(self.options or self.values)


def _is_number(value: _Plain) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


Task = Literal["classification", "segmentation"]
_COSTS = ("ms_per_image", "ms_per_megapixel", "size_mb")
"""Metrics that are measured on the bundle of a trial; all others are read from its epochs."""


class Objective(Settings):
    """What a trial is judged by.

    Attributes:
        metric: A key of `metrics.jsonl` (its best epoch counts, since the weights of that epoch are kept), or a
            cost of the bundle: `ms_per_image`, `ms_per_megapixel` (one thread), `size_mb`.
        direction: Which way is better.
        target: The sweep ends when a trial reaches this.
    """

    metric: str
    direction: Literal["maximize", "minimize"] = "maximize"
    target: float | None = None

    @property
    def is_cost(self) -> bool:
        """Whether it is measured on the bundle."""
        return self.metric in _COSTS

    def best(self, values: list[float]) -> float:
        """The best of several."""
        return max(values) if self.direction == "maximize" else min(values)

    def reached(self, value: float) -> bool:
        """Whether the target, if there is one, is met."""
        if self.target is None:
            return False
        return value >= self.target if self.direction == "maximize" else value <= self.target


class _Sampler(Settings):
    """How the next trial is chosen.

    Attributes:
        kind: `tpe`: Tree-structured Parzen Estimator (Bergstra et al. 2011); `random`; `grid`: every combination.
        seed: Of the choice; the same seed and the same results give the same trials.
        startup: Random trials before TPE begins to model.
    """

    kind: Literal["tpe", "random", "grid"] = "tpe"
    seed: int = Field(0, ge=0)
    startup: int = Field(10, ge=1)


class _Pruner(Settings):
    """When a trial is given up.

    Attributes:
        kind: `hyperband` (Li et al. 2018): brackets of successive halving; `none`.
        min_epochs: No trial is given up earlier.
        max_epochs: Length of a whole trial. Default: `epochs` of the space.
        reduction_factor: One of so many goes on.
    """

    kind: Literal["hyperband", "none"] = "hyperband"
    min_epochs: int = Field(1, ge=1)
    max_epochs: int | None = Field(None, ge=1)
    reduction_factor: int = Field(3, ge=2)


class Space(Settings):
    """The whole space.

    Attributes:
        name: Of the sweep, and of its study in the storage.
        task: What is trained.
        config: The configuration that the parameters change; relative to the file of the space.
        objectives: One or several. Optuna prunes only with one.
        parameters: By name, at least one.
        sampler: How the next trial is chosen.
        pruner: When a trial is given up.
        epochs: Most epochs of a trial.
        max_minutes: A trial is stopped after so long, and counts with what it reached.
        trials: How many, where the command does not say it.
        trial: Settings of every trial that the winner does not keep: dotted key to value, or tables.
        notes: What a person should know about how the file was read.
    """

    name: str = Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]*$")
    task: Task
    config: Path
    objectives: tuple[Objective, ...] = Field((Objective(metric="score"),), min_length=1)
    parameters: dict[str, Parameter] = Field(min_length=1)
    sampler: _Sampler = _Sampler()
    pruner: _Pruner = _Pruner()
    epochs: int | None = Field(None, ge=1)
    max_minutes: float | None = Field(None, gt=0)
    trials: int | None = Field(None, ge=1)
    trial: dict[str, Any] = Field(default_factory=dict)
    notes: tuple[str, ...] = Field((), exclude=True)

    @field_validator("trial")
    @classmethod
    def _flat(cls, tables: dict[str, Any]) -> dict[str, Any]:
        return dict(_flattened(tables))

    @model_validator(mode="after")
    def _fits_together(self) -> Self:
        names = [objective.metric for objective in self.objectives]
        if len(set(names)) < len(names):
            raise ValueError(f"each metric can be an objective once, found {', '.join(names)}")
        if self.task == "segmentation" and "ms_per_image" in names:
            raise ValueError("ms_per_image is a cost of classification; segmentation has ms_per_megapixel")
        set_twice = _repeated([key for name, parameter in self.parameters.items() for key in _keys(name, parameter)])
        if set_twice:
            raise ValueError(f"two parameters set the same key: {', '.join(set_twice)}")
        return self

    @property
    def prunes(self) -> bool:
        """Whether trials are given up early."""
        return self.pruner.kind != "none" and len(self.objectives) == 1 and not self.objectives[0].is_cost

    def overrides(self, drawn: dict[str, Any]) -> dict[str, Any]:
        """Settings of the drawn values: dotted key to value."""
        settings: dict[str, Any] = {}
        for name, value in drawn.items():
            settings |= self.parameters[name].overrides(name, value)
        return settings

    def trial_settings(self) -> dict[str, Any]:
        """Settings of every trial that the winner does not keep."""
        budget = {} if self.epochs is None else {"fit.epochs": self.epochs}
        return {"draft": True} | budget | self.trial


def _flattened(tables: dict[str, Any], prefix: str = "") -> list[tuple[str, Any]]:
    flat = []
    for key, value in tables.items():
        flat += _flattened(value, f"{prefix}{key}.") if isinstance(value, dict) else [(f"{prefix}{key}", value)]
    return flat


def _keys(name: str, parameter: Parameter) -> set[str]:
    if parameter.options is not None:
        return {key for settings in parameter.options.values() for key in settings}
    return set(parameter.sets or (name,))


def _repeated(keys: list[str]) -> list[str]:
    return sorted({key for key in keys if keys.count(key) > 1})


def shown_value(value: Any) -> str:
    """A value in few letters."""
    return f"{value:.3g}" if isinstance(value, float) else str(value)


def write_configuration(path: Path, space: Space, settings: dict[str, Any], remark: str) -> None:
    """Write the base configuration with some settings changed, each with every word of the base but its remarks.

    Args:
        path: TOML file. Relative folders of indexes are written relative to it.
        space: Names the base.
        settings: Dotted key to value.
        remark: First line of the file.
    """
    import tomli_w

    content = configuration(space, settings)
    for source in content["data"]["sources"]:
        source["index"] = _relative(Path(source["index"]), path.parent)
    with atomic_path(path) as temporary:
        temporary.write_text(f"# {remark}\n\n{tomli_w.dumps(content)}", encoding="utf-8")


def configuration(space: Space, settings: dict[str, Any]) -> dict[str, Any]:
    """The base configuration with some settings changed, its indexes as absolute paths.

    Raises:
        UsageError: There is no base configuration.
        ConfigError: It is no valid TOML, has no data, or a key leads through a value.
    """
    content = _read_base(space.config)
    for key, value in settings.items():
        _set(content, key, value)
    sources = content.get("data", {}).get("sources")
    if not isinstance(sources, list) or not all(isinstance(source, dict) and "index" in source for source in sources):
        raise ConfigError(f"Expected data.sources with an index each in {space.config}, found {sources!r}.")
    for source in sources:
        source["index"] = str((space.config.parent / source["index"]).resolve())
    return content


def check_space(space: Space) -> None:
    """Try the ends and choices of every parameter on the trainer's own settings, before anything is run.

    Raises:
        UsageError: There is no base configuration.
        ConfigError: A key is unknown to the trainer or a value out of its range.
    """
    first = {name: parameter.examples()[0] for name, parameter in space.parameters.items()}
    model = MODELS[space.task]
    for name, parameter in space.parameters.items():
        for value in parameter.examples():
            settings = space.trial_settings() | space.overrides(first | {name: value})
            check_settings(
                model, configuration(space, settings), f"parameters.{name} = {value!r} of sweep {space.name}"
            )


def _read_base(path: Path) -> dict[str, Any]:
    try:
        return tomllib.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise UsageError(f"Expected the base configuration of the sweep at {path}, but: {error.strerror}.") from error
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise ConfigError(f"{path} is no valid TOML: {error}.") from error


def _set(content: dict[str, Any], key: str, value: Any) -> None:
    *tables, last = key.split(".")
    table = content
    for name in tables:
        table = table.setdefault(name, {})
        if not isinstance(table, dict):
            raise ConfigError(f"{key}: {name} is a value in the configuration, not a table.")
    table[last] = value


def _relative(index: Path, folder: Path) -> str:
    """Relative where both lie on one drive, so that the folder of the project can be moved."""
    try:
        return Path(os.path.relpath(index, folder.resolve())).as_posix()
    except ValueError:
        return str(index)


SPACE_FILE = "space.json"


def make_folder(folder: Path) -> None:
    """Make the folder of a sweep where it is missing.

    Raises:
        OutputError: It cannot be made.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise OutputError(f"Cannot make the folder of the sweep, {folder}: {error.strerror}.") from error


def write_space(space: Space, folder: Path) -> None:
    """Keep the space in the folder of the sweep.

    Raises:
        OutputError: The file cannot be written.
    """
    with atomic_path(folder / SPACE_FILE) as temporary:
        temporary.write_text(json.dumps(space.model_dump(mode="json", by_alias=True), indent=2), encoding="utf-8")


def read_written_space(folder: Path) -> Space:
    """The space that `write_space` kept.

    Raises:
        UsageError: The folder is not that of a sweep.
    """
    try:
        return Space.model_validate_json((folder / SPACE_FILE).read_text(encoding="utf-8"))
    except OSError as error:
        raise UsageError(f"Expected the folder of a sweep, found no {SPACE_FILE} in {folder}.") from error
