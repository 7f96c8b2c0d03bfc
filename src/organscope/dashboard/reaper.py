"""Runs a command and ends it, with all that it started, when whoever started the keeper is gone.

    python -m organscope.dashboard.reaper COMMAND...

The keeper reads its standard input, which ends with the process that holds the other end, also where that is killed.
"""

import signal
import subprocess
import sys
import threading

from organscope.system import end_group, end_signals, leave_interrupts_to_parent, lower_priority, own_group

_PATIENCE_S = 4.0
_LOOK_EVERY_S = 0.1


def main(command: list[str]) -> int:
    """Keep a command until standard input ends or the command does; its exit code."""
    gone = threading.Event()
    # Ctrl-C in a terminal reaches everybody: the page ends first, and tells us.
    leave_interrupts_to_parent()
    # A closed terminal or a stopped service reaches us too, but not the command, which has a session of its own.
    for number in end_signals():
        signal.signal(number, lambda *_: gone.set())
    lower_priority()
    process = subprocess.Popen(command, stdin=subprocess.DEVNULL, **own_group())
    threading.Thread(target=_wait_for_end, args=(gone,), daemon=True).start()
    while process.poll() is None and not gone.wait(_LOOK_EVERY_S):
        pass
    end_group(process, _PATIENCE_S)
    return process.returncode or 0


def _wait_for_end(gone: threading.Event) -> None:
    sys.stdin.buffer.read()
    gone.set()


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
