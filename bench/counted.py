"""A command as a process of its own, with what the operating system counted for it."""

import os
import subprocess
import sys
import time
from dataclasses import dataclass


@dataclass(frozen=True)
class Counted:
    """What a process that has ended said and needed.

    Attributes:
        said: What it wrote to the stream that was asked for.
        wall_s: From its start to its end.
        processor_s: Of all its threads, in user and system mode.
        peak_memory_mb: Largest resident set.
    """

    said: str
    wall_s: float
    processor_s: float
    peak_memory_mb: float


def run_counted(words: list[str], **streams: int) -> Counted:
    """Run a command to its end, and end with it where it fails.

    Args:
        words: The command.
        streams: Those of `subprocess.Popen`, at most one of them a pipe.
    """
    started = time.perf_counter()
    with subprocess.Popen(words, text=True, **streams) as process:
        pipe = process.stdout or process.stderr
        said = pipe.read() if pipe else ""
        _, status, usage = os.wait4(process.pid, 0)
        process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode != 0:
        sys.exit(f"{' '.join(words)} ended with exit code {process.returncode}. {said}")
    memory_mb = usage.ru_maxrss * (1 if sys.platform == "darwin" else 1024) / 1e6
    wall_s = time.perf_counter() - started
    return Counted(said, wall_s, usage.ru_utime + usage.ru_stime, memory_mb)
