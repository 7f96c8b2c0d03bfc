"""Work through many inputs in several processes, a bounded number of them at a time."""

import multiprocessing
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from itertools import islice
from typing import TypeVar

from organscope.errors import InputError
from organscope.interrupts import held_back_interrupts, leave_interrupts_to_parent

Item = TypeVar("Item")
Result = TypeVar("Result")
WAITING_PER_WORKER = 4


def run_parallel(
    function: Callable[[Item], Result], items: Iterable[Item], workers: int
) -> Iterator[tuple[Item, Result]]:
    """Yield (item, result) as results arrive; with one worker everything happens in this process.

    Args:
        function: Must be picklable; so must items and results.
        items: Taken only as fast as they are worked on.
        workers: Number of processes.

    Raises:
        InputError: A process ended by itself (out of memory, or a decoder crashed).
    """
    if workers <= 1:
        for item in items:
            yield item, function(item)
        return
    # Spawned, not forked: decoders and onnxruntime hold threads and locks that a fork would break.
    context = multiprocessing.get_context("spawn")
    pool = ProcessPoolExecutor(workers, mp_context=context, initializer=leave_interrupts_to_parent)
    try:
        yield from _run_window(pool, function, iter(items), workers * WAITING_PER_WORKER)
    finally:
        pool.shutdown(wait=True, cancel_futures=True)


def _run_window(
    pool: ProcessPoolExecutor, function: Callable[[Item], Result], items: Iterator[Item], size: int
) -> Iterator[tuple[Item, Result]]:
    waiting: dict[Future, Item] = {_submit(pool, function, item): item for item in islice(items, size)}
    while waiting:
        done, _ = wait(waiting, return_when=FIRST_COMPLETED)
        for future in done:
            item = waiting.pop(future)
            try:
                result = future.result()
            except BrokenProcessPool as error:
                raise InputError(
                    "A worker process ended by itself, out of memory or in a damaged file. "
                    "Run again: finished images are kept; --workers 1 finds the file."
                ) from error
            for following in islice(items, 1):
                waiting[_submit(pool, function, following)] = following
            yield item, result


def _submit(pool: ProcessPoolExecutor, function: Callable[[Item], Result], item: Item) -> Future:
    with held_back_interrupts():  # This may start a worker.
        return pool.submit(function, item)
