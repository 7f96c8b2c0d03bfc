"""A search space: what is trained, what is varied, what is better, and what a trial may cost."""

from pathlib import Path
from typing import Any, Literal, Self

from pydantic import Field, field_validator, model_validator

from organscope.sweep.parameters import Parameter
from organscope.train.settings import Settings

Task = Literal["classification", "segmentation"]
COSTS = ("ms_per_image", "ms_per_megapixel", "size_mb")
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
        return self.metric in COSTS

    def best(self, values: list[float]) -> float:
        """The best of several."""
        return max(values) if self.direction == "maximize" else min(values)

    def reached(self, value: float) -> bool:
        """Whether the target, if there is one, is met."""
        if self.target is None:
            return False
        return value >= self.target if self.direction == "maximize" else value <= self.target


class Sampler(Settings):
    """How the next trial is chosen.

    Attributes:
        kind: `tpe`: Tree-structured Parzen Estimator (Bergstra et al. 2011); `random`; `grid`: every combination.
        seed: Of the choice; the same seed and the same results give the same trials.
        startup: Random trials before TPE begins to model.
    """

    kind: Literal["tpe", "random", "grid"] = "tpe"
    seed: int = Field(0, ge=0)
    startup: int = Field(10, ge=1)


class Pruner(Settings):
    """When a trial is given up.

    Attributes:
        kind: `hyperband` (Li et al. 2018): brackets of successive halving; `none`.
        min_epochs: No trial is given up earlier.
        max_epochs: Length of a whole trial; `epochs` of the space if left out.
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
    sampler: Sampler = Sampler()
    pruner: Pruner = Pruner()
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
