"""A run in MLflow's database, read back by MLflow's own client."""

import logging
import sqlite3

import numpy as np
import pandas as pd
import pytest
from PIL import Image

from organscope.tracking.figures import image_png
from organscope.tracking.mlflow import ARTIFACTS, DATABASE, MlflowTracker

# MLflow uses what SQLAlchemy 2.1 calls old.
pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning")


@pytest.fixture
def tracked(facts, tmp_path):
    """The client and the run after a whole training."""
    bundle = tmp_path / "bundle"
    bundle.mkdir()
    (bundle / "graph.onnx").write_bytes(b"graph")
    told = facts()
    tracker = MlflowTracker()
    identifier = tracker.start(told)
    tracker.log_steps("train/step_loss", [0.9, 0.7, float("nan")], 4)
    tracker.log_metrics({"train/loss": 0.8, "validation/pq": 0.25}, 2)
    tracker.log_metrics({"validation/pq": float("nan")}, 3)
    tracker.log_picture("samples/one", image_png(np.full((8, 9, 3), 200, np.uint8)))
    tracker.log_table("scores", pd.DataFrame({"metric": ["pq"], "value": [0.4]}))
    tracker.log_artifact("bundle", bundle)
    tracker.log_facts({"data_fingerprint": "f00d"})
    tracker.finish("finished")
    from mlflow import MlflowClient

    client = MlflowClient(f"sqlite:///{told.store / DATABASE}")
    return client, client.get_run(identifier), told


def test_everything_is_read_back(tracked, tmp_path):
    client, run, told = tracked
    assert run.info.status == "FINISHED"
    assert run.data.params["fit.learning_rate"] == "0.001"
    assert run.data.tags["git_commit"] == "0123abc"
    assert run.data.tags["data_fingerprint"] == "f00d"
    assert (run.data.tags["sweep"], run.data.tags["trial"]) == ("nets", "4")
    history = {
        name: [(point.step, point.value) for point in client.get_metric_history(run.info.run_id, name)]
        for name in ("train/step_loss", "validation/pq")
    }
    assert history == {"train/step_loss": [(4, 0.9), (5, 0.7)], "validation/pq": [(2, 0.25)]}
    assert {item.path for item in client.list_artifacts(run.info.run_id)} >= {"bundle", "samples", "scores.csv"}
    image = client.download_artifacts(run.info.run_id, "samples/one.png", str(tmp_path))
    with Image.open(image) as read:
        assert read.size == (9, 8)
    assert (told.store / ARTIFACTS).is_dir()


def test_a_resumed_run_goes_on_in_the_same_place(tracked, facts):
    client, run, _ = tracked
    tracker = MlflowTracker()
    assert tracker.start(facts(known_as=run.info.run_id)) == run.info.run_id
    assert client.get_run(run.info.run_id).info.status == "RUNNING"
    tracker.finish("interrupted")
    assert client.get_run(run.info.run_id).info.status == "KILLED"


def test_a_store_that_cannot_be_fails_at_once(facts, tmp_path):
    (tmp_path / DATABASE).mkdir()
    with pytest.raises(sqlite3.OperationalError):
        MlflowTracker().start(facts(store=tmp_path))


def test_nothing_is_said_on_the_terminal(tracked, capfd):
    logging.getLogger("mlflow.store.db.utils").info("Updating database tables")
    assert capfd.readouterr() == ("", "")
