"""One training as a subprocess: started, followed through the lines that it writes, stopped, and judged."""

import json
import os
import re
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from organscope.system import end_group, killed_by, own_group

PROGRAM = (sys.executable, "-m", "organscope.sweep.trial_entry")
POLL_SECONDS = 0.2
_STOP_SECONDS = 15.0
_TAIL_BYTES = 20_000
_OUT_OF_MEMORY = re.compile(r"MemoryError|Cannot allocate memory|not enough memory|[Oo]ut of memory|\bOOM\b|bad_alloc")


class TrialProcess:
    """`organscope train` in a process group of its own; what it prints goes to `log.txt` in its run folder.

    Args:
        words: Arguments of `organscope`.
        folder: Run folder; exists.
        threads: How many threads it may compute with. Default: all cores.
    """

    def __init__(self, words: Sequence[str], folder: Path, threads: int | None = None) -> None:
        self._metrics = folder / "metrics.jsonl"
        self._log = folder / "log.txt"
        self._seen = 0
        with self._log.open("wb") as log:
            self._process = subprocess.Popen(
                [*PROGRAM, *words],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                env=os.environ | _thread_limits(threads),
                **own_group(),
            )

    @property
    def pid(self) -> int:
        """Of the training."""
        return self._process.pid

    def rows(self) -> Iterator[list[dict[str, Any]]]:
        """The epochs that were written since the last look, again and again, until the training has ended."""
        while True:
            ended = self._wait(POLL_SECONDS)
            yield self._new_rows()
            if ended:
                return

    def stop(self) -> None:
        """Ask it to end, as Ctrl-C would, and kill it with all that it started if it does not."""
        end_group(self._process, _STOP_SECONDS, signal.SIGINT)

    def failure(self) -> str | None:
        """Why it ended, in a line; nothing where it ended well."""
        code = self._process.returncode
        if code == 0:
            return None
        tail = self._tail()
        if (name := killed_by(code)) is not None:
            return f"killed by {name}" + (", as the system does when memory runs out" if name == "SIGKILL" else "")
        last = next((line for line in reversed(tail) if "rror" in line), tail[-1] if tail else "nothing was printed")
        if any(_OUT_OF_MEMORY.search(line) for line in tail):
            return f"out of memory: {last[:300]}"
        return f"exit code {code}: {last[:300]}"

    def _wait(self, seconds: float) -> bool:
        try:
            self._process.wait(seconds)
        except subprocess.TimeoutExpired:
            return False
        return True

    def _new_rows(self) -> list[dict[str, Any]]:
        # The file is replaced as a whole, so a line is never half there.
        try:
            lines = self._metrics.read_text(encoding="utf-8").splitlines()
        except FileNotFoundError:
            return []
        new, self._seen = lines[self._seen :], len(lines)
        return [json.loads(line) for line in new]

    def _tail(self) -> list[str]:
        with self._log.open("rb") as log:
            log.seek(max(0, self._log.stat().st_size - _TAIL_BYTES))
            text = log.read().decode("utf-8", "replace")
        return [line.strip() for line in text.splitlines() if line.strip()]


def clear_state(folder: Path) -> None:
    """Remove what only a resumed training needs: weights and optimizer, hundreds of megabytes a trial."""
    shutil.rmtree(folder / "state", ignore_errors=True)


def _thread_limits(threads: int | None) -> Mapping[str, str]:
    if threads is None:
        return {}
    names = ("OMP_NUM_THREADS", "TF_NUM_INTRAOP_THREADS", "NUMBA_NUM_THREADS")
    return dict.fromkeys(names, str(threads))


def process_started(pid: int) -> float | None:
    """When a process was started, in seconds since 1970; nothing where it is gone. Numbers of processes come again."""
    import psutil

    try:
        return psutil.Process(pid).create_time()
    except psutil.Error:
        return None


def now() -> float:
    """Seconds since 1970."""
    return time.time()
