"""Provenance of a training; rank and world size of a distributed run.

Which of the processes of a training this is.
"""

import json
import os
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from pydantic import BaseModel, ConfigDict, ValidationError

from organscope.errors import ConfigError
from organscope.models import Bundle
from organscope.tracking.environment import computer_facts

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
        computer: As `organscope.tracking.environment.computer_facts`.
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


@dataclass(frozen=True)
class Place:
    """One process among those that train one network.

    The first one leads: it writes the run, tells how it goes on, and makes the bundle; the others only help it to fit.

    Attributes:
        rank: From 0.
        world: Number of processes on all machines.
        on_machine: Number of them on each machine.
    """

    rank: int = 0
    world: int = 1
    on_machine: int = 1

    @property
    def leads(self) -> bool:
        return self.rank == 0

    @property
    def is_alone(self) -> bool:
        return self.world == 1

    @property
    def n_machines(self) -> int:
        return self.world // self.on_machine

    def require_shares(self, batch: int) -> None:
        """Every process gets as many images of a step as any other.

        Raises:
            ConfigError: The batch cannot be divided so.
        """
        if self.is_alone:
            return
        if batch % self.world or batch < 2 * self.world:
            raise ConfigError(
                f"Expected fit.batch to be a multiple of the {self.world} processes, and at least 2 for each, found "
                f"{batch}. Set another with --set fit.batch={max(2, batch // self.world) * self.world}."
            )

    def seed(self, *numbers: int) -> tuple[int, ...]:
        """For what each process draws by itself; alone it is the seed as it was given."""
        return numbers if self.is_alone else (*numbers, self.rank)


def torchrun_place(environment: Mapping[str, str] = os.environ) -> Place:
    """The place that `torchrun` gave this process; alone without it."""
    if "TORCHELASTIC_RUN_ID" not in environment:
        return Place()
    return Place(*(int(environment[name]) for name in ("RANK", "WORLD_SIZE", "LOCAL_WORLD_SIZE")))
