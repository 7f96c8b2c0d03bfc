"""Items in order, errors in their place, and no thread left behind."""

import threading

import pytest

from organscope.inference.prefetch import run_ahead


def test_items_come_in_order():
    assert list(run_ahead(range(100))) == list(range(100))


def test_an_error_comes_after_the_items_before_it():
    def items():
        yield 1
        raise OSError("the disk is gone")

    ahead = run_ahead(items())
    assert next(ahead) == 1
    with pytest.raises(OSError, match="the disk is gone"):
        next(ahead)


def test_the_thread_ends_when_the_caller_stops():
    before = threading.active_count()
    ahead = run_ahead(iter(int, 1))
    assert [next(ahead) for _ in range(3)] == [0, 0, 0]
    ahead.close()
    assert threading.active_count() == before


def test_the_next_item_is_made_while_one_is_used():
    made = threading.Event()

    def items():
        yield 1
        made.set()
        yield 2

    ahead = run_ahead(items())
    next(ahead)
    assert made.wait(timeout=5)
    ahead.close()
