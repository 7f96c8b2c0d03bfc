"""A sweep configuration of Weights & Biases, read as a space.

The format is described at https://docs.wandb.ai/models/sweeps/sweep-config-keys. What Optuna cannot do the same way is
refused by name; what does not matter here is noted.

The same space as a sweep of Weights & Biases: registered there, run by W&B's agent through the same training.
"""

import contextlib
import io
import logging
import math
import os
import re
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from organscope.errors import ConfigError, MissingExtraError, UsageError
from organscope.sweep.space import Parameter, Space, check_space, make_folder, write_space
from organscope.tracking.base import metric_names, row_key

_SAMPLER_OF_METHOD = {"bayes": "tpe", "random": "random", "grid": "grid"}
_GOALS = {"maximize": "maximize", "minimize": "minimize"}
_USED = ("method", "metric", "parameters", "early_terminate", "name", "run_cap")
IGNORED = ("program", "command", "project", "entity", "description")
_ETA = 3

UNSUPPORTED = ("normal", "q_normal", "log_normal", "q_log_normal", "beta", "q_beta", "categorical_w_probabilities")
#: Numbers with an exponent that YAML 1.1, which W&B reads, takes for text: it wants a point and a signed exponent.
_TEXT_NUMBER = re.compile(r"[-+]?(\d+\.?\d*|\.\d+)[eE][-+]?\d+")
#: exp() of more is no number any more.
_MAX_EXPONENT = 700


def from_wandb(content: dict[str, Any], origin: str) -> dict[str, Any]:
    """The keys of a `Space` from those of a W&B sweep.

    Args:
        content: The YAML, parsed.
        origin: Names the file in errors.

    Raises:
        ConfigError: A key, a method or a distribution is unknown or not supported; names it and what to use.
    """
    unknown = sorted(set(content) - {*_USED, *IGNORED})
    if unknown:
        raise ConfigError(f"{origin}: not supported here: {', '.join(unknown)}. Known are {', '.join(_USED)}.")
    method = _one_of(content.get("method"), _SAMPLER_OF_METHOD, f"{origin}: method")
    notes = [f"{key} of {origin} is not used: trials run organscope train" for key in IGNORED if key in content]
    space: dict[str, Any] = {
        "sampler": {"kind": method},
        "objectives": (_objective(content.get("metric"), origin),),
        "parameters": _parameters(content.get("parameters"), origin, method == "grid", notes),
        "pruner": _pruner(content.get("early_terminate"), origin),
        "notes": tuple(notes),
    }
    if "run_cap" in content:
        space["trials"] = content["run_cap"]
    if "name" in content:
        space["name"] = re.sub(r"[^A-Za-z0-9._-]+", "-", str(content["name"])).strip("._-") or "sweep"
    return space


def _objective(metric: Any, origin: str) -> dict[str, Any]:
    if not isinstance(metric, dict) or "name" not in metric:
        raise ConfigError(f"{origin}: expected metric with name and goal, found {metric!r}.")
    _refuse(metric, ("name", "goal", "target"), f"{origin}: metric")
    goal = _one_of(metric.get("goal", "minimize"), _GOALS, f"{origin}: metric.goal")
    return {"metric": row_key(str(metric["name"])), "direction": goal, "target": metric.get("target")}


def _pruner(rule: Any, origin: str) -> dict[str, Any]:
    if rule is None:
        return {"kind": "none"}
    where = f"{origin}: early_terminate"
    if not isinstance(rule, dict) or rule.get("type") != "hyperband":
        raise ConfigError(f"{where}: expected type: hyperband, found {rule!r}.")
    _refuse(rule, ("type", "min_iter", "max_iter", "s", "eta", "strict"), where)
    if rule.get("strict"):
        raise ConfigError(f"{where}.strict is not supported: Optuna's hyperband has one rule. Leave it out.")
    eta = rule.get("eta", _ETA)
    if "min_iter" in rule:
        return {"kind": "hyperband", "min_epochs": rule["min_iter"], "reduction_factor": eta}
    if "max_iter" not in rule:
        raise ConfigError(f"{where}: expected min_iter, or max_iter with s, found neither.")
    first = max(1, int(rule["max_iter"] / eta ** rule.get("s", 2)))
    return {"kind": "hyperband", "min_epochs": first, "max_epochs": rule["max_iter"], "reduction_factor": eta}


