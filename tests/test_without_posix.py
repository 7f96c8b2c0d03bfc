"""The commands where the names that only POSIX has are hidden from organscope, as on Windows."""

import json
import os
import signal
import subprocess
import sys
import urllib.request
from contextlib import suppress
from pathlib import Path

import numpy as np
import psutil
import pytest
from PIL import Image as PillowImage

import stand_in_training
import tiny_bundles
from living import wait_until
from web_server import free_port

HIDDEN = Path(__file__).parent / "without_posix"
COMMAND = (
    "import signal; signal.signal(signal.SIGINT, signal.default_int_handler); "
    "from organscope.cli.main import main; main()"
)
PATIENCE_S = 300
pytestmark = pytest.mark.slow


def environment() -> dict[str, str]:
    return os.environ | {"PYTHONPATH": os.pathsep.join([str(HIDDEN), *sys.path]), "OMP_NUM_THREADS": "1"}


def start(*words: object, code: str = COMMAND) -> subprocess.Popen:
    command = [sys.executable, "-c", code, *map(str, words)]
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True}
    return subprocess.Popen(command, env=environment(), **pipes)


@pytest.fixture(scope="module")
def bundles(tmp_path_factory) -> list[str]:
    folder = tmp_path_factory.mktemp("bundles")
    cells = tiny_bundles.write_tiny_segmentation(folder / "cells")
    organs = tiny_bundles.write_tiny_classification(folder / "organs")
    return ["--bundle", str(cells), "--bundle", str(organs)]


@pytest.fixture
def images(tmp_path) -> Path:
    """Three, so large that processes are started for them, and one whose name means a device."""
    folder = tmp_path / "images"
    folder.mkdir()
    pixels = np.full((2000, 2000, 3), 230, np.uint8)
    for row in range(20, 1980, 80):
        pixels[row : row + 14, 100:120] = 60
    for name in ("a.png", "b.png", "aux.png"):
        PillowImage.fromarray(pixels).save(folder / name, compress_level=1)
    return folder


def test_the_names_are_hidden():
    code = "import organscope.system as s; print(*[hasattr(s.os, 'killpg'), hasattr(s.signal, 'SIGKILL')])"
    assert start(code=code).communicate(timeout=PATIENCE_S)[0].split() == ["False", "False"]


def test_analyze_in_two_processes(images, bundles, tmp_path):
    process = start("analyze", images, "-o", tmp_path / "out", "--workers", 2, "--json", *bundles)
    stdout, stderr = process.communicate(timeout=PATIENCE_S)
    assert process.returncode == 0, stderr
    assert len(json.loads(stdout)["images"]) == 3
    assert {path.parent.name for path in (tmp_path / "out").rglob("labels.tif")} == {"a", "b", "aux_"}


def test_an_interrupt_ends_all_processes_and_leaves_nothing_half_written(images, bundles, tmp_path):
    out = tmp_path / "out"
    process = start("analyze", images, "-o", out, "--workers", 2, *bundles)
    wait_until(lambda: process.poll() is not None or any(out.glob(".*.partial")), seconds=PATIENCE_S)
    family = psutil.Process(process.pid).children(recursive=True)
    process.send_signal(signal.SIGINT)
    _, stderr = process.communicate(timeout=PATIENCE_S)
    assert process.returncode == 130, stderr
    assert "Interrupted. " in stderr
    assert "Traceback" not in stderr
    wait_until(lambda: not any(member.is_running() for member in family), seconds=60)
    assert not list(out.glob(".*.partial"))


def test_serve_answers_and_stops(bundles, tmp_path):
    pytest.importorskip("fastapi")
    port = free_port()
    process = start("serve", "--store", tmp_path / "store", "--port", port, "--threads", 1, *bundles)

    def answers() -> bool:
        assert process.poll() is None, process.stderr.read()
        with suppress(OSError):
            return urllib.request.urlopen(f"http://127.0.0.1:{port}/", timeout=5).status == 200
        return False

    wait_until(answers, seconds=PATIENCE_S)
    family = psutil.Process(process.pid).children(recursive=True)
    process.send_signal(signal.SIGINT)
    process.communicate(timeout=PATIENCE_S)
    wait_until(lambda: not any(member.is_running() for member in family), seconds=60)


SWEEP = """
import signal, sys
signal.signal(signal.SIGINT, signal.default_int_handler)
from pathlib import Path
from organscope.sweep import Space, report, trial_process
from organscope.sweep.run import Means, run_sweep
report.render_sweep_page = lambda study, space, table: "<!doctype html>"
child = (
    "import runpy; from organscope.system import die_with_parent, hear_interrupts; hear_interrupts(); "
    f"die_with_parent(); runpy.run_path({sys.argv[1]!r}, run_name='__main__')"
)
trial_process.PROGRAM = (sys.executable, "-c", child)
space = Space.model_validate({
    "name": "fates", "task": "segmentation", "config": sys.argv[2], "sampler": {"kind": "grid"}, "epochs": 3,
    "parameters": {"bundle.summary": {"values": ["ends well", "hangs"]}}, "trial": {"fit.learning_rate": 0.01},
    "pruner": {"kind": "none"}, "max_minutes": 0.1,
})
table = run_sweep(space, Path(sys.argv[3]), Means(2)).table
print(table["state"].tolist())
"""


def test_a_sweep_trains_and_ends_a_training_that_takes_too_long(tmp_path):
    pytest.importorskip("optuna")
    config = tmp_path / "base.toml"
    config.write_text(stand_in_training.CONFIG, encoding="utf-8")
    process = start(stand_in_training.__file__, config, tmp_path / "sweep", code=SWEEP)
    stdout, stderr = process.communicate(timeout=PATIENCE_S)
    assert process.returncode == 0, stderr
    assert stdout.count("complete") == 2, stdout
