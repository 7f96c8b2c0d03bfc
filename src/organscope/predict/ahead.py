"""Make the next item while the present one is used: reading, the network and decoding each in a thread of its own."""

import queue
import threading
from collections.abc import Iterable, Iterator
from typing import TypeVar

Item = TypeVar("Item")

_PATIENCE_S = 0.1
"""How long a thread that waits takes to see that nobody wants its items any more."""


def run_ahead(items: Iterable[Item]) -> Iterator[Item]:
    """The same items in the same order, each made by a thread while the one before it is used.

    An item is begun when the one before it was taken, so that none lies in memory and waits: two exist at a time, as
    without threads. An error of the iterable is raised where its item would have come; when the caller stops early,
    the thread ends with the item that it is making.
    """
    made: queue.Queue[tuple[Item | None, BaseException | None, bool]] = queue.Queue()
    wanted = threading.Semaphore(1)
    unwanted = threading.Event()
    thread = threading.Thread(target=_make, args=(iter(items), made, wanted, unwanted), daemon=True)
    thread.start()
    try:
        while True:
            item, error, last = made.get()
            if error is not None:
                raise error
            if last:
                return
            wanted.release()
            yield item
    finally:
        unwanted.set()
        thread.join()


def _make(items: Iterator[Item], made: queue.Queue, wanted: threading.Semaphore, unwanted: threading.Event) -> None:
    try:
        while not unwanted.is_set():
            if not wanted.acquire(timeout=_PATIENCE_S):
                continue
            try:
                item = next(items)
            except StopIteration:
                made.put((None, None, True))
                return
            made.put((item, None, False))
            # Not kept alive here while the next one is made.
            del item
    except BaseException as error:
        made.put((None, error, True))
