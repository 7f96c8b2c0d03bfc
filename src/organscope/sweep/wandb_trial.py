"""`python -m organscope.sweep.wandb_trial FOLDER JSON`: one trial of a W&B sweep, as W&B's agent starts it."""

import json
import os
import runpy
import sys
from pathlib import Path

from organscope.sweep.configuration import write_configuration
from organscope.sweep.wandb_backend import PROJECT, read_written_space


def main(folder: Path, drawn: dict) -> None:
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
    sys.argv = ["organscope", "train", space.task, str(config), "--output", str(run)]
    runpy.run_module("organscope", run_name="__main__")


if __name__ == "__main__":
    main(Path(sys.argv[1]), json.loads(sys.argv[2]))
