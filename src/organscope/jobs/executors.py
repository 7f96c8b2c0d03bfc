"""One function over many tasks: in this process, in several, or on a cluster; every task ends in an outcome."""

import pickle
from collections.abc import Callable, Iterable, Iterator
from typing import TypeVar

from organscope.cores import usable_cores
from organscope.errors import UsageError
from organscope.jobs.outcome import Outcome, attempt
from organscope.jobs.processes import run_in_processes

Task = TypeVar("Task")
Result = TypeVar("Result")


def run_tasks(
    function: Callable[[Task], Result],
    tasks: Iterable[Task],
    *,
    workers: int = 1,
    cluster: str | None = None,
) -> Iterator[tuple[Task, Outcome[Result]]]:
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
            through a queueing system; see `organscope.jobs.cluster`.

    Raises:
        UsageError: Both workers and a cluster were given, the cluster cannot be reached or its file has a fault.
        MissingExtraError: The packages for clusters are not installed.
    """
    if cluster is not None and workers > 1:
        raise UsageError("Expected --workers or --cluster, found both: a cluster brings its own workers.")
    if cluster is not None:
        # Imported here because Dask is an extra, and takes a second.
        from organscope.jobs.cluster import run_on_cluster

        return run_on_cluster(pickle.dumps(function), tasks, cluster)
    if workers > 1:
        return run_in_processes(pickle.dumps(function), tasks, workers, threads_per_worker(workers))
    return ((task, attempt(function, task)) for task in tasks)


def threads_per_worker(workers: int) -> int:
    """Threads for the network in each of so many processes, so that together they use the cores once."""
    return max(1, usable_cores() // workers)
