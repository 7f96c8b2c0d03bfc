"""Sweeps from start to end, with trainings that end well, fail, are killed, are pruned or are interrupted."""

import signal
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

import stand_in_training
from living import runs, wait_until
from organscope.errors import UsageError
from organscope.sweep.run import Means, run_sweep
from organscope.sweep.study import SweepStudy, counted

pytestmark = pytest.mark.usefixtures("stand_in")
FATES = ["ends well", "crashes", "is killed", "runs out of memory", "diverges"]


def test_the_winner_is_a_configuration_and_everything_is_in_the_folder(space, folder):
    said = []
    result = run_sweep(space(), folder, Means(4), said.append)
    table = result.table
    assert table["state"].tolist() == ["complete"] * 4
    winner = table.loc[table["score"].idxmax()]
    best = tomllib.loads((folder / "best.toml").read_text())
    assert best["fit"] == {"learning_rate": winner["fit.learning_rate"]}
    assert best["data"]["sources"] == [{"index": "../index"}]
    files = {"best.toml", "space.json", "study.db", "sweep.html", "trials", "trials.csv"}
    assert {path.name for path in folder.iterdir()} == files
    assert [line.split()[0] for line in said] == ["[1/4]", "[2/4]", "[3/4]", "[4/4]"]
    assert "min left" in said[0]
    assert "min left" not in said[-1]


def test_a_trial_that_fails_is_recorded_with_its_reason_and_the_sweep_goes_on(space, folder):
    fates = space(
        sampler={"kind": "grid"},
        parameters={"bundle.summary": {"values": FATES}},
        trial={"fit.learning_rate": 0.01},
    )
    table = run_sweep(fates, folder, Means(10)).table.set_index("bundle.summary")
    assert table["state"].to_dict() == {fate: "complete" if fate == "ends well" else "failed" for fate in FATES}
    assert "found none" in table.loc["crashes", "reason"]
    assert "SIGKILL" in table.loc["is killed", "reason"]
    assert table.loc["runs out of memory", "reason"].startswith("out of memory: MemoryError")
    assert "never a number" in table.loc["diverges", "reason"]


def test_the_same_seed_gives_the_same_trials_also_after_an_interruption(space, folder, tmp_path):
    whole = run_sweep(space(sampler={"seed": 3, "startup": 2}), folder, Means(6)).table
    parts = tmp_path / "parts"
    run_sweep(space(sampler={"seed": 3, "startup": 2}), parts, Means(3))
    resumed = run_sweep(space(sampler={"seed": 3, "startup": 2}), parts, Means(6, resume=True)).table
    assert resumed["fit.learning_rate"].tolist() == whole["fit.learning_rate"].tolist()


def test_hyperband_gives_up_bad_trials(space, folder):
    rule = {"kind": "hyperband", "min_epochs": 1, "reduction_factor": 2}
    slow = space(pruner=rule, epochs=4, sampler={"kind": "random", "seed": 1})
    table = run_sweep(slow, folder, Means(10)).table
    pruned = table[table["state"] == "pruned"]
    assert len(pruned) >= 2
    assert (pruned["epochs"] >= 1).all()
    assert table.loc[table["best"], "score"].item() == table["score"].max()


def test_several_objectives_give_a_front(space, folder):
    two = space(objectives=[{"metric": "score"}, {"metric": "loss", "direction": "minimize"}])
    result = run_sweep(two, folder, Means(3))
    assert result.table["best"].any()
    assert len(result.files.front) == result.table["best"].sum()
    assert (folder / "best.toml").exists()


def test_jobs_run_side_by_side_and_none_too_many(space, folder):
    table = run_sweep(space(), folder, Means(5, jobs=3)).table
    assert table["trial"].tolist() == [0, 1, 2, 3, 4]


def test_a_target_ends_the_sweep(space, folder):
    table = run_sweep(space(objectives=[{"metric": "score", "target": -5.0}]), folder, Means(9)).table
    assert len(table) == 1


def test_a_trial_is_stopped_when_its_time_is_over_and_counts(space, folder):
    hanging = space(parameters={"fit.learning_rate": {"values": [0.01]}}, trial={"bundle.summary": "hangs"})
    table = run_sweep(hanging.model_copy(update={"max_minutes": 5 / 60}), folder, Means(1)).table
    assert table["state"].tolist() == ["complete"]
    assert table["reason"].item().startswith("stopped after")


def test_an_objective_that_nobody_measures_ends_the_sweep_at_once(space, folder):
    with pytest.raises(UsageError, match=r"objective 'accuracy'.* found loss, nll, score"):
        run_sweep(space(objectives=[{"metric": "accuracy"}]), folder, Means(5))


def test_another_sweep_is_neither_overwritten_nor_mixed_in(space, folder):
    run_sweep(space(), folder, Means(1))
    with pytest.raises(UsageError, match="--resume"):
        run_sweep(space(), folder, Means(2))
    with pytest.raises(UsageError, match="another space"):
        run_sweep(space(epochs=5), folder, Means(2, resume=True))


SWEEP_THAT_HANGS = """
import signal, sys
signal.signal(signal.SIGINT, signal.default_int_handler)  # ignored where the tests run in the background of a shell
from pathlib import Path
from organscope.sweep import Space, trial_process
from organscope.sweep.run import Means, run_sweep
child = (
    "import runpy; from organscope.system import die_with_parent; die_with_parent(); "
    "runpy.run_path({stand_in!r}, run_name='__main__')"
)
trial_process.PROGRAM = (sys.executable, "-c", child)
space = Space.model_validate_json({space!r})
try:
    run_sweep(space, Path({folder!r}), Means(2, resume=True))
except KeyboardInterrupt as stopped:
    sys.exit(str(stopped))
"""


def start_and_wait_for_the_first_epoch(space, folder: Path) -> subprocess.Popen:
    """A sweep in a process of its own, whose first trial hangs after an epoch."""
    code = SWEEP_THAT_HANGS.format(
        stand_in=stand_in_training.__file__, space=space.model_dump_json(by_alias=True), folder=str(folder)
    )
    running = subprocess.Popen([sys.executable, "-c", code], stderr=subprocess.PIPE, text=True)
    epochs = folder / "trials" / "0001" / "metrics.jsonl"
    wait_until(epochs.exists, seconds=300)
    return running


@pytest.mark.parametrize("signal_number", [signal.SIGKILL, signal.SIGINT])
def test_a_sweep_that_is_killed_loses_no_finished_trial(space, folder, signal_number):
    values = {"values": ["ends well", "hangs"]}
    hanging = space(sampler={"kind": "grid"}, parameters={"bundle.summary": values}, trial={"fit.learning_rate": 0.01})
    running = start_and_wait_for_the_first_epoch(hanging, folder)
    study = SweepStudy(hanging, f"sqlite:///{folder / 'study.db'}")
    training = study.trials()[1].user_attrs["training_pid"]
    running.send_signal(signal_number)
    _, errors = running.communicate(timeout=300)
    # The kernel takes a moment to end a process whose parent was killed.
    wait_until(lambda: not runs(training), seconds=10)
    if signal_number == signal.SIGINT:
        assert "1 of 2 trials are kept" in errors
    else:
        assert study.give_up_lost() == [1]
    waiting = [trial for trial in study.trials() if trial.state.name == "WAITING"]
    assert [trial.system_attrs["fixed_params"] for trial in waiting] == [{"bundle.summary": "hangs"}]
    assert [(trial.number, trial.state.name) for trial in counted(study.trials())] == [(0, "COMPLETE")]
