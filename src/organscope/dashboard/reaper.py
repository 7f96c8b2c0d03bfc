"""Runs a command and ends it, with all that it started, when whoever started the keeper is gone.

    python -m organscope.dashboard.reaper COMMAND...

The keeper reads its standard input, which ends with the process that holds the other end, also where that is killed.
"""

import os
import signal
import subprocess
import sys
import threading
import time

_NICE = 5
_PATIENCE_S = 4.0
_LOOK_EVERY_S = 0.1


def main(command: list[str]) -> int:
    """Keep a command until standard input ends or the command does; its exit code."""
    gone = threading.Event()
    # Ctrl-C in a terminal reaches everybody: the page ends first, and tells us.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    # A closed terminal or a stopped service reaches us too, but not the command, which has a session of its own.
    for number in (signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, lambda *_: gone.set())
    process = subprocess.Popen(
        command, stdin=subprocess.DEVNULL, start_new_session=True, preexec_fn=lambda: os.nice(_NICE)
    )
    threading.Thread(target=_wait_for_end, args=(gone,), daemon=True).start()
    while process.poll() is None and not gone.wait(_LOOK_EVERY_S):
        pass
    _end(process)
    return process.returncode or 0


def _wait_for_end(gone: threading.Event) -> None:
    sys.stdin.buffer.read()
    gone.set()


def _end(process: subprocess.Popen) -> None:
    for number in (signal.SIGTERM, signal.SIGKILL):
        try:
            os.killpg(process.pid, number)
        except ProcessLookupError:
            break
        end = time.monotonic() + _PATIENCE_S
        while process.poll() is None and time.monotonic() < end:
            time.sleep(_LOOK_EVERY_S)
    process.wait()


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
