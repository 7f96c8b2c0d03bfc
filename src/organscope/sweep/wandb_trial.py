"""`python -m organscope.sweep.wandb_trial FOLDER JSON`: one trial of a W&B sweep, as W&B's agent starts it."""

import json
import os
import runpy
import signal
import sys
from pathlib import Path
from types import FrameType
from typing import Any

from organscope.sweep.space import read_written_space, write_configuration
from organscope.sweep.wandb import PROJECT


class _StoppedByAgent(KeyboardInterrupt):
    """The agent ended the trial early."""


def main(folder: Path, drawn: dict[str, Any]) -> None:
    """Write the configuration of a trial and train in this process, which the agent watches.

    Args:
        folder: Of the sweep.
        drawn: Value of each parameter.
    """
    space = read_written_space(folder)
    run = folder / "trials" / os.environ.get("WANDB_RUN_ID", "trial")
    run.mkdir(parents=True)
    tracking = {"to": "wandb", "project": PROJECT, "sweep": space.name, "folder": str(folder)}
    settings = space.trial_settings() | space.overrides(drawn)
    settings |= {f"tracking.{key}": value for key, value in tracking.items()}
    config = run / "trial.toml"
    write_configuration(config, space, settings, f"A trial of the W&B sweep {os.environ.get('WANDB_SWEEP_ID', '')}.")
    _print_into(run / "log.txt")
    sys.argv = ["organscope", "train", space.task, str(config), "--output", str(run)]
    was_stopped = _note_stop()
    try:
        runpy.run_module("organscope", run_name="__main__")
    except SystemExit:
        # A trial that was given up early is no failure, of which the agent bears only a few.
        if not was_stopped:
            raise


def _note_stop() -> list[int]:
    """Turn the agent's SIGTERM into what Ctrl-C does, so that the run ends in order; the list then holds the signal."""
    noted: list[int] = []

    def stop(number: int, frame: FrameType | None) -> None:
        noted.append(number)
        raise _StoppedByAgent

    signal.signal(signal.SIGTERM, stop)
    return noted


def _print_into(path: Path) -> None:
    """The agent's terminal is that of all trials: each prints into its own file."""
    file = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o644)
    for stream in (1, 2):
        os.dup2(file, stream)
    os.close(file)


if __name__ == "__main__":
    main(Path(sys.argv[1]), json.loads(sys.argv[2]))
