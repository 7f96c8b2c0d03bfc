"""The run directory: what it keeps and what it refuses."""

import pytest

from organscope.errors import OutputError, UsageError
from organscope.training.config import BundleSettings, DataSettings, Source, TrainingSettings
from organscope.training.run import RunDirectory, environment


class Config(TrainingSettings):
    """One number."""

    task: str = "counting"
    data: DataSettings = DataSettings(sources=(Source(index="index"),))
    bundle: BundleSettings = BundleSettings(name="count", summary="Counts.")
    epochs: int = 3


def test_a_new_run_writes_what_explains_it(tmp_path):
    source = tmp_path / "config.toml"
    source.write_text("epochs = 5\n")
    run = RunDirectory(tmp_path / "run")
    run.start(Config(epochs=5), source=source, resume=False)
    assert (run.folder / "config.toml").read_text() == "epochs = 5\n"
    assert '"epochs": 5' in (run.folder / "config.json").read_text()
    assert (run.folder / "environment.txt").read_text() == environment()


def test_another_run_is_neither_overwritten_nor_resumed(tmp_path):
    run = RunDirectory(tmp_path / "run")
    run.start(Config(), source=None, resume=False)
    with pytest.raises(UsageError, match="already holds a run"):
        run.start(Config(), source=None, resume=False)
    with pytest.raises(UsageError, match=r"another configuration \(\[epochs\]\)"):
        run.start(Config(epochs=4), source=None, resume=True)
    run.start(Config(), source=None, resume=True)


def test_a_run_may_be_finished_under_another_name(tmp_path):
    run = RunDirectory(tmp_path / "run")
    run.start(Config(), source=None, resume=False)
    run.start(Config(bundle=BundleSettings(name="tally", summary="Counts.")), source=None, resume=True)
    assert '"name": "tally"' in (run.folder / "config.json").read_text()


def test_a_draft_may_be_finished_in_full(tmp_path):
    run = RunDirectory(tmp_path / "run")
    run.start(Config(draft=True), source=None, resume=False)
    run.start(Config(draft=False), source=None, resume=True)
    assert '"draft": false' in (run.folder / "config.json").read_text()


def test_an_epoch_that_is_run_again_replaces_its_line(tmp_path):
    run = RunDirectory(tmp_path / "run")
    run.start(Config(), source=None, resume=False)
    for row in ({"epoch": 1, "loss": 0.5}, {"epoch": 2, "loss": 0.4}, {"epoch": 2, "loss": 0.3}):
        run.log(row)
    assert [(row["epoch"], row["loss"]) for row in run.metrics()] == [(1, 0.5), (2, 0.3)]


def test_throughput_and_memory_are_added_for_every_trainer(tmp_path):
    run = RunDirectory(tmp_path / "run")
    run.start(Config(), source=None, resume=False)
    run.log({"epoch": 1, "loss": 0.5, "n_images": 30, "seconds": 2.0})
    (row,) = run.metrics()
    assert row["images_per_s"] == 15
    assert row["memory_mb"] > 10


def test_a_run_is_resumed_with_another_tracker(tmp_path):
    run = RunDirectory(tmp_path / "run")
    run.start(Config(), source=None, resume=False)
    run.start(Config(tracking={"project": "other"}), source=None, resume=True)


def test_a_folder_that_cannot_be_made_is_said(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(OutputError, match="Cannot make the run folder"):
        RunDirectory(tmp_path / "file" / "run").start(Config(), source=None, resume=False)
