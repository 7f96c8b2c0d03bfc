"""A W&B sweep as it is: every supported key, and a clear error for each that is not."""

import math

import pytest
import yaml

from organscope.errors import ConfigError, UsageError
from organscope.sweep import read_space
from organscope.sweep.wandb_space import IGNORED, UNSUPPORTED

EVERYTHING = """
program: train.py
command: ["${env}", python, "${program}", "${args}"]
project: cells
entity: lab
description: all that is supported
name: my nets
method: bayes
run_cap: 30
metric: {name: validation/pq, goal: maximize, target: 0.9}
early_terminate: {type: hyperband, min_iter: 2, eta: 4, strict: false}
parameters:
  network.head: {values: [distance, boundary]}
  network.block: {value: residual}
  network.depth: {min: 2, max: 4}
  loss.focus: {min: 0.0, max: 1.0}
  augmentation.zoom: {distribution: constant, value: 1.5}
  fit.precision: {distribution: categorical, values: [float32]}
  fit.batch: {distribution: int_uniform, min: 4, max: 8}
  augmentation.stain: {distribution: uniform, min: 0, max: 0.3}
  augmentation.gray: {distribution: q_uniform, min: 0, max: 1, q: 0.1}
  fit.learning_rate: {distribution: log_uniform, min: -7, max: -4}
  fit.weight_decay: {distribution: log_uniform_values, min: 1e-5, max: 1e-2}
  fit.steps_per_epoch: {distribution: q_log_uniform_values, min: 10, max: 100, q: 5}
  fit.crop_px: {distribution: q_log_uniform, min: 4, max: 6, q: 32}
  fit.average: {distribution: inv_log_uniform_values, min: 0.9, max: 0.999}
  data:
    parameters:
      organ_balance: {values: [0.0, 0.5]}
"""


@pytest.fixture
def read(tmp_path):
    def from_text(text: str | dict, **options):
        path = tmp_path / "sweep.yaml"
        path.write_text(text if isinstance(text, str) else yaml.safe_dump(text))
        return read_space(path, **({"config": tmp_path / "base.toml", "task": "segmentation"} | options))

    return from_text


def test_every_supported_key(read):
    space = read(EVERYTHING)
    assert (space.name, space.trials, space.sampler.kind) == ("my-nets", 30, "tpe")
    (objective,) = space.objectives
    assert (objective.metric, objective.direction, objective.target) == ("pq", "maximize", 0.9)
    assert (space.pruner.kind, space.pruner.min_epochs, space.pruner.reduction_factor) == ("hyperband", 2, 4)
    assert len(space.notes) == len(IGNORED)
    found = space.parameters
    assert found["network.depth"].integer
    assert found["loss.focus"].model_dump(exclude_defaults=True) == {"min": 0.0, "max": 1.0}
    assert found["augmentation.gray"].round_to == 0.1
    rate = found["fit.learning_rate"]
    assert (rate.min, rate.max, rate.log) == (math.exp(-7), math.exp(-4), True)
    assert found["fit.steps_per_epoch"].overrides("fit.steps_per_epoch", 43.2) == {"fit.steps_per_epoch": 45}
    assert found["data.organ_balance"].values == (0.0, 0.5)
    assert found["network.block"].values == ("residual",)


def test_lists_become_options_that_are_named_by_what_they_hold(read):
    space = read({**minimal(), "parameters": {"network.arguments.channels": {"values": [[32, 64], [64, 128]]}}})
    assert space.overrides({"network.arguments.channels": "[32, 64]"}) == {"network.arguments.channels": [32, 64]}


def test_bands_from_the_longest_run(read):
    rule = {"type": "hyperband", "max_iter": 27, "s": 2}
    pruner = read({**minimal(), "early_terminate": rule}).pruner
    assert (pruner.min_epochs, pruner.max_epochs, pruner.reduction_factor) == (3, 27, 3)


def minimal() -> dict:
    return {
        "method": "random",
        "metric": {"name": "score", "goal": "maximize"},
        "parameters": {"fit.learning_rate": {"min": 0.001, "max": 0.1}},
    }


def changed(path: str, value) -> dict:
    """The minimal sweep with one key changed; `path` leads to it."""
    content = minimal()
    *tables, last = path.split("/")
    place = content
    for table in tables:
        place = place.setdefault(table, {})
    place[last] = value
    return content


@pytest.mark.parametrize("kind", UNSUPPORTED)
def test_an_unsupported_distribution_is_named_with_those_that_are(read, kind):
    entry = {"distribution": kind, "min": 0.1, "max": 1}
    with pytest.raises(
        ConfigError, match=rf"parameters\.a: the distribution {kind} is not supported. Supported: const"
    ):
        read(changed("parameters/a", entry))


@pytest.mark.parametrize(
    ("path", "value", "reason"),
    [
        ("method", "custom", "method: expected one of bayes, random, grid, found 'custom'"),
        ("metric", None, "expected metric with name and goal"),
        ("metric/goal", "more", "metric.goal: expected one of maximize, minimize"),
        ("metric/impute", "worst", "metric: not supported here: impute"),
        ("early_terminate", {"type": "envelope"}, "early_terminate: expected type: hyperband"),
        ("early_terminate", {"type": "hyperband"}, "expected min_iter, or max_iter"),
        ("early_terminate", {"type": "hyperband", "min_iter": 2, "strict": True}, "strict is not supported"),
        ("controller", {"type": "local"}, "not supported here: controller"),
        ("job", "x", "not supported here: job"),
        ("parameters", {}, "expected parameters by name"),
        ("parameters/a", {"values": [1, 2], "probabilities": [0.1, 0.9]}, "not supported here: probabilities"),
        ("parameters/a", {"mu": 1, "sigma": 2}, "not supported here: mu, sigma"),
        ("parameters/a", {"distribution": "triangle"}, "distribution: expected one of"),
        ("parameters/a", {"distribution": "uniform", "min": 1}, "needs min and max, found no max"),
        ("parameters/a", {"min": 1}, "expected values, value or min and max"),
        ("parameters/a", 3, "expected values, value or min and max, found 3"),
    ],
)
def test_what_is_not_supported_is_named(read, path, value, reason):
    with pytest.raises(ConfigError, match=reason):
        read(changed(path, value))


def test_a_sweep_of_wandb_needs_to_be_told_what_it_varies(read):
    with pytest.raises(UsageError, match=r"--config CONFIG\.toml"):
        read(minimal(), config=None)
    with pytest.raises(UsageError, match="--task"):
        read(minimal(), task=None)


def test_what_is_no_sweep_is_refused(read):
    with pytest.raises(ConfigError, match="found list"):
        read("- 1\n")
    with pytest.raises(ConfigError, match="no valid YAML"):
        read("a: [1")
