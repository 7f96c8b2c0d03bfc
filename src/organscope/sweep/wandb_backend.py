"""The same space as a sweep of Weights & Biases: registered there, run by W&B's agent through the same training."""

import contextlib
import io
import logging
import os
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

from organscope.errors import MissingExtraError, UsageError
from organscope.sweep.configuration import check_space
from organscope.sweep.kept import make_folder, write_space
from organscope.sweep.parameters import Parameter
from organscope.sweep.space import Space
from organscope.tracking.names import metric_names

METHODS = {"tpe": "bayes", "random": "random", "grid": "grid"}
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
        "method": METHODS[space.sampler.kind],
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
