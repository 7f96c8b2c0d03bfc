"""Who works on the images of a run: this process, several, or a cluster."""

import pickle
import time
from collections.abc import Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

from organscope.errors import OrganscopeError, UsageError
from organscope.parallel import ProcessPool, run_tasks, threads_per_worker
from organscope.pipeline.image import Attempt, ReadOptions, RemoteAttempt, attempt_image, unforeseen
from organscope.pipeline.models import Models, portable
from organscope.pipeline.plan import Plan, Target
from organscope.pipeline.progress import Listener
from organscope.pipeline.results import Failure
from organscope.task_result import Outcome

LARGE_PX = 4_000_000
"""From here an image takes longer than processes take to start, so that nothing is gained by trying one first."""


@dataclass(frozen=True)
class WorkerConfig:
    """Who works.

    Attributes:
        workers: Processes on this machine, which share its cores.
        cluster: Instead of them, a Dask cluster; see `organscope.parallel.run_tasks`.
        threads: For the network in each process; none for a share of the cores, and on a cluster for one.
        pays_s: Several processes are started only where the work left would take one process so long, in seconds. To
            start them takes 3 to 5 s, and one process uses all cores already, only not as well.
    """

    workers: int = 1
    cluster: str | None = None
    threads: int | None = None
    pays_s: float = 30.0

    def __post_init__(self) -> None:
        if self.cluster is not None and self.workers > 1:
            raise UsageError("Expected --workers or --cluster, found both: a cluster brings its own workers.")

    @property
    def threads_each(self) -> int:
        """Threads for the network in each process other than this one."""
        if self.threads is not None:
            return self.threads
        return 1 if self.cluster is not None else threads_per_worker(self.workers)


def attempts(
    plan: Plan, models: Models, reading: ReadOptions, workforce: WorkerConfig, listener: Listener
) -> Iterator[tuple[Target, Attempt]]:
    """Try every image of the plan, and yield each as it ends; with one worker they end in the plan's order.

    With several, the first images are worked on here until it is known that more processes pay.
    """
    if workforce.cluster is not None:
        yield from _on_cluster(plan, models, reading, workforce)
        return
    begun = time.perf_counter()
    for place, target in enumerate(plan.targets):
        left = plan.targets[place:]
        if workforce.workers > 1 and _pays(left, place, time.perf_counter() - begun, workforce, reading):
            yield from _in_team(left, plan.out, models, reading, workforce)
            return
        listener.image_started(target)
        yield target, attempt_image(target, plan.out, models, reading, listener.image_advanced)


def _pays(left: Sequence[Target], n_done: int, seconds: float, workforce: WorkerConfig, reading: ReadOptions) -> bool:
    """Whether several processes are worth their start for the images that are left, judged by those that are done."""
    if len(left) == 1:
        return False
    expected_s = seconds / n_done * len(left) if n_done else 0.0
    return expected_s >= workforce.pays_s or _is_large(left[0], reading)


def _is_large(target: Target, reading: ReadOptions) -> bool:
    try:
        with reading.open(target.source) as image:
            return image.height_px * image.width_px >= LARGE_PX
    except OrganscopeError:
        return False


def _on_cluster(
    plan: Plan, models: Models, reading: ReadOptions, workforce: WorkerConfig
) -> Iterator[tuple[Target, Attempt]]:
    there = RemoteAttempt(plan.out, portable(models, workforce.threads_each), reading, Path.cwd())
    with closing(run_tasks(there, plan.targets, cluster=workforce.cluster)) as outcomes:
        for target, outcome in outcomes:
            yield target, _attempt(target, outcome)


def _in_team(
    left: Sequence[Target], out: Path, models: Models, reading: ReadOptions, workforce: WorkerConfig
) -> Iterator[tuple[Target, Attempt]]:
    """The images that are left in several processes, and here until those are ready."""
    there = RemoteAttempt(out, portable(models, workforce.threads_each), reading, Path.cwd())
    workers = min(workforce.workers, len(left))
    with ProcessPool(pickle.dumps(there), workers, threads_per_worker(workers)) as team:
        while left and not team.is_ready and not _is_large(left[0], reading):
            target, *left = left
            yield target, attempt_image(target, out, models, reading)
        for target, outcome in team.run(left):
            yield target, _attempt(target, outcome)


def _attempt(target: Target, outcome: Outcome[Attempt]) -> Attempt:
    """What `RemoteAttempt` returned; it raises nothing, so an error is one of the process."""
    error = outcome.error
    if error is None:
        return outcome.result()
    if isinstance(error, OrganscopeError):
        return Attempt(Failure(str(target.source), str(error), outcome.trace))
    return Attempt(unforeseen(str(target.source), error, outcome.trace))