def _parameters(
    parameters: Any, origin: str, is_grid: bool, notes: list[str], prefix: str = ""
) -> dict[str, dict[str, Any]]:
    """Nested parameters become dotted keys."""
    if not isinstance(parameters, dict) or not parameters:
        raise ConfigError(f"{origin}: expected parameters by name, found {parameters!r}.")
    found: dict[str, dict[str, Any]] = {}
    for key, entry in parameters.items():
        name = f"{prefix}{key}"
        if isinstance(entry, dict) and set(entry) == {"parameters"}:
            found |= _parameters(entry["parameters"], origin, is_grid, notes, f"{name}.")
        else:
            found[name] = _parameter(entry, f"{origin}: parameters.{name}", name, is_grid, notes)
    return found


def _parameter(entry: Any, where: str, name: str, is_grid: bool, notes: list[str]) -> dict[str, Any]:
    if not isinstance(entry, dict):
        raise ConfigError(f"{where}: expected values, value or min and max, found {entry!r}.")
    _refuse(entry, ("values", "value", "min", "max", "distribution", "q"), where)
    kind = entry.get("distribution") or _implied(entry, where)
    if kind in UNSUPPORTED:
        raise ConfigError(f"{where}: the distribution {kind} is not supported. Supported: {', '.join(_DISTRIBUTIONS)}.")
    make = _DISTRIBUTIONS[_one_of(kind, {known: known for known in _DISTRIBUTIONS}, f"{where}.distribution")]
    entry = _checked(entry, kind, where, notes)
    if is_grid and kind == "q_uniform":
        return _grid_values(entry, where, notes)
    made = make(entry, name)
    if kind in _EXPONENTIAL:
        low, high = made["min"], made["max"]
        notes.append(f"{where}: {kind} takes exponents of e; values from {low:.4g} to {high:.4g} are drawn")
    return made


def _checked(entry: dict[str, Any], kind: str, where: str, notes: list[str]) -> dict[str, Any]:
    """The entry with numbers for the text that YAML 1.1 makes of 1e-5, and with the keys of its distribution alone."""
    needed = {"constant": ("value",), "categorical": ("values",)}.get(kind, ("min", "max"))
    missing = [key for key in needed if key not in entry]
    if missing:
        raise ConfigError(f"{where}: the distribution {kind} needs {' and '.join(needed)}, found no {missing[0]}.")
    allowed = (*needed, "distribution", *(("q",) if kind.startswith("q_") else ()))
    foreign = [key for key in entry if key not in allowed]
    if foreign:
        remedy = f" Write distribution: q_{kind}." if foreign == ["q"] and f"q_{kind}" in _DISTRIBUTIONS else ""
        if foreign == ["q"] and kind == "int_uniform":
            remedy = " Write distribution: q_uniform."
        raise ConfigError(f"{where}: {', '.join(foreign)} does not belong to the distribution {kind}.{remedy}")
    checked = dict(entry)
    for key in ("min", "max", "q"):
        if key in entry:
            checked[key] = _number(entry[key], f"{where}.{key}", kind, notes)
    if kind == "categorical":
        if not isinstance(entry["values"], list) or not entry["values"]:
            raise ConfigError(f"{where}.values: expected a list of values, found {entry['values']!r}.")
        checked["values"] = [_plain(value, f"{where}.values", notes) for value in entry["values"]]
    elif kind == "constant":
        checked["value"] = _plain(entry["value"], f"{where}.value", notes)
    if kind in _EXPONENTIAL and max(abs(checked["min"]), abs(checked["max"])) > _MAX_EXPONENT:
        raise ConfigError(
            f"{where}: {kind} takes exponents of e, found {entry['min']} and {entry['max']}. "
            f"Write distribution: {kind}_values for the values themselves."
        )
    return checked


def _number(value: Any, where: str, kind: str, notes: list[str]) -> int | float:
    """A number of a range.

    Raises:
        ConfigError: It is none, or it is text where exponents of e are wanted: nobody means e to the power of 1e-5.
    """
    if isinstance(value, str) and kind in _EXPONENTIAL and _TEXT_NUMBER.fullmatch(value.strip()):
        raise ConfigError(
            f"{where} is the text {value!r} (YAML 1.1 wants a point: {float(value):.1e}), and {kind} takes exponents "
            f"of e. Write distribution: {kind}_values for the values themselves."
        )
    number = _plain(value, where, notes)
    if isinstance(number, bool) or not isinstance(number, int | float) or not math.isfinite(number):
        raise ConfigError(f"{where}: expected a number, found {value!r}.")
    return number


