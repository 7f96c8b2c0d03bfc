"""`organscope reproduce`: train again from what a run directory holds, and say how far the numbers differ."""

from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from organscope.bundle import Bundle, load_bundle
from organscope.errors import UsageError
from organscope.images.atomic import atomic_path
from organscope.tracking.settings import TrackingSettings
from organscope.train.numbers import Numbers, compare_numbers
from organscope.train.record import RunRecord, read_record
from organscope.train.run import Report
from organscope.train.settings import TrainingSettings
from organscope.train.surroundings import differences, threads_as_then

TABLE_FILE = "reproduction.csv"


@dataclass(frozen=True)
class Reproduction:
    """A training that was repeated.

    Attributes:
        run: Folder of the new run.
        numbers: Then and now.
        changes: What else differs, one sentence each.
        notes: What limits the comparison.
    """

    run: Path
    numbers: Numbers
    changes: tuple[str, ...]
    notes: tuple[str, ...]


def reproduce(
    run_dir: Path,
    new_run: Path,
    *,
    indexes: tuple[Path, ...] = (),
    base: str | None = None,
    resume: bool = False,
    report: Report = lambda line: None,
    loading: Callable[[], AbstractContextManager[None]] = nullcontext,
) -> Reproduction:
    """Train again with the configuration, seeds, split and threads of a run.

    What the clock decided then is decided alike: how long each epoch took where the configuration limits minutes,
    and whether eight-bit integers were fast enough to ship. No tracker follows.

    Args:
        run_dir: A run of either task, also a fine-tuning or a trial of a sweep.
        new_run: Folder of the new run; also gets `reproduction.csv`.
        indexes: Where the indexes lie now, see `read_record`.
        base: For a fine-tuning the bundle that it went on from; as the run says if left out.
        resume: Go on with a reproduction that was interrupted.
        report: Gets the lines of the training.
        loading: Makes the context in which the framework is imported.

    Raises:
        UsageError: `run_dir` is no run, its data are gone, or the bundle that it went on from is.
    """
    then = read_record(run_dir, indexes)
    start_from = _base(then, base)
    threads_as_then(then.origin)
    with loading():
        trainer = _trainer(then, start_from)
    trainer(_config(then, start_from), Path(new_run), source=then.written, resume=resume, report=report)
    now = read_record(new_run)
    found = Reproduction(
        Path(new_run), compare_numbers(then, now), tuple(differences(then, now)), tuple(_notes(then, now))
    )
    with atomic_path(Path(new_run) / TABLE_FILE) as path:
        found.numbers.table.to_csv(path, index=False)
    return found


def _config(then: RunRecord, base: Bundle | None) -> TrainingSettings:
    """As then, without trackers, and with the bundle that it began from where that lies now."""
    config = then.config.model_copy(update={"tracking": TrackingSettings()})
    if base is None or config.task != "classification":
        return config
    return config.model_copy(update={"network": config.network.model_copy(update={"start": str(base.source)})})


def _trainer(then: RunRecord, base: Bundle | None) -> Callable[..., Bundle]:
    """Load the framework of the task, and only this one; decide as then what the clock would decide."""
    if then.config.task == "classification":
        from organscope.train.classification.train import train_with as train_classification

        # The learning rate follows the clock where minutes are limited.
        clock = [row["seconds"] for row in then.epochs] if then.config.fit.max_minutes is not None else ()
        return partial(train_classification, clock=clock)
    from organscope.train.segmentation.start import Start
    from organscope.train.segmentation.train import train_with as train_segmentation

    integers = None if then.bundle is None else then.bundle.has_integers
    return partial(train_segmentation, start=None if base is None else Start.of(base), integers=integers)


def _base(then: RunRecord, given: str | None) -> Bundle | None:
    """The bundle that a fine-tuning went on from."""
    if not then.is_finetuned:
        if given is not None:
            raise UsageError(f"Expected --from for a fine-tuning only, found {then.folder}, which began from chance.")
        return None
    recorded = None if then.origin is None else then.origin.base
    if given is None and recorded is None:
        raise UsageError(
            f"Expected {then.folder} to say which bundle it went on from, found a run of an older version. Name the "
            "bundle with --from."
        )
    if given is None and not Path(recorded.source).exists():
        raise UsageError(
            f"Expected the bundle '{recorded.name}' that {then.folder} went on from at {recorded.source}, found "
            "nothing there. Say where it lies now with --from."
        )
    return load_bundle(given or recorded.source)


def _notes(then: RunRecord, now: RunRecord) -> list[str]:
    notes = []
    if then.bundle is None:
        notes.append(
            f"{then.folder} ended after {len(then.epochs)} epochs without a bundle: only these epochs are compared."
        )
    elif len(then.epochs) != len(now.epochs):
        notes.append(f"{len(then.epochs)} epochs then, {len(now.epochs)} now.")
    elif then.config.draft:
        notes.append("A trial of a sweep: its bundle was not scored, so epochs and outputs are compared.")
    return notes
