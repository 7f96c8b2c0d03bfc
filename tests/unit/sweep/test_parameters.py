"""From a parameter to what is drawn and what it sets."""

import pytest
from optuna.distributions import CategoricalDistribution, FloatDistribution, IntDistribution
from pydantic import ValidationError

from organscope.errors import ConfigError
from organscope.sweep.space import Parameter


def parameter(**content) -> Parameter:
    return Parameter.model_validate(content)


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        ({"values": ["a", "b"]}, CategoricalDistribution(("a", "b"))),
        ({"options": {"x": {"k": 1}, "y": {"k": 2}}}, CategoricalDistribution(("x", "y"))),
        ({"min": 1, "max": 5, "int": True}, IntDistribution(1, 5)),
        ({"min": 8, "max": 64, "int": True, "step": 8}, IntDistribution(8, 64, step=8)),
        ({"min": 1, "max": 5}, FloatDistribution(1.0, 5.0)),
        ({"min": 1e-4, "max": 1e-1, "log": True}, FloatDistribution(1e-4, 1e-1, log=True)),
        ({"min": 0.0, "max": 1.0, "step": 0.25}, FloatDistribution(0.0, 1.0, step=0.25)),
    ],
)
def test_what_is_drawn(content, expected):
    assert parameter(**content).distribution() == expected


@pytest.mark.parametrize(
    ("content", "value", "expected"),
    [
        ({"values": [3, 4]}, 4, {"depth": 4}),
        ({"options": {"half": {"backbone": "r18", "channels": [32]}}}, "half", {"backbone": "r18", "channels": [32]}),
        ({"min": 0, "max": 2, "sets": {"stain": [0, 0.1], "zoom": [1, 1.5]}}, 0.5, {"stain": 0.05, "zoom": 1.25}),
        ({"min": 8, "max": 64, "log": True, "round_to": 8}, 27.3, {"depth": 24}),
        ({"min": 0, "max": 1, "round_to": 0.05}, 0.337, {"depth": 0.35}),
    ],
)
def test_what_is_set(content, value, expected):
    assert parameter(**content).overrides("depth", value) == expected


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        ({}, "exactly one of"),
        ({"values": [1], "min": 0, "max": 1}, "exactly one of"),
        ({"min": 1}, "belong together"),
        ({"min": 2, "max": 1}, "less than max"),
        ({"min": 0, "max": 1, "log": True}, "above 0"),
        ({"min": 1, "max": 4, "log": True, "step": 1}, "cannot be combined"),
        ({"min": 1.5, "max": 4, "int": True}, "whole numbers"),
        ({"values": [1], "log": True}, "belong to min and max"),
        ({"values": ["a"], "sets": {"k": [0, 1]}}, "a number"),
        ({"low": 1}, "Extra inputs"),
    ],
)
def test_what_makes_no_sense_is_refused(content, reason):
    with pytest.raises(ValidationError, match=reason):
        parameter(**content)


def test_a_grid_counts_every_value():
    assert parameter(min=1, max=3, int=True).grid("n") == [1, 2, 3]
    assert parameter(min=0.0, max=0.5, step=0.25).grid("n") == [0.0, 0.25, 0.5]
    assert parameter(min=0.1, max=1.0, round_to=0.25).grid("n") == [0.25, 0.5, 0.75, 1.0]
    with pytest.raises(ConfigError, match=r"parameters\.n: .*continuous"):
        parameter(min=0.0, max=0.5).grid("n")