def _plain(value: Any, where: str, notes: list[str]) -> Any:
    if isinstance(value, str) and _TEXT_NUMBER.fullmatch(value.strip()):
        notes.append(f"{where}: the text {value!r} was taken as the number {float(value):g}")
        return float(value)
    return value


def _grid_values(entry: dict[str, Any], where: str, notes: list[str]) -> dict[str, Any]:
    """What W&B tries of a `q_uniform` in a grid: from the lower end on in steps of `q`, without the upper end."""
    low, high, step = entry["min"], entry["max"], entry.get("q", 1)
    if step <= 0 or low >= high:
        raise ConfigError(f"{where}: expected min below max and q above 0, found {low}, {high} and {step}.")
    values = [round(value, 12) for value in np.arange(low, high, step).tolist()]
    notes.append(
        f"{where}: the grid has {len(values)} values from {values[0]:g} to {values[-1]:g}; as in W&B without max"
    )
    return {"values": values}


def _implied(entry: dict[str, Any], where: str) -> str:
    """The distribution that W&B takes where none is named."""
    if "value" in entry:
        return "constant"
    if "values" in entry:
        return "categorical"
    if "min" in entry and "max" in entry:
        whole = all(isinstance(entry[key], int) for key in ("min", "max"))
        return "int_uniform" if whole else "uniform"
    raise ConfigError(
        f"{where}: expected values, value or min and max, found {', '.join(map(str, entry)) or 'nothing'}."
    )


def _choice(values: list[Any], name: str) -> dict[str, Any]:
    """Lists and tables are no values for Optuna: they become options that are named by what they hold."""
    if all(isinstance(value, bool | int | float | str) for value in values):
        return {"values": values}
    return {"options": {str(value): {name: value} for value in values}}


def _exponents(entry: dict[str, Any], name: str) -> dict[str, Any]:
    return {"min": math.exp(entry["min"]), "max": math.exp(entry["max"]), "log": True}


def _inverse_exponents(entry: dict[str, Any], name: str) -> dict[str, Any]:
    return {"min": math.exp(-entry["max"]), "max": math.exp(-entry["min"]), "log": True}


def _rounded(make: Callable[[dict[str, Any], str], dict[str, Any]]) -> Callable[[dict[str, Any], str], dict[str, Any]]:
    return lambda entry, name: make(entry, name) | {"round_to": entry.get("q", 1)}


def _uniform(entry: dict[str, Any], name: str) -> dict[str, Any]:
    return {"min": entry["min"], "max": entry["max"]}


def _log(entry: dict[str, Any], name: str) -> dict[str, Any]:
    return {"min": entry["min"], "max": entry["max"], "log": True}


#: From a W&B distribution to a `Parameter`. The logarithm of 1/x is even where that of x is.
_DISTRIBUTIONS: dict[str, Callable[[dict[str, Any], str], dict[str, Any]]] = {
    "constant": lambda entry, name: _choice([entry["value"]], name),
    "categorical": lambda entry, name: _choice(entry["values"], name),
    "int_uniform": lambda entry, name: _uniform(entry, name) | {"int": True},
    "uniform": _uniform,
    "q_uniform": _rounded(_uniform),
    "log_uniform": _exponents,
    "q_log_uniform": _rounded(_exponents),
    "inv_log_uniform": _inverse_exponents,
    "log_uniform_values": _log,
    "q_log_uniform_values": _rounded(_log),
    "inv_log_uniform_values": _log,
}

#: Distributions whose ends are exponents of e.
_EXPONENTIAL = ("log_uniform", "q_log_uniform", "inv_log_uniform")


def _one_of(value: Any, known: dict[str, str], where: str) -> str:
    if value not in known:
        raise ConfigError(f"{where}: expected one of {', '.join(known)}, found {value!r}.")
    return known[value]


def _refuse(entry: dict[str, Any], known: tuple[str, ...], where: str) -> None:
    unknown = sorted(set(map(str, entry)) - set(known))
    if unknown:
        raise ConfigError(f"{where}: not supported here: {', '.join(unknown)}. Known are {', '.join(known)}.")


_METHOD_OF_SAMPLER = {"tpe": "bayes", "random": "random", "grid": "grid"}
PROJECT = "organscope"


