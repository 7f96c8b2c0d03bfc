"""Batches one ahead, and the time for which none was there."""

import time

import pytest

from organscope.inference.prefetch import TimedLoader


class Slow(list):
    def __iter__(self):
        for item in super().__iter__():
            time.sleep(0.02)
            yield item


def test_slow_data_is_waited_for():
    supply = TimedLoader(Slow([1, 2, 3]))
    assert len(supply) == 3
    assert list(supply) == [1, 2, 3]
    assert supply.waiting_share > 0.5


def test_data_made_during_the_work_is_not_waited_for():
    supply = TimedLoader(Slow([1, 2, 3]))
    for _ in supply:
        time.sleep(0.1)
    # Only the first batch: 0.02 of 0.32 s; a loaded machine may add to both.
    assert supply.waiting_share < 0.5


def test_an_error_of_the_data_arrives():
    class Broken(list):
        def __iter__(self):
            yield 1
            raise ValueError("damaged")

    with pytest.raises(ValueError, match="damaged"):
        list(TimedLoader(Broken()))


def test_nothing_used_nothing_waited():
    assert TimedLoader([]).waiting_share == 0
