"""Work in several processes."""

import signal

import pytest

from organscope.dataset.parallel import run_parallel


def holds_back_interrupts(_: int) -> bool:
    """Whether Ctrl-C reaches this process; it must not even while the process starts."""
    return signal.SIGINT in signal.pthread_sigmask(signal.SIG_BLOCK, [])


@pytest.mark.skipif(not hasattr(signal, "pthread_sigmask"), reason="Windows has no signal masks")
def test_ctrl_c_reaches_the_parent_alone_from_the_first_moment_of_a_worker():
    assert dict(run_parallel(holds_back_interrupts, range(3), workers=2)) == {0: True, 1: True, 2: True}
    assert not holds_back_interrupts(0)
