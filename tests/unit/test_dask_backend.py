"""A real scheduler and real workers, one of which is killed; a queueing system that starts jobs at once."""

import json
import os
import signal
import subprocess
import sys
import time
from functools import partial
from pathlib import Path

import pytest

from organscope.dask_backend import read_cluster_file
from organscope.errors import ConfigError, InputError, MissingExtraError, UsageError
from organscope.parallel import run_tasks

pytest.importorskip("distributed")


@pytest.fixture(scope="module")
def scheduler(tmp_path_factory):
    """Address of a scheduler with two workers of one thread."""
    folder = tmp_path_factory.mktemp("dask")
    address = folder / "scheduler.json"
    dask = [sys.executable, "-m", "dask"]
    quiet = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
    quiet |= {"cwd": folder, "env": os.environ | {"PYTHONPATH": os.pathsep.join(sys.path)}}
    common = ["--scheduler-file", str(address), "--no-dashboard"]
    started = [
        subprocess.Popen([*dask, "scheduler", *common, "--host", "127.0.0.1", "--port", "0"], **quiet),
        subprocess.Popen([*dask, "worker", *common, "--nthreads", "1", "--nworkers", "2"], **quiet),
    ]
    try:
        yield written_address(address)
    finally:
        for process in started:
            process.terminate()
            process.wait()


def written_address(file: Path) -> str:
    """What the scheduler writes when it is ready; for a moment the file is there and empty."""
    while True:
        try:
            return json.loads(file.read_text())["address"]
        except (FileNotFoundError, json.JSONDecodeError):
            time.sleep(0.05)


def die_once(folder: Path, number: int) -> tuple[int, int]:
    """The square of a number; during number 2 the worker is killed, but only the first time."""
    (folder / f"{number}-{time.monotonic_ns()}").touch()
    if number == 2 and not (folder / "died").exists():
        (folder / "died").touch()
        os.kill(os.getpid(), signal.SIGKILL)
    if number == 3:
        raise InputError("Expected another number, found 3.")
    return number * number


def test_each_task_ends_once_though_a_worker_is_killed(scheduler, tmp_path):
    found = list(run_tasks(partial(die_once, tmp_path), range(6), cluster=scheduler))
    assert sorted(task for task, _ in found) == [0, 1, 2, 3, 4, 5]
    assert {task: outcome.value for task, outcome in found if task != 3} == {0: 0, 1: 1, 2: 4, 4: 16, 5: 25}
    assert isinstance(dict(found)[3].error, InputError)
    assert (tmp_path / "died").exists()


def test_an_address_without_a_scheduler_is_named(monkeypatch):
    from organscope import dask_backend

    monkeypatch.setattr(dask_backend, "_CONNECT_S", 0.2)
    with pytest.raises(UsageError, match=r"Dask scheduler at tcp://127\.0\.0\.1:9"):
        list(run_tasks(str, [1], cluster="tcp://127.0.0.1:9"))


def test_workers_come_from_a_queueing_system(tmp_path, monkeypatch):
    # Like the real one it keeps the script, which is removed as soon as it returns.
    job = tmp_path / "job.sh"
    submit = f'#!/bin/bash\ncp "$1" {job}\nbash {job} >/dev/null 2>&1 &\necho Submitted batch job $!\n'
    cancel = "#!/bin/bash\npkill -P $1; kill $1\n"
    for name, text in (("sbatch", submit), ("scancel", cancel)):
        (tmp_path / name).write_text(text)
        (tmp_path / name).chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:{os.environ['PATH']}")
    table = f'cores = 1\nmemory = "1GB"\nqueue = "cpu"\nlocal_directory = "{tmp_path}"\n'
    (tmp_path / "slurm.toml").write_text(f"jobs = 1\nwait_s = 300\n[slurm]\n{table}")
    found = dict(run_tasks(abs, [-1, -2], cluster=str(tmp_path / "slurm.toml")))
    assert {task: outcome.value for task, outcome in found.items()} == {-1: 1, -2: 2}


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("jobs = 2\n", "Expected one table"),
        ("[slurm]\n[pbs]\n", "slurm and pbs"),
        ("job = 2\n[slurm]\n", "found job"),
        ("jobs = [", "Expected TOML"),
    ],
)
def test_faults_of_a_cluster_file_are_named(tmp_path, text, message):
    (tmp_path / "cluster.toml").write_text(text)
    with pytest.raises(ConfigError, match=message):
        read_cluster_file(tmp_path / "cluster.toml").system()


def test_a_missing_file_and_a_missing_system_are_named(tmp_path, monkeypatch):
    with pytest.raises(ConfigError, match="No such file"):
        read_cluster_file(tmp_path / "none.toml")
    (tmp_path / "slurm.toml").write_text("[slurm]\n")
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(UsageError, match="sbatch"):
        read_cluster_file(tmp_path / "slurm.toml").system()


def test_without_dask_the_extra_is_named(monkeypatch):
    monkeypatch.setitem(sys.modules, "distributed", None)
    monkeypatch.delitem(sys.modules, "organscope.dask_backend", raising=False)
    with pytest.raises(MissingExtraError, match=r"organscope\[cluster\]"):
        run_tasks(str, [1], cluster="tcp://127.0.0.1:9")
