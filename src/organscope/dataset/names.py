"""Where files that belong to a sample are written."""

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
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise OutputError(
            f"Expected to write to {path.parent}, found: {error.strerror or error}. Choose another folder."
        ) from error
    return path
