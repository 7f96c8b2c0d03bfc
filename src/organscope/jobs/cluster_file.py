"""A TOML file that says how a queueing system starts workers."""

import shutil
import tomllib
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from organscope.errors import ConfigError, UsageError

SYSTEMS = {
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
        named = [name for name in SYSTEMS if getattr(self, name) is not None]
        if len(named) != 1:
            raise ConfigError(
                f"Expected one table of {', '.join(f'[{name}]' for name in SYSTEMS)}, found "
                f"{' and '.join(named) or 'none'}."
            )
        kind, command = SYSTEMS[named[0]]
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
