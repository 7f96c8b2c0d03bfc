"""The space beside the study of its trials, so that a folder explains itself."""

import json
from pathlib import Path

from organscope.errors import OutputError, UsageError
from organscope.images.atomic import atomic_path
from organscope.sweep.space import Space

SPACE_FILE = "space.json"


def make_folder(folder: Path) -> None:
    """Make the folder of a sweep where it is missing.

    Raises:
        OutputError: It cannot be made.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise OutputError(f"Cannot make the folder of the sweep, {folder}: {error.strerror}.") from error


def write_space(space: Space, folder: Path) -> None:
    """Keep the space in the folder of the sweep.

    Raises:
        OutputError: The file cannot be written.
    """
    with atomic_path(folder / SPACE_FILE) as temporary:
        temporary.write_text(json.dumps(space.model_dump(mode="json", by_alias=True), indent=2), encoding="utf-8")


def read_written_space(folder: Path) -> Space:
    """The space that `write_space` kept.

    Raises:
        UsageError: The folder is not that of a sweep.
    """
    try:
        return Space.model_validate_json((folder / SPACE_FILE).read_text(encoding="utf-8"))
    except OSError as error:
        raise UsageError(f"Expected the folder of a sweep, found no {SPACE_FILE} in {folder}.") from error
