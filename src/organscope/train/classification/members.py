"""Finished runs as members of an ensemble: what they were told, what they held out, what they gave."""

import json
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from organscope.bundle import Bundle, load_bundle
from organscope.bundle.manifest import MANIFEST_NAME
from organscope.errors import DatasetError, UsageError
from organscope.train.classification.config import ClassificationConfig
from organscope.train.classification.export import OUTPUTS
from organscope.train.settings import check_settings
from organscope.train.split import TrainingSplit, split_samples


@dataclass(frozen=True)
class Member:
    """One finished run.

    Attributes:
        folder: Of the run.
        config: What it was told.
        split: Who trained, validated and was scored; the last were never seen.
        bundle: What it made.
    """

    folder: Path
    config: ClassificationConfig
    split: TrainingSplit
    bundle: Bundle


def read_members(runs: Sequence[Path]) -> list[Member]:
    """Read runs that differ in their test folds only.

    Raises:
        UsageError: A run is not finished, names cells, or there are fewer than two.
        DatasetError: Their data, organs, fields or preprocessing differ, or a picture was scored by two of them.
    """
    if len(runs) < 2:
        raise UsageError(f"Expected two or more run folders of different test folds, found {len(runs)}.")
    members = [_read(Path(run)) for run in runs]
    for member in members[1:]:
        _require_alike(members[0], member)
    scored = Counter(sample.id for member in members for sample in member.split.test)
    twice = sorted(name for name, count in scored.items() if count > 1)
    if twice or any(not member.split.test for member in members):
        found = f"{len(twice)} scored twice, such as {twice[0]}" if twice else "a run that scored none"
        raise DatasetError(
            f"Expected every picture to be held out by one run at most, and each run to hold some out, found {found}. "
            "Train each run with its own data.test_folds."
        )
    return members


def _read(run: Path) -> Member:
    if not (run / "config.json").is_file() or not (run / "bundle" / MANIFEST_NAME).is_file():
        raise UsageError(
            f"Expected a finished run in {run}, found no config.json or no bundle. Finish it with --resume."
        )
    config = check_settings(ClassificationConfig, json.loads((run / "config.json").read_text()), str(run))
    if config.field.subject != "image":
        raise UsageError(f"Expected runs that name the organ of whole images, found one for single cells in {run}.")
    member = Member(run, config, split_samples(config.data), load_bundle(run / "bundle"))
    if member.bundle.manifest.graph.outputs != list(OUTPUTS):
        raise UsageError(f"Expected the outputs {', '.join(OUTPUTS)} of {run}, found an older bundle. Train it again.")
    if member.split.fingerprint() != member.bundle.manifest.data_fingerprint:
        raise DatasetError(
            f"Expected the data that {run} was trained on, found an index that has changed since. Train it again."
        )
    return member


def _require_alike(first: Member, other: Member) -> None:
    a, b = first.bundle.manifest, other.bundle.manifest
    facts = {
        "data": (a.data_fingerprint, b.data_fingerprint),
        "organs": (a.classes, b.classes),
        "preprocessing": (a.preprocessing, b.preprocessing),
        "field": (first.config.field, other.config.field),
        "graph outputs": (a.graph.outputs, b.graph.outputs),
    }
    if differing := [name for name, (one, two) in facts.items() if one != two]:
        raise DatasetError(
            f"Expected runs that differ in their test folds only, found other {', '.join(differing)} in {other.folder} "
            f"than in {first.folder}. Train both with one configuration."
        )
