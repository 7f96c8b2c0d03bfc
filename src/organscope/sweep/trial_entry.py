"""`python -m organscope.sweep.trial_entry train ...`: the organscope command, in a process that dies with the sweep."""

import ctypes
import os
import runpy
import signal
import sys

_PR_SET_PDEATHSIG = 1
"""Of prctl(2): which signal this process gets when its parent dies."""


def die_with_parent() -> None:
    """Where the system can, be killed when the sweep is, so that no training goes on that nobody waits for."""
    if not sys.platform.startswith("linux"):
        return
    parent = os.getppid()
    ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
    if os.getppid() != parent:
        # The sweep died before it could be asked for.
        os.kill(os.getpid(), signal.SIGKILL)


if __name__ == "__main__":
    # A sweep in the background of a shell ignores Ctrl-C, and its children would too.
    signal.signal(signal.SIGINT, signal.default_int_handler)
    die_with_parent()
    runpy.run_module("organscope", run_name="__main__", alter_sys=True)
