"""`organscope reproduce`: train again from what a run directory holds, and say how far the numbers differ.

The numbers of two runs side by side.

What differs between a run and one that repeats it, besides the numbers, in sentences.
"""

import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from organscope.errors import UsageError
from organscope.io.paths import atomic_path
from organscope.models import Bundle, load_bundle
from organscope.tracking.base import TrackingSettings
from organscope.training.config import TrainingSettings
from organscope.training.origin import THREAD_VARIABLES, Origin
from organscope.training.record import RunRecord, read_record
from organscope.training.run import Report

COLUMNS = ("part", "metric", "then", "now", "difference")

_OF_THE_CLOCK = frozenset({"epoch", "seconds", "memory_mb", "images_per_s", "waiting_share", "n_images", "best"})
"""What an epoch tells beside its numbers."""


@dataclass(frozen=True)
class _Numbers:
    """How far two runs differ.

    Attributes:
        table: `COLUMNS`, one row a number: of the last epoch that both have, then of the scored images.
        n_epochs: That both have.
        first_difference: Where the epochs first differ, in words; empty where they do not.
        output_difference: Largest difference of what the two bundles give for the test input; none without two bundles
            of one shape.
        same: Every number of every epoch, every score and every output is the same to the last digit.
    """

    table: pd.DataFrame
    n_epochs: int
    first_difference: str
    output_difference: float | None
    same: bool


def compare_numbers(then: RunRecord, now: RunRecord) -> _Numbers:
    """Compare epochs, scores and outputs of two runs of one configuration."""
    pairs = list(zip(then.epochs, now.epochs, strict=False))
    last = pairs[-1]
    rows = [("epoch {}".format(last[0]["epoch"]), *row) for row in _pair(*last)]
    rows += _scores(then.bundle, now.bundle)
    table = pd.DataFrame(rows, columns=list(COLUMNS))
    first = _first_difference(pairs)
    outputs = _outputs(then.bundle, now.bundle)
    # A run that was stopped has fewer epochs, and no bundle: what it has is compared.
    whole = then.bundle is None or (len(then.epochs) == len(now.epochs) and outputs == 0)
    same = whole and not first and bool((table["difference"].fillna(0) == 0).all())
    return _Numbers(table, len(pairs), first, outputs, same)


def _pair(then: Mapping[str, Any], now: Mapping[str, Any]) -> Iterator[tuple[str, float, float, float]]:
    for name in then:
        if name not in _OF_THE_CLOCK:
            yield name, *_difference(then[name], now.get(name))


def _difference(then: float | None, now: float | None) -> tuple[float, float, float]:
    """Both as numbers, and the later less the earlier; two that are missing do not differ."""
    a, b = (float("nan") if value is None else float(value) for value in (then, now))
    if np.isnan(a) and np.isnan(b):
        return a, b, 0.0
    return a, b, float("inf") if np.isnan(a) or np.isnan(b) else b - a


def _scores(then: Bundle | None, now: Bundle | None) -> list[tuple[str, str, float, float, float]]:
    if then is None or now is None:
        return []
    values = [{(s.dataset, s.subset, s.metric): s.value for s in bundle.manifest.scores} for bundle in (then, now)]
    return [
        (f"{dataset}, {subset}", metric, *_difference(value, values[1].get((dataset, subset, metric))))
        for (dataset, subset, metric), value in values[0].items()
    ]


def _first_difference(pairs: Sequence[tuple[Mapping[str, Any], Mapping[str, Any]]]) -> str:
    for then, now in pairs:
        for name, a, b, difference in _pair(then, now):
            if difference != 0:
                return f"{name} of epoch {then['epoch']} ({a:.7g} then, {b:.7g} now)"
    return ""


def _outputs(then: Bundle | None, now: Bundle | None) -> float | None:
    if then is None or now is None:
        return None
    tensors = [bundle.tensors(bundle.manifest.test.file) for bundle in (then, now)]
    if any(name not in tensors[1] or tensors[1][name].shape != values.shape for name, values in tensors[0].items()):
        return None
    return max(float(np.abs(values - tensors[1][name]).max(initial=0)) for name, values in tensors[0].items())


_READ = "python numpy scipy pandas scikit-learn scikit-image pillow imagecodecs tifffile numba"
_TRAIN = "torch torchvision timm lightning onnxscript tensorflow tensorflow-cpu tensorflow_cpu keras tf2onnx h5py"
_RUN = "onnx onnxruntime safetensors"
_NUMERIC_PACKAGES = frozenset(f"{_READ} {_TRAIN} {_RUN}".split())
"""Those that read images or compute."""

