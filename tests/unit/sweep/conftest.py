"""A sweep whose trainings are stand-ins that take no time."""

import sys
from collections.abc import Callable
from pathlib import Path

import pytest

import stand_in_training
from organscope.sweep import Space, report, trial_process


@pytest.fixture
def stand_in(monkeypatch) -> None:
    """Start `stand_in_training` in place of `organscope train`, and draw no page, which takes a second."""
    monkeypatch.setattr(trial_process, "PROGRAM", (sys.executable, "-S", stand_in_training.__file__))
    monkeypatch.setattr(trial_process, "POLL_SECONDS", 0.01)
    monkeypatch.setattr(report, "render_sweep_page", lambda study, space, table: "<!doctype html>")


@pytest.fixture
def space(tmp_path) -> Callable[..., Space]:
    """A space over the learning rate of a segmentation, with changes."""
    (tmp_path / "base.toml").write_text(stand_in_training.CONFIG)

    def make(**changes) -> Space:
        content = {
            "name": "rates",
            "task": "segmentation",
            "config": tmp_path / "base.toml",
            "parameters": {"fit.learning_rate": {"min": 1e-3, "max": 3e-2, "log": True}},
            "epochs": 3,
            "pruner": {"kind": "none"},
        }
        return Space.model_validate(content | changes)

    return make


@pytest.fixture
def folder(tmp_path) -> Path:
    return tmp_path / "sweep"
