"""Where files are written, and what is said when they cannot be."""

from pathlib import Path, PurePosixPath

from organscope.errors import OutputError


def place_below(folder: Path, sample_id: str, suffix: str) -> Path:
    """The file of a sample below a folder, whose own folder is made; an id never leads out of the folder.

    Raises:
        OutputError: The folder is not writable.
    """
    parts = [part if part != ".." else "_" for part in PurePosixPath(sample_id).parts if part != "/"]
    path = folder.joinpath(*parts)
    path = path.with_name(path.name + suffix)
    make_folder(path.parent)
    return path


def make_folder(folder: Path) -> Path:
    """Make a folder with those above it, unless it is there.

    Raises:
        OutputError: It cannot be made.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise cannot_write(folder, error) from error
    return folder


def cannot_write(place: Path, error: Exception) -> OutputError:
    """The error for a file or folder that cannot be written, with its reason."""
    reason = getattr(error, "strerror", None) or error
    return OutputError(
        f"Expected to write to {place}, found: {reason}. Free space on the disk or choose another folder."
    )
