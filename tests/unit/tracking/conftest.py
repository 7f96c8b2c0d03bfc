"""What a tracker is told of a run that never was."""

from collections.abc import Callable
from pathlib import Path

import pytest

from organscope.tracking import RunFacts


@pytest.fixture(scope="session")
def store(tmp_path_factory) -> Path:
    """One folder for all runs: MLflow takes seconds to make its tables."""
    return tmp_path_factory.mktemp("runs")


@pytest.fixture
def facts(store, tmp_path) -> Callable[..., RunFacts]:
    def make(**changes) -> RunFacts:
        (tmp_path / "nuclei").mkdir(exist_ok=True)
        known = {
            "name": "nuclei",
            "project": "organscope",
            "run_folder": tmp_path / "nuclei",
            "store": store,
            "config": {"fit": {"epochs": 3, "learning_rate": 1e-3}, "task": "segmentation"},
            "tags": {"task": "segmentation", "git_commit": "0123abc", "sweep": "nets", "trial": "4"},
            "environment": "python 3\nnumpy==2\n",
        }
        return RunFacts(**(known | changes))

    return make
