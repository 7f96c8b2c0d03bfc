"""Real processes that return, raise, die and are interrupted."""

import os
import pickle
import signal
import subprocess
import sys
import time
from functools import partial
from pathlib import Path

import pytest

from held_interrupts import holds_back_interrupts, needs_signal_masks
from living import runs, wait_until
from organscope import parallel
from organscope.errors import InputError, UsageError
from organscope.parallel import run_tasks, threads_per_worker


def square_or_refuse(number):
    if number == 3:
        raise InputError("Expected another number, found 3.")
    return number * number, os.getpid()


def die_until(folder: Path, n_deaths: int, name: str) -> str:
    """Kill this process, as a lack of memory would, for so many times on tasks whose name says it."""
    marks = list(folder.glob(f"{name}-*"))
    if name.startswith("deadly") and len(marks) < n_deaths:
        (folder / f"{name}-{len(marks)}").touch()
        os.kill(os.getpid(), signal.SIGKILL)
    return name


class UnpicklableError(Exception):
    def __init__(self, one, two):
        super().__init__(f"{one} {two}")


def raise_unpicklable(task):
    raise UnpicklableError("cannot", "travel")


def wait_to_be_interrupted(folder: Path, name: str) -> None:
    try:
        (folder / f"{name}.begun").touch()
        while True:
            time.sleep(0.01)
    finally:
        (folder / f"{name}.cleaned").touch()


def begun_then_wait(folder: Path, name: str) -> None:
    """The first task waits until the second has begun, and ends; the second goes on."""
    if name == "second":
        wait_to_be_interrupted(folder, name)
    while not (folder / "second.begun").exists():
        time.sleep(0.01)


@needs_signal_masks
def test_ctrl_c_reaches_the_parent_alone_from_the_first_moment_of_a_process():
    held_back = [outcome.result() for _, outcome in run_tasks(holds_back_interrupts, range(3), workers=2)]
    assert held_back == [True] * 3
    assert not holds_back_interrupts()


@pytest.mark.parametrize("workers", [1, 2])
def test_every_task_has_one_outcome_and_an_error_is_one(workers):
    found = dict(run_tasks(square_or_refuse, iter(range(5)), workers=workers))
    assert sorted(found) == [0, 1, 2, 3, 4]
    assert {number: outcome.value[0] for number, outcome in found.items() if number != 3} == {0: 0, 1: 1, 2: 4, 4: 16}
    assert str(found[3].error) == "Expected another number, found 3."
    assert "square_or_refuse" in found[3].trace
    with pytest.raises(InputError):
        found[3].result()
    pids = {outcome.value[1] for outcome in found.values() if outcome.error is None}
    assert (pids == {os.getpid()}) == (workers == 1)


def test_one_worker_takes_tasks_in_order_and_lazily():
    taken = []
    tasks = (taken.append(number) or number for number in range(3))
    run = run_tasks(str, tasks)
    assert next(run)[1].value == "0"
    assert taken == [0]


def test_a_death_costs_nothing_but_too_many_during_one_task_fail_that_task(tmp_path, monkeypatch):
    monkeypatch.setattr(parallel, "_MOST_DEATHS", 2)
    (tmp_path / "deadly once-0").touch()  # has died before, so it dies once more
    found = dict(run_tasks(partial(die_until, tmp_path, 2), ["deadly once", "fine"], workers=2))
    assert {task: outcome.value for task, outcome in found.items()} == {"deadly once": "deadly once", "fine": "fine"}
    ((_, outcome),) = run_tasks(partial(die_until, tmp_path, 9), ["deadly always"], workers=2)
    assert isinstance(outcome.error, InputError)
    assert "died 2 times" in str(outcome.error)


def test_an_error_that_cannot_be_pickled_is_named():
    ((_, outcome),) = run_tasks(raise_unpicklable, ["task"], workers=2)
    assert str(outcome.error) == "UnpicklableError: cannot travel"


def test_leaving_early_lets_the_tasks_at_hand_clean_up(tmp_path):
    run = run_tasks(partial(begun_then_wait, tmp_path), ["first", "second"], workers=2)
    assert next(run)[0] == "first"
    run.close()
    assert (tmp_path / "second.cleaned").exists()


class Prepared:
    """Takes long to prepare, and says that it is at it."""

    def __init__(self, folder: Path, seconds: float) -> None:
        self.folder, self.seconds = folder, seconds

    def prepare(self) -> None:
        (self.folder / f"{os.getpid()}.preparing").touch()
        time.sleep(self.seconds)

    def __call__(self, task: int) -> int:
        return os.getpid()


def test_a_team_prepares_while_the_caller_does_something_else(tmp_path):
    with parallel.ProcessPool(pickle.dumps(Prepared(tmp_path, 0.0)), 2, 1) as team:
        assert not team.is_ready
        found = {outcome.value for _, outcome in team.run(range(6))}
        assert team.is_ready
    assert {f"{pid}.preparing" for pid in found} <= {path.name for path in tmp_path.iterdir()}
    assert len(list(tmp_path.iterdir())) == 2


def test_a_team_that_is_no_longer_needed_stops_preparing(tmp_path):
    begun = time.monotonic()
    with parallel.ProcessPool(pickle.dumps(Prepared(tmp_path, 600.0)), 1, 1):
        wait_until(lambda: len(list(tmp_path.iterdir())) == 1, seconds=120)
    assert time.monotonic() - begun < 300


def test_processes_do_not_outlive_a_parent_that_is_killed(tmp_path):
    script = (
        "import sys; from functools import partial; from pathlib import Path; from organscope.parallel import "
        "run_tasks\nfrom test_executors import say_and_wait\n"
        "if __name__ == '__main__':\n    list(run_tasks(partial(say_and_wait, Path(sys.argv[1])), [1, 2], workers=2))\n"
    )
    (tmp_path / "parent.py").write_text(script)
    command = [sys.executable, str(tmp_path / "parent.py"), str(tmp_path)]
    paths = os.pathsep.join([str(Path(__file__).parent), *sys.path])
    with subprocess.Popen(command, env=os.environ | {"PYTHONPATH": paths}) as parent:
        pids = [int(_content(tmp_path / f"{task}.pid")) for task in (1, 2)]
        parent.kill()
    wait_until(lambda: not any(runs(pid) for pid in pids), seconds=120)


def say_and_wait(folder: Path, task: int) -> None:
    (folder / f"{task}.tmp").write_text(str(os.getpid()))
    (folder / f"{task}.tmp").rename(folder / f"{task}.pid")
    time.sleep(60)


def _content(path: Path) -> str:
    wait_until(path.exists, seconds=120)
    return path.read_text()


def test_workers_and_cluster_exclude_each_other():
    with pytest.raises(UsageError, match="both"):
        run_tasks(str, [1], workers=2, cluster="tcp://somewhere:8786")


def test_threads_are_divided():
    assert threads_per_worker(10_000) == 1
    assert threads_per_worker(1) >= threads_per_worker(2)
