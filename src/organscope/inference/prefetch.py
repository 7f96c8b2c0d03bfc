"""Prefetch images ahead of the network; data-loading wait time.

How long a trainer waits for its data.
"""

import queue
import threading
import time
from collections.abc import Collection, Generator, Iterable, Iterator
from typing import Any, Generic, TypeVar

_Item = TypeVar("_Item")

_PATIENCE_S = 0.1
"""How long a thread that waits takes to see that nobody wants its items any more."""


def run_ahead(items: Iterable[_Item]) -> Generator[_Item, None, None]:
    """The same items in the same order, each made by a thread while the one before it is used.

    An item is begun when the one before it was taken, so that none lies in memory and waits: two exist at a time, as
    without threads. An error of the iterable is raised where its item would have come; when the caller stops early,
    the thread ends with the item that it is making.
    """
    made: queue.Queue[tuple[Any, BaseException | None, bool]] = queue.Queue()
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


def _make(items: Iterator[_Item], made: queue.Queue, wanted: threading.Semaphore, unwanted: threading.Event) -> None:
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


_Batch = TypeVar("_Batch")


class TimedLoader(Generic[_Batch]):
    """Batches, each made while the one before it is learnt from; counts how long they are waited for.

    Attributes:
        waited_s: Seconds for which the trainer had no batch.
        used_s: Seconds from the first request until the last batch was used.
    """

    def __init__(self, batches: Collection[_Batch]) -> None:
        self._batches = batches
        self._began: float | None = None
        self.waited_s = 0.0
        self.used_s = 0.0

    def __len__(self) -> int:
        return len(self._batches)

    def __iter__(self) -> Iterator[_Batch]:
        self._began = time.perf_counter()
        batches = run_ahead(self._batches)
        try:
            while True:
                asked = time.perf_counter()
                batch = next(batches, None)
                self.waited_s += time.perf_counter() - asked
                if batch is None:
                    return
                yield batch
                self.used_s = time.perf_counter() - self._began
        finally:
            batches.close()

    @property
    def waiting_share(self) -> float:
        """Part of the time that was spent waiting, from 0 to 1."""
        return self.waited_s / self.used_s if self.used_s else 0.0
