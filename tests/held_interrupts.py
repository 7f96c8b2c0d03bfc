"""Whether a process is reached by Ctrl-C, asked inside of it."""

import signal

import pytest

needs_signal_masks = pytest.mark.skipif(not hasattr(signal, "pthread_sigmask"), reason="Windows has no signal masks")


def holds_back_interrupts(_: object = None) -> bool:
    """Whether Ctrl-C is held back from this process, as it must be even while a worker starts."""
    return signal.SIGINT in signal.pthread_sigmask(signal.SIG_BLOCK, [])
