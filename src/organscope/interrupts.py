"""Ctrl-C goes to every process of a terminal; only the one that started the others is to hear it."""

import signal
from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def held_back_interrupts() -> Iterator[None]:
    """Hold Ctrl-C back, also from the processes that are started meanwhile, for as long as they live.

    Without that a worker that is still importing would print a traceback. Windows has no signal masks to inherit:
    there nothing is held back.
    """
    if not hasattr(signal, "pthread_sigmask"):
        yield
        return
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def leave_interrupts_to_parent() -> None:
    """In a process that another one started: Ctrl-C is not for it."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