_COMPUTER = {
    "processor": "processor",
    "bfloat16": "support of bfloat16",
    "cpus": "number of processors",
    "platform": "system",
}
"""What of a computer decides the last digits, and its name in a sentence."""


def differences(then: RunRecord, now: RunRecord) -> list[str]:
    """One sentence for each thing that may change the numbers."""
    return [
        *_data(then, now),
        *_packages(then.packages, now.packages),
        *_origin(then.origin, now.origin),
    ]


def _data(then: RunRecord, now: RunRecord) -> list[str]:
    found = []
    if not then.data_fingerprint:
        found.append("The run does not say which data it was trained on.")
    elif then.data_fingerprint != now.data_fingerprint:
        found.append(
            f"The data differ: fingerprint {then.data_fingerprint[:12]} then, {now.data_fingerprint[:12]} now. "
            "Images, labels or folds of an index have changed."
        )
    if len(then.split) and not then.split.equals(now.split):
        parts = (f"{table['part'].value_counts().to_dict()}" for table in (then.split, now.split))
        found.append("The split differs: {} then, {} now.".format(*parts))
    return found


def _packages(then: Mapping[str, str], now: Mapping[str, str]) -> list[str]:
    if not then:
        return ["The run does not say which packages it used."]
    changed = [name for name in sorted(then.keys() | now.keys()) if then.get(name) != now.get(name)]
    telling = [name for name in changed if name in _NUMERIC_PACKAGES]
    found = []
    if telling:
        each = (f"{name} {then.get(name, 'missing')} then, {now.get(name, 'missing')} now" for name in telling)
        found.append(f"Packages differ: {'; '.join(each)}.")
    if "organscope" in changed:
        versions = then.get("organscope", "missing"), now.get("organscope", "missing")
        found.append("organscope {} then, {} now.".format(*versions))
    return found


def _origin(then: Origin | None, now: Origin | None) -> list[str]:
    if then is None or now is None:
        return ["The run does not say on which computer and commit it was made: it is older than that record."]
    found = []
    for key, name in _COMPUTER.items():
        if key in then.computer and then.computer[key] != now.computer.get(key):
            found.append(f"Another {name}: {then.computer[key]} then, {now.computer.get(key)} now.")
    if then.threads != now.threads:
        found.append(f"Threads: {_threads(then)} then, {_threads(now)} now.")
    if then.processes != now.processes:
        found.append(f"Trained by {then.processes} processes then, by {now.processes} now.")
    commits = [origin.computer.get("git_commit", "") for origin in (then, now)]
    if commits[0] != commits[1]:
        found.append("Another commit of organscope: {} then, {} now.".format(*(c[:10] or "none" for c in commits)))
    elif "yes" in (then.computer.get("git_changed"), now.computer.get("git_changed")):
        found.append("The code had changes that no commit holds, so it may be another.")
    if then.base != now.base and (then.base is None or now.base is None or then.base.sha256 != now.base.sha256):
        found.append("The bundle that it went on from is another.")
    return found


def _threads(origin: Origin) -> str:
    return ", ".join(f"{key}={value}" for key, value in origin.threads.items()) or "as many as there are"


def _threads_as_then(then: Origin | None) -> None:
    """Compute with as many threads as then; only before a framework is loaded."""
    if then is not None:
        for name in THREAD_VARIABLES:
            os.environ.pop(name, None)
        os.environ.update(then.threads)


_TABLE_FILE = "reproduction.csv"


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
    numbers: _Numbers
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
        base: For a fine-tuning the bundle that it went on from. Default: as the run says.
        resume: Go on with a reproduction that was interrupted.
        report: Gets the lines of the training.
        loading: Makes the context in which the framework is imported.

    Raises:
        UsageError: `run_dir` is no run, its data are gone, or the bundle that it went on from is.
    """
    then = read_record(run_dir, indexes)
    start_from = _base(then, base)
    _threads_as_then(then.origin)
    with loading():
        trainer = _trainer(then, start_from)
    trainer(_config(then, start_from), Path(new_run), source=then.written, resume=resume, report=report)
    now = read_record(new_run)
    found = Reproduction(
        Path(new_run), compare_numbers(then, now), tuple(differences(then, now)), tuple(_notes(then, now))
    )
    with atomic_path(Path(new_run) / _TABLE_FILE) as path:
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
        from organscope.training.classification.train import train_with as train_classification

        # The learning rate follows the clock where minutes are limited.
        clock = [row["seconds"] for row in then.epochs] if then.config.fit.max_minutes is not None else ()
        return partial(train_classification, clock=clock)
    from organscope.training.segmentation.network import Start
    from organscope.training.segmentation.train import train_with as train_segmentation

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
