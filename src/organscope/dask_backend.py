"""Tasks on a Dask cluster: one that runs, or one that a queueing system is asked for.

A TOML file that says how a queueing system starts workers.
"""

import shutil
import tomllib
from collections.abc import Iterable, Iterator
from concurrent.futures import CancelledError
from contextlib import contextmanager
from itertools import islice
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from organscope.errors import ConfigError, InputError, MissingExtraError, UsageError
from organscope.task_result import Outcome, attempt_pickled

_SYSTEMS = {
    "slurm": ("SLURMCluster", "sbatch"),
    "pbs": ("PBSCluster", "qsub"),
    "sge": ("SGECluster", "qsub"),
    "lsf": ("LSFCluster", "bsub"),
}
"""Name of the table in the file: the class of dask_jobqueue, and the command that it submits with."""


class ClusterFile(BaseModel):
    """How workers are started; one table is named after the queueing system.

    Attributes:
        jobs: How many to submit; each brings as many workers as its table says (`processes`).
        wait_s: How long the first worker may be in the queue.
        slurm: Keywords of `dask_jobqueue.SLURMCluster`: `cores`, `memory`, `queue`, `walltime` and so on.
        pbs: The same for PBS.
        sge: The same for Grid Engine.
        lsf: The same for LSF.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    jobs: int = Field(1, ge=1)
    wait_s: float = Field(3600.0, gt=0)
    slurm: dict[str, Any] | None = None
    pbs: dict[str, Any] | None = None
    sge: dict[str, Any] | None = None
    lsf: dict[str, Any] | None = None

    def system(self) -> tuple[str, dict[str, Any]]:
        """The class of dask_jobqueue and its keywords.

        Raises:
            ConfigError: There is not exactly one table of a queueing system.
            UsageError: The queueing system's command is not on this machine.
        """
        named = [name for name in _SYSTEMS if getattr(self, name) is not None]
        if len(named) != 1:
            raise ConfigError(
                f"Expected one table of {', '.join(f'[{name}]' for name in _SYSTEMS)}, found "
                f"{' and '.join(named) or 'none'}."
            )
        kind, command = _SYSTEMS[named[0]]
        if shutil.which(command) is None:
            raise UsageError(
                f"Expected the command '{command}' of {named[0]}, found none. Run this on a machine that submits jobs."
            )
        return kind, getattr(self, named[0])


def read_cluster_file(path: str | Path) -> ClusterFile:
    """Read and check the file.

    Raises:
        ConfigError: It cannot be read, is no TOML, or has an unknown key.
    """
    try:
        with Path(path).open("rb") as file:
            return ClusterFile.model_validate(tomllib.load(file))
    except OSError as error:
        raise ConfigError(f"Expected a cluster file at {path}, found: {error.strerror or error}.") from error
    except tomllib.TOMLDecodeError as error:
        raise ConfigError(f"Expected TOML in {path}, found: {error}.") from error
    except ValidationError as error:
        first = error.errors()[0]
        place = ".".join(str(part) for part in first["loc"])
        raise ConfigError(f"Expected known keys in {path}, found {place}: {first['msg']}.") from error


try:
    from distributed import Client, Future, as_completed
    from distributed.scheduler import KilledWorker
except ModuleNotFoundError as missing:
    raise MissingExtraError(
        f"Expected the packages for clusters, found no {missing.name}. Run: pip install 'organscope[cluster]'."
    ) from missing

_CONNECT_S = 10
_WORKERS_S = 30
_WAITING_PER_THREAD = 2
"""Tasks at the cluster for each thread of its workers: the next is there when one ends."""
_ALLOWED_DEATHS = 2


def run_on_cluster(function: bytes, tasks: Iterable[Any], cluster: str) -> Iterator[tuple[Any, Outcome]]:
    """Yield (task, outcome) as tasks finish; see `organscope.parallel.run_tasks`.

    The scheduler does the tasks of a dead worker elsewhere; how many deaths it allows one task is its own setting
    (three, unless it was told otherwise). The files and packages that tasks need must be there on every worker.

    Args:
        function: Pickled.
        tasks: What to call it with.
        cluster: Address of a scheduler, or a file as `organscope.dask_backend` reads it.

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
        room = _WAITING_PER_THREAD * max(1, sum(client.nthreads().values())) - len(waiting)
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
            _require_workers(client, cluster, _WORKERS_S, "Start them with `dask worker`.")
            yield client
        return
    settings = read_cluster_file(cluster)
    with _queued(settings, cluster) as workers, _connected(workers, cluster) as client:
        _require_workers(client, cluster, settings.wait_s, "Look at the queue, or raise wait_s in the file.")
        yield client


@contextmanager
def _connected(target: Any, name: str) -> Iterator[Client]:
    try:
        client = Client(target, timeout=_CONNECT_S, set_as_default=False)
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
            **{"scheduler_options": {"allowed_failures": _ALLOWED_DEATHS, "dashboard_address": ":0"}} | keywords
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
