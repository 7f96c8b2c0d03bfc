"""A space registered with W&B and run by its agent, against a stand-in of the server."""

import json
import os
import runpy
import subprocess
import sys
import tomllib

import pytest
import yaml

from organscope.errors import UsageError
from organscope.sweep import wandb_trial
from organscope.sweep.space import make_folder, read_written_space, write_space
from organscope.sweep.wandb import wandb_config
from wandb_server import StandIn, running_server

PARAMETERS = {
    "fit.learning_rate": {"min": 1e-3, "max": 3e-2, "log": True},
    "network.depth": {"min": 2, "max": 4, "int": True},
    "fit.batch": {"min": 4, "max": 16, "int": True, "step": 4},
    "augmentation.gray": {"min": 0.0, "max": 1.0, "round_to": 0.25},
    "augmentation": {"min": 0.0, "max": 1.5, "sets": {"augmentation.stain": [0.0, 0.2]}},
    "net": {"options": {"small": {"network.base_filters": 8}, "large": {"network.base_filters": 32}}},
}
DRAWN = {"fit.learning_rate": 0.01, "augmentation": 0.5, "net": "large"}


def test_the_space_in_their_words(space, folder):
    rule = {"kind": "hyperband", "min_epochs": 2, "reduction_factor": 4}
    objective = {"metric": "pq", "target": 0.9}
    config = wandb_config(space(parameters=PARAMETERS, pruner=rule, objectives=[objective]), folder)
    assert config["method"] == "bayes"
    assert config["metric"] == {"name": "validation/pq", "goal": "maximize", "target": 0.9}
    assert config["early_terminate"] == {"type": "hyperband", "min_iter": 2, "eta": 4}
    assert config["parameters"] == {
        "fit.learning_rate": {"min": 1e-3, "max": 3e-2, "distribution": "log_uniform_values"},
        "network.depth": {"min": 2, "max": 4, "distribution": "int_uniform"},
        "fit.batch": {"values": [4, 8, 12, 16]},
        "augmentation.gray": {"min": 0.0, "max": 1.0, "q": 0.25, "distribution": "q_uniform"},
        "augmentation": {"min": 0.0, "max": 1.5, "distribution": "uniform"},
        "net": {"values": ["small", "large"]},
    }


def test_several_objectives_are_not_for_them(space, folder):
    two = space(objectives=[{"metric": "score"}, {"metric": "size_mb", "direction": "minimize"}])
    with pytest.raises(UsageError, match="one objective"):
        wandb_config(two, folder)


def test_a_space_survives_being_written(space, folder):
    make_folder(folder)
    written = space(parameters=PARAMETERS)
    write_space(written, folder)
    assert read_written_space(folder) == written


def test_a_trial_trains_with_what_the_agent_drew(space, folder, monkeypatch):
    make_folder(folder)
    write_space(space(parameters=PARAMETERS), folder)
    monkeypatch.setenv("WANDB_RUN_ID", "run1")
    monkeypatch.setattr(wandb_trial, "_print_into", lambda path: None)
    monkeypatch.setattr(wandb_trial, "_note_stop", list)
    called = []
    monkeypatch.setattr(runpy, "run_module", lambda name, run_name: called.append((name, sys.argv)))
    monkeypatch.setattr(sys, "argv", sys.argv)
    wandb_trial.main(folder, DRAWN)
    run = folder / "trials" / "run1"
    words = ["organscope", "train", "segmentation", str(run / "trial.toml"), "--output", str(run)]
    assert called == [("organscope", words)]
    config = tomllib.loads((run / "trial.toml").read_text())
    assert config["augmentation"] == {"stain": 0.1}
    assert config["network"] == {"base_filters": 32}
    assert config["fit"] == {"epochs": 3, "learning_rate": 0.01}
    assert config["tracking"]["to"] == "wandb"


SWEEP = """
import sys
from pathlib import Path
from organscope.sweep import Space
from organscope.sweep.wandb import run_wandb_sweep
from wandb.wandb_agent import Agent
Agent.POLL_INTERVAL = 0.02
run_wandb_sweep(Space.model_validate_json(sys.argv[1]), Path(sys.argv[2]), 5, print)
"""
TRIAL = """
import json, os, pathlib, sys
pathlib.Path(sys.argv[1], os.environ["WANDB_RUN_ID"] + ".json").write_text(sys.argv[2])
sys.exit(3 if "small" in sys.argv[2] else 0)
"""


def test_it_is_registered_and_the_agent_runs_its_trials_also_after_failures(space, folder, tmp_path):
    (tmp_path / "trial.py").write_text(TRIAL)

    def with_short_trials(config: str) -> str:
        """The registered sweep, its command shortened to a stand-in of the training."""
        content = yaml.safe_load(config)
        python, _, module, *rest = content["command"]
        assert module == "organscope.sweep.wandb_trial"
        return yaml.safe_dump(content | {"command": [python, str(tmp_path / "trial.py"), *rest]})

    draws = [DRAWN | {"net": net} for net in ("small", "small", "small", "large")]
    searched = space(parameters=PARAMETERS)
    with running_server(StandIn(draws, with_short_trials)) as server:
        offline = {name: value for name, value in os.environ.items() if not name.startswith("WANDB")}
        places = {name: str(tmp_path) for name in ("HOME", "WANDB_CACHE_DIR", "WANDB_CONFIG_DIR", "WANDB_DATA_DIR")}
        account = {"WANDB_BASE_URL": server.address, "WANDB_API_KEY": "a" * 40, "WANDB_AGENT_REPORT_INTERVAL": "0"}
        done = subprocess.run(
            [sys.executable, "-c", SWEEP, searched.model_dump_json(by_alias=True), str(folder)],
            env=offline | places | account,
            capture_output=True,
            text=True,
            timeout=120,
        )
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith("W&B sweep abc123")
    assert done.stderr == ""
    assert server.project == "organscope"
    assert yaml.safe_load(server.config) == wandb_config(searched, folder)
    trials = [json.loads((folder / f"run{number}.json").read_text()) for number in (1, 2, 3, 4)]
    assert trials == draws
