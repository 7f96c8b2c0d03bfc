"""Tasks on a Dask cluster: one that runs, or one that a queueing system is asked for."""

from collections.abc import Iterable, Iterator
from concurrent.futures import CancelledError
from contextlib import contextmanager
from itertools import islice
from typing import Any

from organscope.errors import InputError, MissingExtraError, UsageError
from organscope.jobs.cluster_file import ClusterFile, read_cluster_file
from organscope.jobs.outcome import Outcome, attempt_pickled

try:
    from distributed import Client, Future, as_completed
    from distributed.scheduler import KilledWorker
except ModuleNotFoundError as missing:
    raise MissingExtraError(
        f"Expected the packages for clusters, found no {missing.name}. Run: pip install 'organscope[cluster]'."
    ) from missing

CONNECT_S = 10
WORKERS_S = 30
WAITING_PER_THREAD = 2
"""Tasks at the cluster for each thread of its workers: the next is there when one ends."""
ALLOWED_DEATHS = 2


def run_on_cluster(function: bytes, tasks: Iterable[Any], cluster: str) -> Iterator[tuple[Any, Outcome]]:
    """Yield (task, outcome) as tasks finish; see `organscope.jobs.executors.run_tasks`.

    The scheduler does the tasks of a dead worker elsewhere; how many deaths it allows one task is its own setting
    (three, unless it was told otherwise). The files and packages that tasks need must be there on every worker.

    Args:
        function: Pickled.
        tasks: What to call it with.
        cluster: Address of a scheduler, or a file as `organscope.jobs.cluster_file` reads it.

    Raises:
        UsageError: The cluster cannot be reached, has no workers, or the file has a fault.
        MissingExtraError: The queueing system's package is not installed.
    """
    with _client(cluster) as client:
        yield from _run(client, function, iter(tasks))


def _run(client: Client, function: bytes, tasks: Iterator[Any]) -> Iterator[tuple[Any, Outcome]]:
    waiting: dict[Future, Any] = {}
    completed = as_completed(loop=client.loop)

    def submit() -> None:
        # Asked each time, because workers come and go.
        room = WAITING_PER_THREAD * max(1, sum(client.nthreads().values())) - len(waiting)
        for task in islice(tasks, max(0, room)):
            future = client.submit(attempt_pickled, function, task, pure=False)
            waiting[future] = task
            completed.add(future)

    submit()
    for future in completed:
        task, outcome = waiting.pop(future), _outcome(future)
        future.release()
        submit()
        yield task, outcome


def _outcome(future: Future) -> Outcome:
    try:
        return future.result()
    except KilledWorker as error:
        return Outcome(
            error=InputError(
                f"Expected a result, found that too many workers died while working on it, the last of them "
                f"{error.last_worker.address}, probably out of memory. Give the workers more memory."
            )
        )
    except CancelledError:
        sentence = "Expected a result, found that the cluster ended. Start it and run the same command again."
        return Outcome(error=InputError(sentence))
    except Exception as error:
        # Not the function's own, which come back as outcomes: a worker has other packages, or cannot read the task.
        return Outcome(error=error)


@contextmanager
def _client(cluster: str) -> Iterator[Client]:
    if not cluster.endswith(".toml"):
        with _connected(cluster, cluster) as client:
            _require_workers(client, cluster, WORKERS_S, "Start them with `dask worker`.")
            yield client
        return
    settings = read_cluster_file(cluster)
    with _queued(settings, cluster) as workers, _connected(workers, cluster) as client:
        _require_workers(client, cluster, settings.wait_s, "Look at the queue, or raise wait_s in the file.")
        yield client


@contextmanager
def _connected(target: Any, name: str) -> Iterator[Client]:
    try:
        client = Client(target, timeout=CONNECT_S, set_as_default=False)
    except (OSError, ValueError) as error:
        raise UsageError(
            f"Expected a Dask scheduler at {name}, found: {error}. Start one with `dask scheduler`, and name it "
            "as it prints its address, such as tcp://10.0.0.1:8786."
        ) from error
    try:
        yield client
    finally:
        client.close()


@contextmanager
def _queued(settings: ClusterFile, name: str) -> Iterator[Any]:
    try:
        import dask_jobqueue
    except ModuleNotFoundError as missing:
        raise MissingExtraError(
            f"Expected the package for queueing systems, found no {missing.name}. Run: pip install "
            "'organscope[cluster]'."
        ) from missing
    system, keywords = settings.system()
    try:
        workers = getattr(dask_jobqueue, system)(
            **{"scheduler_options": {"allowed_failures": ALLOWED_DEATHS, "dashboard_address": ":0"}} | keywords
        )
    except (TypeError, ValueError) as error:
        raise UsageError(f"Expected settings in {name} that dask_jobqueue.{system} knows, found: {error}") from error
    try:
        workers.scale(jobs=settings.jobs)
        yield workers
    finally:
        workers.close()


def _require_workers(client: Client, name: str, wait_s: float, remedy: str) -> None:
    try:
        client.wait_for_workers(1, timeout=wait_s)
    except TimeoutError as error:
        raise UsageError(f"Expected workers at {name}, found none within {wait_s:g} s. {remedy}") from error
