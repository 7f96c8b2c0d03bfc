"""Tasks in several processes of this machine, any of which may die."""

import multiprocessing
import os
import signal
import threading
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from dataclasses import dataclass, replace
from itertools import islice
from multiprocessing.connection import Connection
from typing import Any, Self

from threadpoolctl import threadpool_limits

from organscope.errors import InputError
from organscope.interrupts import held_back_interrupts, leave_interrupts_to_parent
from organscope.jobs.outcome import Outcome, attempt_pickled, prepare_pickled

MOST_DEATHS = 3
"""One death may be bad luck, such as a neighbour that took the memory; the third of one task is the task's own."""

# Spawned, not forked: onnxruntime and decoders hold threads and locks that a fork would break.
SPAWN = multiprocessing.get_context("spawn")


class Worker:
    """A process with one task at a time, so that it is known during which task it died."""

    def __init__(self, threads: int) -> None:
        self._threads = threads
        self._start()

    def submit(self, function: bytes, task: Any) -> Future:
        """Begin a task; its future raises `BrokenProcessPool` if the process dies."""
        try:
            return self._submit(attempt_pickled, function, task)
        except BrokenProcessPool:
            # It died between two tasks, through no fault of either.
            self.replace()
            return self._submit(attempt_pickled, function, task)

    def prepare(self, function: bytes) -> Future:
        """Start the process, and begin to load the function in it."""
        return self._submit(prepare_pickled, function)

    def replace(self) -> None:
        """A new process in the place of one that died."""
        self._pool.shutdown(wait=True)
        self._line.close()
        self._start()

    def interrupt(self) -> None:
        """Make the task at hand clean up and end."""
        self._line.send("interrupt")

    def end(self) -> None:
        """Wait until the process has ended."""
        self._pool.shutdown(wait=True, cancel_futures=True)
        self._line.close()

    def _submit(self, function: Callable[..., Any], *arguments: Any) -> Future:
        with held_back_interrupts():  # This may start the process.
            return self._pool.submit(function, *arguments)

    def _start(self) -> None:
        listening, self._line = SPAWN.Pipe(duplex=False)
        self._pool = ProcessPoolExecutor(
            1, mp_context=SPAWN, initializer=_begin_process, initargs=(listening, self._threads)
        )


@dataclass(frozen=True)
class Work:
    """A task in the process that works on it, and how often a process has died during it."""

    worker: Worker
    task: Any
    deaths: int = 0


class Team:
    """Processes that load a function at once, while the caller does something else, and then do its tasks.

    As a context manager it ends them: an exception interrupts the tasks at hand, which nobody waits for any more.
    """

    def __init__(self, function: bytes, workers: int, threads: int) -> None:
        """Start the processes.

        Args:
            function: Pickled; if it has a method `prepare`, this is called in each process before the first task.
            workers: Number of processes.
            threads: For numerical libraries in each.
        """
        self._function = function
        self._workers = [Worker(threads) for _ in range(workers)]
        self._loading = [worker.prepare(function) for worker in self._workers]
        self._working: dict[Future, Work] = {}

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        busy = [work.worker for work in self._working.values()] if kind is not None else []
        for worker in busy if self.is_ready else self._workers:
            worker.interrupt()
        for worker in self._workers:
            worker.end()

    @property
    def is_ready(self) -> bool:
        """Whether all processes have loaded the function, or failed to."""
        return all(future.done() for future in self._loading)

    def run(self, tasks: Iterable[Any]) -> Iterator[tuple[Any, Outcome]]:
        """Yield (task, outcome) as tasks finish; see `organscope.jobs.executors.run_tasks`."""
        left = iter(tasks)
        for worker, task in zip(self._workers, left, strict=False):
            self._begin(Work(worker, task))
        while self._working:
            for future in wait(self._working, return_when=FIRST_COMPLETED).done:
                work = self._working.pop(future)
                outcome = _outcome(future)
                if outcome is None:
                    work.worker.replace()
                    if work.deaths + 1 < MOST_DEATHS:
                        self._begin(replace(work, deaths=work.deaths + 1))
                        continue
                    outcome = Outcome(error=_too_many_deaths())
                for following in islice(left, 1):
                    self._begin(Work(work.worker, following))
                yield work.task, outcome

    def _begin(self, work: Work) -> None:
        self._working[work.worker.submit(self._function, work.task)] = work


def run_in_processes(
    function: bytes, tasks: Iterable[Any], workers: int, threads: int
) -> Iterator[tuple[Any, Outcome]]:
    """Yield (task, outcome) as tasks finish; see `organscope.jobs.executors.run_tasks` and `Team`."""
    with Team(function, workers, threads) as team:
        yield from team.run(tasks)


def _outcome(future: Future) -> Outcome | None:
    """What came of a task; None where its process died."""
    try:
        return future.result()
    except BrokenProcessPool:
        return None
    except Exception as error:
        # Not the function's own: a task or a result that cannot be pickled.
        return Outcome(error=error)


def _too_many_deaths() -> InputError:
    return InputError(
        f"Expected a result, found that the process died {MOST_DEATHS} times while working on it, probably out of "
        "memory. Run it alone, with fewer --workers, or on a machine with more memory."
    )


def _begin_process(line: Connection, threads: int) -> None:
    """Leave Ctrl-C to the parent, do as it says, and do not outlive it."""
    leave_interrupts_to_parent()
    threading.Thread(target=_obey, args=(line,), daemon=True).start()
    threadpool_limits(threads)
    # Before this there is nothing to clean up, and a signal ends the process without a word.
    signal.signal(signal.SIGTERM, _leave)


def _obey(line: Connection) -> None:
    while True:
        try:
            line.recv()
        except (EOFError, OSError):
            # The parent was killed. At once and without cleaning up: the same command may already run again and
            # clean up by itself.
            os._exit(1)
        # A signal, which also wakes what waits.
        os.kill(os.getpid(), signal.SIGTERM)


def _leave(*_: object) -> None:
    raise SystemExit("interrupted")
