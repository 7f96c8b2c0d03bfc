"""The report in W&B, against a stand-in of the server."""

import json
import os
import subprocess
import sys

import pytest

from organscope.errors import UsageError
from organscope.tracking.wandb_report import build_report, survey_project
from wandb_project import ProjectStandIn
from wandb_server import running_server

PICTURE = {"_type": "image-file", "path": "media/images/a.png"}


def run_of(rate: float, backbone: str) -> dict:
    return {
        "config": {
            "fit": {"learning_rate": rate, "epochs": 3},
            "network": {"backbone": backbone},
            "run": {"host": rate},
        },
        "summary": {
            "train/loss": 0.4,
            "validation/balanced_accuracy": 0.8,
            "train/step_loss": 0.3,
            "seconds_per_epoch": 5.0,
            "figures/confusion": PICTURE,
        },
    }


RUNS = [run_of(0.001, "resnet18"), run_of(0.01, "resnet34")]


class Known:
    """A run as W&B's client gives it."""

    def __init__(self, run: dict) -> None:
        self.config, self.summary_metrics = run["config"], run["summary"]


def test_a_project_is_surveyed():
    project = survey_project(Known(run) for run in RUNS)
    assert project.metrics == ("train/loss", "train/step_loss", "validation/balanced_accuracy")
    assert project.settings == ("fit.learning_rate", "network.backbone")
    assert project.numbers == ("fit.learning_rate",)
    assert project.pictures == ("figures/confusion",)
    assert project.main == "validation/balanced_accuracy"


def build(server: ProjectStandIn, home) -> subprocess.CompletedProcess:
    """Build the report in a process of its own, whose account is that of the stand-in."""
    without = {name: value for name, value in os.environ.items() if not name.startswith("WANDB")}
    places = {name: str(home) for name in ("HOME", "WANDB_CACHE_DIR", "WANDB_CONFIG_DIR", "WANDB_DATA_DIR")}
    account = {"WANDB_BASE_URL": server.address, "WANDB_API_KEY": "a" * 40}
    command = "import sys; from organscope.cli.main import main; main()"
    words = [sys.executable, "-c", command, "dashboard", "--wandb", "lab/organscope"]
    return subprocess.run(words, env=without | places | account, capture_output=True, text=True, timeout=120)


def test_the_report_is_saved_with_a_panel_for_everything(tmp_path):
    with running_server(ProjectStandIn(RUNS)) as server:
        done = build(server, tmp_path)
    assert done.returncode == 0, done.stderr
    (report,) = server.reports
    assert (report["entityName"], report["projectName"]) == ("lab", "organscope")
    text = report["spec"]
    panels = ("Run Comparer", "Parallel Coordinates Plot", "Parameter Importance", "Scatter Plot", "Media Browser")
    for expected in (*panels, "validation/balanced_accuracy", "config:fit.value.learning_rate", "figures/confusion"):
        assert expected in text
    grids = [block for block in json.loads(text)["blocks"] if block["type"] == "panel-grid"]
    assert len(grids) == 4
    assert "/lab/organscope/reports/" in done.stderr


def test_a_project_without_runs_is_refused(tmp_path):
    with running_server(ProjectStandIn([])) as server:
        done = build(server, tmp_path)
    assert done.returncode == 2
    assert "found none" in done.stderr


@pytest.mark.parametrize("place", ["lab", "lab/", "/organscope", "lab/organscope/reports"])
def test_a_place_of_another_form_is_refused(place):
    with pytest.raises(UsageError, match="ENTITY/PROJECT"):
        build_report(place)
