"""What differs between systems: file names, the end of processes, and that no other module asks."""

import ast
import os
import signal
import subprocess
import sys
from pathlib import Path

import psutil
import pytest

import organscope
from living import runs, wait_until
from organscope import system
from without_posix.sitecustomize import MODULES, NAMES

SLEEPS = "import time; print('begun', flush=True); time.sleep(600)"
DEAF = "import signal; signal.signal(signal.SIGTERM, signal.SIG_IGN); " + SLEEPS
WITH_CHILD = f"import subprocess, sys; child = subprocess.Popen([sys.executable, '-c', {SLEEPS!r}]); child.wait()"


@pytest.mark.parametrize(
    ("name", "portable"),
    [
        ("kidney 3", "kidney 3"),
        ("con", "con_"),
        ("NUL.tif", "NUL_.tif"),
        ("aux.ome.tif", "aux_.ome.tif"),
        ("Lpt1 .png", "Lpt1 _.png"),
        ("console", "console"),
        ("com10", "com10"),
        ("a.", "a_"),
        ("a. .", "a___"),
        (".hidden", ".hidden"),
    ],
)
def test_names_that_windows_refuses_are_changed_on_every_system(name, portable):
    assert system.portable_name(name, on_windows=False) == portable
    assert system.portable_name(portable) == portable


def test_characters_that_windows_refuses_are_changed_there():
    assert system.portable_name('a<b>:"c|d?e*f\\g.png', on_windows=True) == "a_b___c_d_e_f_g.png"
    assert system.portable_name("a:b", on_windows=False) == "a:b"


@pytest.fixture(params=["with process groups", "without"])
def groups(request, monkeypatch) -> None:
    """Both ways to end a family of processes."""
    if request.param == "without":
        monkeypatch.delattr(os, "killpg", raising=False)


@pytest.mark.usefixtures("groups")
@pytest.mark.parametrize("code", [SLEEPS, DEAF])
def test_a_process_that_is_ended_has_ended(code):
    with subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, **system.own_group()) as process:
        process.stdout.readline()
        system.end_group(process, patience_s=0.5)
        assert system.killed_by(process.returncode) == ("SIGKILL" if code == DEAF else "SIGTERM")


@pytest.mark.usefixtures("groups")
def test_what_a_process_started_ends_with_it():
    with subprocess.Popen([sys.executable, "-c", WITH_CHILD], stdout=subprocess.PIPE, **system.own_group()) as process:
        process.stdout.readline()
        family = psutil.Process(process.pid).children()
        assert family
        system.end_group(process, patience_s=5)
    wait_until(lambda: not any(runs(member.pid) for member in family), seconds=30)


def test_words_for_the_end_of_a_process():
    assert system.killed_by(0) is system.killed_by(1) is system.killed_by(None) is None
    assert system.killed_by(-int(signal.SIGTERM)) == "SIGTERM"
    assert system.killed_by(-250) == "signal 250"


PARENT = """
import subprocess, sys
child = subprocess.Popen([sys.executable, "-c", sys.argv[1]], stdout=subprocess.PIPE)
child.stdout.readline()
print(child.pid, flush=True)
child.wait()
"""


@pytest.mark.parametrize("way", ["the kernel", "a thread"])
def test_a_process_dies_with_its_parent(way):
    child = "from organscope import system; "
    if way == "a thread":
        child += "system.ctypes = object(); "  # no C library, as on Windows
    child += "system.die_with_parent(); " + SLEEPS
    with subprocess.Popen([sys.executable, "-c", PARENT, child], stdout=subprocess.PIPE, text=True) as parent:
        pid = int(parent.stdout.readline())
        assert runs(pid)
        parent.kill()
    wait_until(lambda: not runs(pid), seconds=60)


def test_memory_and_cores_have_sensible_values(monkeypatch):
    assert 1 <= system.usable_cores() <= os.cpu_count()
    measured = system.peak_memory_mb()
    monkeypatch.setitem(sys.modules, "resource", None)
    assert 10 < system.peak_memory_mb() <= 2 * measured
    assert 1e8 < system.memory_bytes() <= psutil.virtual_memory().total


def _posix_names(path: Path) -> list[str]:
    tree = ast.parse(path.read_text(encoding="utf-8"))
    names = []
    for node in ast.walk(tree):
        if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name):
            names += [f"{node.value.id}.{node.attr}"] if node.attr in NAMES.get(node.value.id, ()) else []
        elif isinstance(node, ast.Import):
            names += [alias.name for alias in node.names if alias.name in MODULES]
        elif isinstance(node, ast.ImportFrom) and node.module in NAMES:
            names += [alias.name for alias in node.names if alias.name in NAMES[node.module]]
        elif isinstance(node, ast.keyword) and node.arg in {"start_new_session", "preexec_fn"}:
            names.append(node.arg)
    return names


def test_calls_that_some_system_lacks_stand_in_one_module():
    source = Path(organscope.__file__).parent
    found = {path.relative_to(source).as_posix(): _posix_names(path) for path in source.rglob("*.py")}
    assert {name for name, calls in found.items() if calls} == {"system.py"}
