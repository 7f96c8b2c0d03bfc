"""A real server in a process of its own, as `organscope serve` starts it."""

import os
import socket
import subprocess
import sys
import urllib.request
from contextlib import suppress
from pathlib import Path

from organscope.client import Client
from web_pictures import until

STOP_S = 10


class Server:
    """One run of `organscope serve` on a store that may outlive it."""

    def __init__(self, store: Path, *options: str) -> None:
        self.port = free_port()
        self.address = f"http://127.0.0.1:{self.port}"
        command = [sys.executable, "-c", "from organscope.cli.main import main; main()", "serve"]
        command += ["--store", str(store), "--port", str(self.port), "--threads", "1", *options]
        environment = {**os.environ, "OMP_NUM_THREADS": "1"}
        self.process = subprocess.Popen(command, env=environment, stderr=subprocess.PIPE, text=True)
        try:
            until(self._answers)
        except BaseException:
            self.kill()
            raise
        self.client = Client(self.address)

    def _answers(self) -> bool:
        assert self.process.poll() is None, self.process.stderr.read()
        # Also a time that ran out: the machine may be busy with other things.
        with suppress(OSError):
            urllib.request.urlopen(self.address + "/login", timeout=5).close()
            return True
        return False

    def kill(self) -> None:
        """As a power cut: nothing is tidied up."""
        self.process.kill()
        self.process.wait()
        self.process.stderr.close()

    def stop(self) -> None:
        """As Ctrl-C."""
        self.process.terminate()
        try:
            self.process.wait(STOP_S)
            self.process.stderr.close()
        except subprocess.TimeoutExpired:
            self.kill()


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]
