"""Where a run came from: computer, threads, data, and the bundle that it went on from."""

import json
import os
from contextlib import suppress
from pathlib import Path

from pydantic import BaseModel, ConfigDict, ValidationError

from organscope.bundle import Bundle
from organscope.tracking.facts import computer_facts

ORIGIN_FILE = "origin.json"

THREAD_VARIABLES = ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "TF_NUM_INTRAOP_THREADS", "TF_NUM_INTEROP_THREADS")
"""How many threads add up a sum decides its last digits."""


class Base(BaseModel):
    """The bundle that a training went on from.

    Attributes:
        name: In its manifest.
        source: Folder or zip file, or the name of a bundle of the package.
        sha256: Of its manifest.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    name: str
    source: str
    sha256: str


class Origin(BaseModel):
    """What besides the configuration decides the numbers of a run.

    Attributes:
        computer: As `organscope.tracking.facts.computer_facts`.
        threads: Those of `THREAD_VARIABLES` that were set.
        processes: How many trained together.
        folder: Working folder, which relative paths of the configuration belong to.
        data_fingerprint: See `TrainingSplit.fingerprint`; empty until the data were read.
        base: Where it was not trained from chance.
    """

    model_config = ConfigDict(frozen=True)

    computer: dict[str, str] = {}
    threads: dict[str, str] = {}
    processes: int = 1
    folder: str = ""
    data_fingerprint: str = ""
    base: Base | None = None


def this_origin(base: Base | None = None) -> Origin:
    """Of a run that is started here and now."""
    threads = {name: os.environ[name] for name in THREAD_VARIABLES if name in os.environ}
    facts = {"computer": computer_facts(), "threads": threads, "processes": _processes()}
    return Origin(**facts, folder=str(Path.cwd()), base=base)


def _processes() -> int:
    """Of `torchrun` or of `TF_CONFIG`; the trainers say what is wrong with them."""
    with suppress(ValueError, KeyError, TypeError):
        if "TORCHELASTIC_RUN_ID" in os.environ:
            return int(os.environ["WORLD_SIZE"])
        return len(json.loads(os.environ["TF_CONFIG"])["cluster"]["worker"])
    return 1


def read_origin(run_dir: Path) -> Origin | None:
    """As it was written at the start of a run; none in runs of older versions, or where the file was damaged."""
    try:
        return Origin.model_validate_json((Path(run_dir) / ORIGIN_FILE).read_bytes())
    except (OSError, ValidationError):
        return None


def base_of(bundle: Bundle) -> Base:
    """How a run remembers the bundle that it goes on from."""
    return Base(name=bundle.manifest.name, source=str(Path(bundle.source).resolve()), sha256=bundle.sha256)
