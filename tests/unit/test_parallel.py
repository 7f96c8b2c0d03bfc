"""Work in several processes."""

from held_interrupts import holds_back_interrupts, needs_signal_masks
from organscope.parallel import run_parallel


@needs_signal_masks
def test_ctrl_c_reaches_the_parent_alone_from_the_first_moment_of_a_worker():
    assert dict(run_parallel(holds_back_interrupts, range(3), workers=2)) == {0: True, 1: True, 2: True}
    assert not holds_back_interrupts()
