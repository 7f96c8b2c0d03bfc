"""Runs of a store, read once for as long as nothing changes."""

import shutil

import pytest

from dashboard_store import write_runs
from organscope.dashboard import runs as runs_module
from organscope.dashboard.details import details_of, image_of
from organscope.dashboard.overview import overview_of
from organscope.dashboard.runs import RunStore, network_name


def test_all_runs_are_read_in_pages(runs_folder, monkeypatch):
    monkeypatch.setattr(runs_module, "_PAGE_SIZE", 4)
    found = list(RunStore(runs_folder / "mlflow.db").runs().values())
    assert [run.name for run in found] == [f"{name}-00{place}" for place, name in reversed(list(enumerate(NAMES)))]
    newest = found[0]
    assert (newest.task, newest.network, newest.status) == ("classification", "resnet34", "finished")
    assert (newest.sweep, newest.trial) == ("rates", "5")
    assert newest.params["fit.batch"] == "32"
    assert newest.metrics["validation/balanced_accuracy"] > 0
    assert newest.seconds >= 0


NAMES = ["resnet18d", "resnet34", "convnext_atto", "regnety_002", "resnet18d", "resnet34"]


def test_nothing_is_read_again_until_the_store_changes(tmp_path, runs_folder):
    shutil.copyfile(runs_folder / "mlflow.db", tmp_path / "mlflow.db")
    store = RunStore(tmp_path / "mlflow.db")
    first = store.runs()
    assert store.runs() is first
    write_runs(tmp_path, 1, epochs=1, files=False)
    assert len(store.runs()) == len(first) + 1


def test_files_are_found_after_the_folder_was_moved(runs_folder, tmp_path):
    (run, *_) = RunStore(runs_folder / "mlflow.db").runs().values()
    moved = tmp_path / "moved"
    (moved / "mlflow-artifacts").mkdir(parents=True)
    shutil.copyfile(runs_folder / "mlflow.db", moved / "mlflow.db")
    assert RunStore(moved / "mlflow.db").runs()[run.id].artifacts == run.artifacts
    renamed = runs_folder / "mlflow-artifacts" / run.id
    renamed.rename(moved / "mlflow-artifacts" / run.id)
    try:
        found = RunStore(moved / "mlflow.db").runs()[run.id]
        assert found.artifacts == moved / "mlflow-artifacts" / run.id / "artifacts"
        assert details_of(found)["pictures"]
    finally:
        (moved / "mlflow-artifacts" / run.id).rename(renamed)


def test_curves_are_in_order(runs_folder):
    store = RunStore(runs_folder / "mlflow.db")
    (run, *_) = store.runs().values()
    points = store.history(run.id, "train/loss")
    assert [step for step, _ in points] == [1, 2, 3]
    assert points[-1][1] == pytest.approx(run.metrics["train/loss"])


def test_the_overview_names_what_differs(runs_folder):
    found = overview_of(list(RunStore(runs_folder / "mlflow.db").runs().values()))
    assert set(found["params"]) == {"fit.learning_rate", "fit.seed", "network.backbone"}
    assert found["constant"]["fit.batch"] == "32"
    assert all(len(values) == 6 for values in [*found["metrics"].values(), *found["params"].values()])


def test_details_hold_scores_and_images(runs_folder):
    (run, *_) = RunStore(runs_folder / "mlflow.db").runs().values()
    found = details_of(run)
    assert [image["name"] for image in found["pictures"]] == ["figures/confusion.png", "samples/organs.png"]
    assert found["scores"][0]["metric"] == "accuracy"
    assert found["scores"][0]["low"] < found["scores"][0]["value"] < found["scores"][0]["high"]
    assert image_of(run, "figures/confusion.png").is_file()
    assert image_of(run, "../../../../mlflow.db") is None
    assert image_of(run, "config.json") is None


@pytest.mark.parametrize(
    ("task", "params", "name"),
    [
        ("classification", {"network.backbone": "resnet18"}, "resnet18"),
        ("segmentation", {"network.block": "plain", "network.head": "flow", "network.depth": "4"}, "plain flow 4"),
        ("", {"network.backbone": "resnet18"}, ""),
        ("classification", {}, ""),
    ],
)
def test_networks_have_short_names(task, params, name):
    assert network_name(task, params) == name
