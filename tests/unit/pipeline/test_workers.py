"""Several processes write what one writes."""

import re
from pathlib import Path

import pytest
from PIL import Image as PillowImage

from organscope.errors import UsageError
from organscope.parallel import ProcessPool
from organscope.pipeline import Listener, Models, ReadOptions, WorkerConfig, plan_run, run_plan
from organscope.pipeline.image import RemoteAttempt
from organscope.pipeline.models import portable
from organscope.pipeline.results import Failure, ImageResult


@pytest.fixture
def pictures(tmp_path, colon) -> Path:
    folder = tmp_path / "pictures"
    folder.mkdir()
    for number in range(4):
        PillowImage.fromarray(colon[64 * number : 64 * number + 64, :96]).save(folder / f"colon {number}.png")
    (folder / "broken 2.png").write_bytes((folder / "colon 2.png").read_bytes()[:300])
    return folder


class Ends(Listener):
    def __init__(self) -> None:
        self.ended = 0

    def image_ended(self, outcome) -> None:
        self.ended += 1


def written(out: Path) -> dict[str, bytes]:
    """Every file by its name, without the times that some hold."""
    found = {path.relative_to(out).as_posix(): path.read_bytes() for path in out.rglob("*") if path.is_file()}
    found["report.html"] = re.sub(rb"\d{4}-\d\d-\d\d[^<]*", b"", found["report.html"])
    found["summary.csv"] = b"\n".join(line.rpartition(b",")[0] for line in found["summary.csv"].splitlines())
    return found


def test_two_processes_write_what_one_writes(tmp_path, pictures, models, monkeypatch):
    alone = run_plan(plan_run([pictures], tmp_path / "one"), models)
    monkeypatch.chdir(tmp_path)
    listener = Ends()
    workforce = WorkerConfig(workers=2, pays_s=0.0)
    several = run_plan(plan_run([pictures], "two"), models, listener=listener, workforce=workforce)
    assert listener.ended == 5
    assert [image.target for image in several.images] == [image.target for image in alone.images]
    assert several.failures == alone.failures
    assert len(several.failures) == 1
    expected, found = written(tmp_path / "one"), written(tmp_path / "two")
    assert found.keys() == expected.keys()
    assert [name for name in expected if found[name] != expected[name]] == []
    assert several.peak_memory_mb >= alone.peak_memory_mb


def test_few_small_images_start_no_processes(tmp_path, pictures, models, monkeypatch):
    monkeypatch.setattr("organscope.pipeline.workers.ProcessPool", None)
    result = run_plan(plan_run([pictures], tmp_path / "out"), models, workforce=WorkerConfig(workers=2))
    assert len(result.images) == 4


@pytest.mark.parametrize(("large_px", "pays_s", "n_left"), [(64 * 96, 30.0, 5), (64 * 97, 1e-6, 4)])
def test_processes_start_where_they_pay(tmp_path, pictures, models, monkeypatch, large_px, pays_s, n_left):
    """At once for large images, or after the first that took long."""
    asked = []

    class Ready:
        is_ready = True

        def __init__(self, function, workers, threads):
            self.workers = workers

        def __enter__(self):
            return self

        def __exit__(self, *_):
            pass

        def run(self, targets):
            asked.append((len(targets), self.workers))
            yield from ()

    monkeypatch.setattr("organscope.pipeline.workers.ProcessPool", Ready)
    monkeypatch.setattr("organscope.pipeline.workers.LARGE_PX", large_px)
    run_plan(plan_run([pictures], tmp_path / "out"), models, workforce=WorkerConfig(workers=8, pays_s=pays_s))
    assert asked == [(n_left, n_left)]


def test_images_are_worked_on_here_until_the_processes_are_ready(tmp_path, pictures, models, monkeypatch):
    class NeverReady(ProcessPool):
        is_ready = False

        def run(self, targets):
            assert targets == []
            yield from ()

    monkeypatch.setattr("organscope.pipeline.workers.ProcessPool", NeverReady)
    result = run_plan(plan_run([pictures], tmp_path / "out"), models, workforce=WorkerConfig(workers=2, pays_s=0.0))
    assert (len(result.images), len(result.failures)) == (4, 1)


def test_another_process_names_images_as_the_plan_does(tmp_path, pictures, models, monkeypatch):
    """A worker of a cluster has another working folder."""
    monkeypatch.chdir(tmp_path)
    plan = plan_run(["pictures"], "out")
    remote = RemoteAttempt(plan.out, portable(Models(cells=models.cells), 1), ReadOptions(), tmp_path)
    (tmp_path / "elsewhere").mkdir()
    monkeypatch.chdir(tmp_path / "elsewhere")
    outcomes = [remote(target).outcome for target in plan.targets[:2]]
    assert isinstance(outcomes[0], Failure)
    assert outcomes[0].name == "pictures/broken 2.png"
    assert str(tmp_path) not in outcomes[0].message
    assert isinstance(outcomes[1], ImageResult)
    assert outcomes[1].target == plan.targets[1]
    assert (tmp_path / "out" / plan.targets[1].stem / "cells.parquet").is_file()


def test_threads_are_shared_unless_given():
    assert WorkerConfig(workers=10_000).threads_each == 1
    assert WorkerConfig(workers=2, threads=3).threads_each == 3
    assert WorkerConfig(cluster="tcp://somewhere:8786").threads_each == 1
    with pytest.raises(UsageError, match="both"):
        WorkerConfig(workers=2, cluster="tcp://somewhere:8786")
