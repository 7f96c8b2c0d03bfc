"""One function over many tasks: in this process, in several that may die, or on a cluster; each ends in an outcome.

Ctrl-C goes to every process of a terminal; only the one that started the others is to hear it.
"""

import multiprocessing
import os
import pickle
import signal
import threading
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from dataclasses import dataclass, replace
from itertools import islice
from multiprocessing.connection import Connection
from typing import Any, Self, TypeVar

from threadpoolctl import threadpool_limits

from organscope.errors import InputError, UsageError
from organscope.system import (
    held_back_interrupts,
    interrupt_main_thread,
    leave_interrupts_to_parent,
    usable_cores,
)
from organscope.task_result import Outcome, attempt, attempt_pickled, prepare_pickled

_MOST_DEATHS = 3
"""One death may be bad luck, such as a neighbor that took the memory; the third of one task is the task's own."""

# Spawned, not forked: onnxruntime and decoders hold threads and locks that a fork would break.
_SPAWN = multiprocessing.get_context("spawn")


class _Worker:
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
        listening, self._line = _SPAWN.Pipe(duplex=False)
        self._pool = ProcessPoolExecutor(
            1, mp_context=_SPAWN, initializer=_begin_process, initargs=(listening, self._threads)
        )


@dataclass(frozen=True)
class _PoolTask:
    """A task in the process that works on it, and how often a process has died during it."""

    worker: _Worker
    task: Any
    deaths: int = 0


class ProcessPool:
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
        self._workers = [_Worker(threads) for _ in range(workers)]
        self._loading = [worker.prepare(function) for worker in self._workers]
        self._working: dict[Future, _PoolTask] = {}

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
        """Yield (task, outcome) as tasks finish; see `organscope.parallel.run_tasks`."""
        left = iter(tasks)
        for worker, task in zip(self._workers, left, strict=False):
            self._begin(_PoolTask(worker, task))
        while self._working:
            for future in wait(self._working, return_when=FIRST_COMPLETED).done:
                work = self._working.pop(future)
                outcome = _outcome(future)
                if outcome is None:
                    work.worker.replace()
                    if work.deaths + 1 < _MOST_DEATHS:
                        self._begin(replace(work, deaths=work.deaths + 1))
                        continue
                    outcome = Outcome(error=_too_many_deaths())
                for following in islice(left, 1):
                    self._begin(_PoolTask(work.worker, following))
                yield work.task, outcome

    def _begin(self, work: _PoolTask) -> None:
        self._working[work.worker.submit(self._function, work.task)] = work


def _run_in_processes(
    function: bytes, tasks: Iterable[Any], workers: int, threads: int
) -> Iterator[tuple[Any, Outcome]]:
    """Yield (task, outcome) as tasks finish; see `organscope.parallel.run_tasks` and `Team`."""
    with ProcessPool(function, workers, threads) as team:
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
        f"Expected a result, found that the process died {_MOST_DEATHS} times while working on it, probably out of "
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
        interrupt_main_thread()


def _leave(*_: object) -> None:
    raise SystemExit("interrupted")


_Item = TypeVar("_Item")
_Result = TypeVar("_Result")
_WAITING_PER_WORKER = 4


def run_parallel(
    function: Callable[[_Item], _Result], items: Iterable[_Item], workers: int
) -> Iterator[tuple[_Item, _Result]]:
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
        yield from _run_window(pool, function, iter(items), workers * _WAITING_PER_WORKER)
    finally:
        pool.shutdown(wait=True, cancel_futures=True)


def _run_window(
    pool: ProcessPoolExecutor, function: Callable[[_Item], _Result], items: Iterator[_Item], size: int
) -> Iterator[tuple[_Item, _Result]]:
    waiting: dict[Future, _Item] = {_submit(pool, function, item): item for item in islice(items, size)}
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


def _submit(pool: ProcessPoolExecutor, function: Callable[[_Item], _Result], item: _Item) -> Future:
    with held_back_interrupts():  # This may start a worker.
        return pool.submit(function, item)


_Task = TypeVar("_Task")


def run_tasks(
    function: Callable[[_Task], _Result],
    tasks: Iterable[_Task],
    *,
    workers: int = 1,
    cluster: str | None = None,
) -> Iterator[tuple[_Task, Outcome[_Result]]]:
    """Yield (task, outcome) as tasks finish, each task once; an exception of one task is its outcome.

    Each process unpickles the function once, so what it holds (bundles) is loaded once there. Give it bundles that
    were loaded with `threads_per_worker` threads. With one worker and no cluster, tasks are worked on here and
    in order, and Ctrl-C interrupts the task at hand. When the iterator is closed or left by an exception, tasks in
    other processes of this machine are interrupted; on a cluster, those at work come to their end.

    A process that dies (killed, out of memory) costs nothing: its task is done elsewhere. After three deaths during
    one task that task has failed.

    Args:
        function: Picklable, and harmless to repeat: a task whose process dies is done again from the start.
        tasks: Picklable; taken only as fast as they are worked on.
        workers: Processes on this machine, each for one task at a time.
        cluster: Address of a Dask scheduler (`tcp://host:port`) or a TOML file that says how to start workers
            through a queueing system; see `organscope.dask_backend`.

    Raises:
        UsageError: Both workers and a cluster were given, the cluster cannot be reached or its file has a fault.
        MissingExtraError: The packages for clusters are not installed.
    """
    if cluster is not None and workers > 1:
        raise UsageError("Expected --workers or --cluster, found both: a cluster brings its own workers.")
    if cluster is not None:
        # Imported here because Dask is an extra, and takes a second.
        from organscope.dask_backend import run_on_cluster

        return run_on_cluster(pickle.dumps(function), tasks, cluster)
    if workers > 1:
        return _run_in_processes(pickle.dumps(function), tasks, workers, threads_per_worker(workers))
    return ((task, attempt(function, task)) for task in tasks)


def threads_per_worker(workers: int) -> int:
    """Threads for the network in each of so many processes, so that together they use the cores once."""
    return max(1, usable_cores() // workers)
