"""A W&B sweep as it is: every supported key, and a clear error for each that is not."""

import math

import pytest
import yaml

from organscope.errors import ConfigError, UsageError
from organscope.sweep import read_space
from organscope.sweep.wandb import IGNORED, UNSUPPORTED

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
    exponents = [note for note in space.notes if "exponents of e" in note]
    assert len(exponents) == 2
    texts = [note for note in space.notes if "was taken as the number" in note]
    assert len(texts) == 2  # 1e-5 and 1e-2 have no point
    assert len(space.notes) == len(IGNORED) + 4
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
        ("parameters/a", {"min": 4, "max": 32, "q": 4}, "q does not belong to .* int_uniform. Write .*: q_uniform"),
        ("parameters/a", {"min": 0.1, "max": 1, "q": 0.1}, "q does not belong to .* uniform. Write .*: q_uniform"),
        ("parameters/a", {"distribution": "log_uniform_values", "min": 1, "max": 9, "q": 2}, "q_log_uniform_values"),
        ("parameters/a", {"values": [1, 2], "q": 1}, "q does not belong"),
        ("parameters/a", {"value": 1, "min": 0, "max": 3}, "(min, max|max, min) does not belong"),
        (
            "parameters/a",
            {"distribution": "log_uniform", "min": "1e-5", "max": "1e-2"},
            r"text '1e-5'.*log_uniform_val",
        ),
        ("parameters/a", {"distribution": "log_uniform", "min": 1, "max": 1e5}, "takes exponents of e, found 1 and"),
        ("parameters/a", {"min": "low", "max": 3}, "min: expected a number, found 'low'"),
        ("parameters/a", {"min": True, "max": 3}, "min: expected a number, found True"),
        ("parameters/a", {"values": 3}, "expected a list of values, found 3"),
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


@pytest.mark.parametrize("number", ["1e-5", "1E5", "2.5e3", "-1e-3", ".5e2"])
def test_numbers_that_yaml_takes_for_text_are_numbers(read, number):
    text = "method: random\nmetric: {name: score}\nparameters:\n  a: {values: [%s, 1]}\n  b: {value: %s}\n"
    space = read(text % (number, number))
    assert space.parameters["a"].values == (float(number), 1)
    assert space.parameters["b"].values == (float(number),)
    assert sum(repr(number) in note for note in space.notes) == 2
    assert read(text % ("e5", "1e")).parameters["b"].values == ("1e",)


def test_a_grid_over_q_uniform_is_that_of_wandb(read):
    """`np.arange(min, max, q)`, as sweeps 0.2 does."""
    entry = {"distribution": "q_uniform", "min": 0.05, "max": 0.35, "q": 0.1}
    space = read(changed("parameters/fit.learning_rate", entry) | {"method": "grid"})
    assert space.parameters["fit.learning_rate"].grid("") == [0.05, 0.15, 0.25]
    assert "3 values from 0.05 to 0.25" in space.notes[0]
    entry = {"distribution": "q_uniform", "min": 4, "max": 16, "q": 4}
    space = read(changed("parameters/fit.learning_rate", entry) | {"method": "grid"})
    assert space.parameters["fit.learning_rate"].grid("") == [4, 8, 12]


def test_the_inverse_of_a_logarithm(read):
    """1/x lies between e^2 and e^4."""
    space = read(changed("parameters/a", {"distribution": "inv_log_uniform", "min": 2, "max": 4}))
    found = space.parameters["a"]
    assert (found.min, found.max, found.log) == (math.exp(-4), math.exp(-2), True)
