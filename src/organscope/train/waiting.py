"""How long a trainer waits for its data."""

import time
from collections.abc import Collection, Iterator
from typing import Generic, TypeVar

from organscope.predict.ahead import run_ahead

Batch = TypeVar("Batch")


class Supply(Generic[Batch]):
    """Batches, each made while the one before it is learnt from; counts how long they are waited for.

    Attributes:
        waited_s: Seconds for which the trainer had no batch.
        used_s: Seconds from the first request until the last batch was used.
    """

    def __init__(self, batches: Collection[Batch]) -> None:
        self._batches = batches
        self._began: float | None = None
        self.waited_s = 0.0
        self.used_s = 0.0

    def __len__(self) -> int:
        return len(self._batches)

    def __iter__(self) -> Iterator[Batch]:
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
