"""Servers of other programs: started on a free port, and gone with whoever started them."""

import signal
import subprocess
import sys
import time
import urllib.request
from collections.abc import Callable

import psutil
import pytest

from organscope.dashboard.subprocess_server import ServerProcess

PATIENCE_S = 60.0
SERVER = ["-m", "http.server", "{port}", "--bind", "127.0.0.1"]
OWNER = """
import sys, time
from organscope.dashboard.subprocess_server import ServerProcess
companion = ServerProcess("a", "json", sys.argv[1:], "")
companion.start()
print(companion.pid, flush=True)
time.sleep(600)
"""


def until(holds: Callable[[], bool]) -> None:
    end = time.monotonic() + PATIENCE_S
    while not holds():
        assert time.monotonic() < end
        time.sleep(0.05)


def test_it_answers_and_ends():
    companion = ServerProcess("a", "json", SERVER, "")
    assert companion.state == "stopped"
    companion.start()
    until(lambda: companion.state == "ready")
    assert urllib.request.urlopen(companion.address).status == 200
    family = [psutil.Process(companion.pid), *psutil.Process(companion.pid).children(recursive=True)]
    companion.start()
    assert companion.pid == family[0].pid
    companion.stop()
    until(lambda: not any(process.is_running() for process in family))
    assert companion.address is None


def test_it_ends_when_its_owner_is_killed():
    owner = subprocess.Popen([sys.executable, "-c", OWNER, *SERVER], stdout=subprocess.PIPE, text=True)
    keeper = psutil.Process(int(owner.stdout.readline()))
    until(lambda: keeper.children())
    family = [keeper, *keeper.children(recursive=True)]
    owner.kill()
    owner.wait()
    owner.stdout.close()
    until(lambda: not any(process.is_running() and process.status() != "zombie" for process in family))


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP])
def test_it_ends_when_its_keeper_is_told_to(number):
    companion = ServerProcess("a", "json", SERVER, "")
    companion.start()
    until(lambda: companion.state == "ready")
    family = psutil.Process(companion.pid).children(recursive=True)
    psutil.Process(companion.pid).send_signal(number)
    until(lambda: not any(process.is_running() and process.status() != "zombie" for process in family))
    companion.stop()


def test_one_that_fails_says_so_and_can_be_started_again():
    companion = ServerProcess("a", "json", ["-c", "raise SystemExit(3)"], "")
    companion.start()
    until(lambda: companion.state == "failed")
    companion.start()
    until(lambda: companion.state == "failed")
    companion.stop()


@pytest.mark.parametrize("package", ["no_such_package"])
def test_a_package_that_is_missing_is_said(package):
    companion = ServerProcess("a", package, SERVER, "It is not installed: pip install it.")
    companion.start()
    assert companion.state == "missing"
    assert companion.pid is None
    companion.stop()
