"""Make the next item while the present one is used: reading, the network and decoding each in a thread of its own."""

import queue
import threading
from collections.abc import Iterable, Iterator
from typing import TypeVar

Item = TypeVar("Item")

_PATIENCE_S = 0.1
"""How long a thread that waits for room takes to see that nobody wants its items any more."""


def run_ahead(items: Iterable[Item]) -> Iterator[Item]:
    """The same items in the same order, each made by a thread while the one before it is used.

    At most one finished item waits. An error of the iterable is raised where its item would have come; when the
    caller stops early, the thread ends with the item that it is making.
    """
    waiting: queue.Queue[tuple[Item | None, BaseException | None, bool]] = queue.Queue(maxsize=1)
    unwanted = threading.Event()
    thread = threading.Thread(target=_make, args=(items, waiting, unwanted), daemon=True)
    thread.start()
    try:
        while True:
            item, error, last = waiting.get()
            if error is not None:
                raise error
            if last:
                return
            yield item
            item = None
    finally:
        unwanted.set()
        thread.join()


def _make(items: Iterable[Item], waiting: queue.Queue, unwanted: threading.Event) -> None:
    try:
        for item in items:
            if not _put((item, None, False), waiting, unwanted):
                return
            # Not kept alive here while the next one is made.
            item = None
        _put((None, None, True), waiting, unwanted)
    except BaseException as error:
        _put((None, error, True), waiting, unwanted)


def _put(entry: tuple, waiting: queue.Queue, unwanted: threading.Event) -> bool:
    while not unwanted.is_set():
        try:
            waiting.put(entry, timeout=_PATIENCE_S)
        except queue.Full:
            continue
        return True
    return False
