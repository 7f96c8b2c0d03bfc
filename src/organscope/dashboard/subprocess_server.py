"""The pages of MLflow and Optuna beside ours: started on free ports of this machine, ended with us."""

import importlib.util
import os
import socket
import subprocess
import sys
import threading
import time
from contextlib import suppress
from typing import Literal

_State = Literal["missing", "stopped", "starting", "ready", "failed"]
LOOPBACK = "127.0.0.1"
_LOOK_EVERY_S = 0.2
_QUIET = {"MLFLOW_DISABLE_TELEMETRY": "true", "MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false"}
"""No messages home, and no workers for the jobs that only tracing has."""

_STOP_PATIENCE_S = 8.0


class ServerProcess:
    """One server of another program.

    Args:
        label: What a person calls it.
        package: That must be installed.
        words: Words of the command after the interpreter's; `{port}` stands for the port.
        missing: What to say where the package is not installed.

    Attributes:
        planned: It will be started without being asked for.
    """

    def __init__(self, label: str, package: str, words: list[str], missing: str) -> None:
        self.label = label
        self.missing = missing
        self.planned = False
        self._words = words
        self._installed = importlib.util.find_spec(package) is not None
        self._lock = threading.Lock()
        self._process: subprocess.Popen | None = None
        self._port = 0
        self._answers = False

    @property
    def address(self) -> str | None:
        """Where it is open; None while it is not."""
        return f"http://{LOOPBACK}:{self._port}/" if self._answers else None

    @property
    def state(self) -> _State:
        """How far it is."""
        if not self._installed:
            return "missing"
        if self._process is None:
            return "starting" if self.planned else "stopped"
        if self._process.poll() is not None:
            return "failed"
        return "ready" if self._answers else "starting"

    @property
    def pid(self) -> int | None:
        """Of the process that keeps it."""
        return None if self._process is None else self._process.pid

    def start(self) -> None:
        """Start it where it is installed and does not run yet; it is ready some seconds later."""
        with self._lock:
            if not self._installed or (self._process is not None and self._process.poll() is None):
                return
            if self._process is not None and self._process.stdin is not None:
                self._process.stdin.close()
            self._answers = False
            self._port = _free_port()
            words = [word.replace("{port}", str(self._port)) for word in self._words]
            # The keeper ends it when this process ends, however that may happen.
            self._process = subprocess.Popen(
                [sys.executable, "-m", "organscope.dashboard.reaper", sys.executable, *words],
                stdin=subprocess.PIPE,
                stdout=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL,
                env=os.environ | _QUIET,
            )
            threading.Thread(target=self._wait_for_answer, args=(self._process,), daemon=True).start()

    def stop(self) -> None:
        """End it."""
        with self._lock:
            process, self._process, self._answers = self._process, None, False
        if process is None:
            return
        if process.stdin is not None:
            with suppress(OSError):
                process.stdin.close()
        try:
            process.wait(_STOP_PATIENCE_S)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()

    def _wait_for_answer(self, process: subprocess.Popen) -> None:
        # On a machine that trains, MLflow takes minutes to import.
        while process.poll() is None:
            with suppress(OSError), socket.create_connection((LOOPBACK, self._port), timeout=1):
                self._answers = process is self._process
                return
            time.sleep(_LOOK_EVERY_S)


def mlflow_page(address: str) -> ServerProcess:
    """MLflow's own page over a store."""
    words = ["-m", "mlflow", "server", "--backend-store-uri", address, "--host", LOOPBACK, "--port", "{port}"]
    return ServerProcess("MLflow", "mlflow", [*words, "--workers", "1"], "MLflow is not installed.")


def optuna_page(address: str) -> ServerProcess:
    """optuna-dashboard over a study."""
    command = "import sys; from optuna_dashboard._cli import main; sys.argv[0] = 'optuna-dashboard'; main()"
    words = ["-c", command, address, "--host", LOOPBACK, "--port", "{port}", "--server", "wsgiref", "--quiet"]
    missing = "optuna-dashboard is not installed: pip install optuna-dashboard, and start this page again."
    return ServerProcess("optuna-dashboard", "optuna_dashboard", words, missing)


def _free_port() -> int:
    """A port that nobody listens on."""
    with socket.socket() as probe:
        probe.bind((LOOPBACK, 0))
        return probe.getsockname()[1]
