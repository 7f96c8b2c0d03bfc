"""Which stores lie in a folder of runs."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from organscope.errors import UsageError
from organscope.sweep.space import SPACE_FILE
from organscope.tracking.mlflow import DATABASE

STUDY_FILE = "study.db"
Stamp = tuple[tuple[int, int], ...]


@dataclass(frozen=True)
class Stores:
    """What there is to show.

    Attributes:
        folder: That was searched.
        databases: Of MLflow.
        sweeps: Folder of each sweep by its key, a word that fits in an address.
    """

    folder: Path
    databases: tuple[Path, ...]
    sweeps: dict[str, Path]


def find_stores(folder: Path) -> Stores:
    """Look in a folder and in those directly inside it.

    Raises:
        UsageError: There is nothing to show.
    """
    folder = folder.resolve()
    databases = sorted(path for pattern in (DATABASE, f"*/{DATABASE}") for path in folder.glob(pattern))
    studies = sorted(path.parent for pattern in (STUDY_FILE, f"*/{STUDY_FILE}") for path in folder.glob(pattern))
    sweeps = [path for path in studies if (path / SPACE_FILE).is_file()]
    if not databases and not sweeps:
        raise UsageError(
            f"Expected {DATABASE} of tracked runs or a folder of a sweep in {folder}, found neither. "
            "Name the folder that holds the run folders."
        )
    return Stores(folder, tuple(databases), {f"s{number}": path for number, path in enumerate(sweeps)})


def stamp_of(files: Sequence[Path]) -> Stamp:
    """Changes whenever SQLite writes to one of these files; the newest writes lie in a file beside it."""
    found = []
    for file in files:
        for path in (file, file.with_name(file.name + "-wal")):
            try:
                status = path.stat()
            except FileNotFoundError:
                continue
            found.append((status.st_mtime_ns, status.st_size))
    return tuple(found)
