"""Two real trials of the organ classifier, from an empty folder to a winner and to MLflow; and a broken tracker."""

import tomllib

import pytest
from typer.testing import CliRunner

from organscope.cli.main import app
from organscope.models import verify_bundle
from organscope.training.classification.config import ClassificationConfig
from organscope.training.classification.train import train_classification
from organscope.training.config import read_settings
from texture_set import write_texture_set

# MLflow uses what SQLAlchemy 2.1 calls old.
pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning")

SPACE = """
task = "classification"
config = "tiny.toml"
epochs = 2

[[objectives]]
metric = "balanced_accuracy"

[[objectives]]
metric = "size_mb"
direction = "minimize"

[sampler]
kind = "grid"

[parameters.backbone.options]
thin = { "network.arguments" = { channels = [8, 8, 16, 16] } }
wide = { "network.arguments" = { channels = [16, 16, 32, 32] } }
"""


@pytest.fixture(scope="module")
def config_file(tmp_path_factory):
    return write_texture_set(tmp_path_factory.mktemp("textures"))


@pytest.fixture(scope="module")
def swept(config_file, tmp_path_factory):
    space = config_file.with_name("nets.toml")
    space.write_text(SPACE)
    folder = tmp_path_factory.mktemp("runs") / "nets"
    words = ["sweep", str(space), "-n", "2", "-o", str(folder), "--track", "mlflow"]
    result = CliRunner().invoke(app, words)
    assert result.exit_code == 0, result.output
    return folder, result


def test_two_trials_end_with_a_winner_that_train_takes(swept, config_file):
    folder, result = swept
    assert "[2/2] trial 1 complete" in result.stderr
    assert "organscope train classification" in result.stdout
    best = read_settings(ClassificationConfig, folder / "best.toml")
    assert best.network.arguments["channels"] in ([8, 8, 16, 16], [16, 16, 32, 32])
    assert best.data.sources[0].index.resolve() == config_file.parent / "index"
    assert best.fit.epochs == tomllib.loads(config_file.read_text())["fit"]["epochs"]
    assert not best.draft
    assert not list(folder.glob("trials/*/state"))


def test_mlflow_holds_both_trials(swept):
    from mlflow import MlflowClient

    folder, _ = swept
    client = MlflowClient(f"sqlite:///{folder.parent / 'mlflow.db'}")
    experiment = client.get_experiment_by_name("organscope")
    runs = client.search_runs([experiment.experiment_id])
    assert {(run.data.tags["sweep"], run.data.tags["trial"]) for run in runs} == {("nets", "0"), ("nets", "1")}
    for run in runs:
        assert run.info.status == "FINISHED"
        assert set(run.data.tags) >= {"data_fingerprint", "task", "python", "organscope"}
        assert set(run.data.metrics) >= {
            "train/loss",
            "train/step_loss",
            "validation/score",
            "validation/balanced_accuracy",
            "learning_rate",
            "images_per_s",
            "memory_mb",
        }
        assert [point.step for point in client.get_metric_history(run.info.run_id, "train/loss")] == [1, 2]
        assert "bundle" in {item.path for item in client.list_artifacts(run.info.run_id)}


# MLflow and W&B change the filters of warnings while they are imported in their thread, those of the training too.
@pytest.mark.filterwarnings("ignore")
def test_a_broken_tracker_is_said_once_and_stops_nothing(config_file, tmp_path, monkeypatch):
    monkeypatch.setenv("WANDB_DATA_DIR", str(tmp_path))
    (tmp_path / "runs" / "mlflow.db").mkdir(parents=True)
    said = []
    run = tmp_path / "runs" / "organs"
    overrides = ("tracking.to=both", "tracking.wandb_mode=offline", "fit.epochs=2")
    bundle = train_classification(config_file, run, overrides=overrides, report=said.append)
    assert verify_bundle(bundle).ok
    (warning,) = [line for line in said if line.startswith("Warning")]
    assert "tracking in MLflow stopped" in warning
    files = {path.name for path in tmp_path.glob("runs/wandb/offline-run-*/files/media/images/**/*.png")}
    assert {name.rsplit("_", 2)[0] for name in files} == {"confusion", "reliability", "organs"}