def run_wandb_sweep(space: Space, folder: Path, n_trials: int, report: Callable[[str], None]) -> str:
    """Register the space and run trials until the agent is told to stop or has run `n_trials`.

    Args:
        space: What is searched; one objective.
        folder: Gets a run folder for each trial.
        n_trials: How many trials this agent runs; 0 only registers.
        report: Gets the identifier, by which agents on other computers join.

    Returns:
        Identifier of the sweep.

    Raises:
        UsageError: The space has several objectives, or W&B cannot be reached or knows no account.
        MissingExtraError: wandb is not installed.
    """
    try:
        import wandb
    except ImportError as error:
        raise MissingExtraError("Expected the package 'wandb', found none. Install: pip install '.[train]'") from error
    config = wandb_config(space, folder)
    check_space(space)
    make_folder(folder)
    write_space(space, folder)
    _prepare_agent(folder, n_trials)
    try:
        # W&B prints the identifier by itself.
        with contextlib.redirect_stdout(io.StringIO()):
            identifier = wandb.sweep(config, project=PROJECT)
    except (wandb.errors.Error, ValueError, OSError) as error:
        raise UsageError(
            f"The sweep could not be registered with Weights & Biases: {' '.join(str(error).split())[:300]} "
            "Log in with `wandb login`, or leave out --backend wandb."
        ) from error
    report(f"W&B sweep {identifier}; more agents: wandb agent --project {PROJECT} {identifier}")
    if n_trials:
        wandb.agent(identifier, project=PROJECT, count=n_trials)
    return identifier


def wandb_config(space: Space, folder: Path) -> dict[str, Any]:
    """The space in the words of W&B, with a command that runs `organscope train` for each trial.

    Raises:
        UsageError: The space has several objectives, or one that is measured on the bundle.
    """
    objective, *others = space.objectives
    if others or objective.is_cost:
        raise UsageError(
            "A sweep of W&B has one objective, read from the epochs; found "
            f"{', '.join(o.metric for o in space.objectives)}. Run this space without --backend wandb."
        )
    (metric,) = metric_names({objective.metric: 0.0})
    config: dict[str, Any] = {
        "name": space.name,
        "method": _METHOD_OF_SAMPLER[space.sampler.kind],
        "metric": {"name": metric, "goal": objective.direction},
        "parameters": {name: _in_their_words(parameter) for name, parameter in space.parameters.items()},
        # The environment brings the agent's identifiers; the arguments are one JSON.
        "command": [sys.executable, "-m", "organscope.sweep.wandb_trial", str(folder.resolve()), "${args_json}"],
    }
    if objective.target is not None:
        config["metric"]["target"] = objective.target
    if space.prunes:
        rule = space.pruner
        config["early_terminate"] = {"type": "hyperband", "min_iter": rule.min_epochs, "eta": rule.reduction_factor}
    return config


def _prepare_agent(folder: Path, n_trials: int) -> None:
    """Settings of the agent in the environment: where its files go, and that failed trials do not end it."""
    os.environ.setdefault("WANDB_SILENT", "true")
    os.environ.setdefault("WANDB_ERROR_REPORTING", "false")
    os.environ.setdefault("WANDB_DIR", str(folder.resolve()))
    os.environ.setdefault("WANDB_AGENT_DISABLE_FLAPPING", "true")
    os.environ.setdefault("WANDB_AGENT_MAX_INITIAL_FAILURES", str(n_trials + 1))
    # The agent turns its own log lines on; a logger that is disabled stays silent.
    logging.getLogger("wandb.wandb_agent").disabled = True


def _in_their_words(parameter: Parameter) -> dict[str, Any]:
    if not parameter.is_range:
        return {"values": list(parameter.options or parameter.values)}
    ends = {"min": parameter.min, "max": parameter.max}
    if parameter.step is not None or (parameter.integer and parameter.log):
        # W&B steps from 0, not from the lower end: the values themselves are clear.
        return {"values": parameter.grid("")} if parameter.step else {"values": _whole(parameter)}
    if parameter.integer:
        return ends | {"distribution": "int_uniform"}
    quantum = {} if parameter.round_to is None else {"q": parameter.round_to}
    prefix = "q_" if quantum else ""
    return ends | quantum | {"distribution": f"{prefix}{'log_uniform_values' if parameter.log else 'uniform'}"}


def _whole(parameter: Parameter) -> list[int]:
    """Powers of 2 between the ends, and the ends: whole numbers on a logarithmic scale, which W&B does not have."""
    low, high = int(parameter.min), int(parameter.max)
    powers = [2**n for n in range(high.bit_length()) if low < 2**n < high]
    return [low, *powers, high]
