"""Files that appear complete or not at all."""

import os
import secrets
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from organscope.errors import OutputError


@contextmanager
def atomic_path(target: str | Path) -> Iterator[Path]:
    """A temporary path beside `target`; renamed to it when the block ends well, else removed.

    The temporary name starts with a dot and keeps the suffixes of the target, because writers choose the
    format by suffix. An existing target is replaced in one step.

    Args:
        target: The file to write. Its folder exists.

    Raises:
        OutputError: The folder is not writable, the disk is full, or the target is a folder.
    """
    target = Path(target)
    suffixes = "".join(target.suffixes[-2:])[-20:]
    temporary = target.with_name(f".partial-{secrets.token_hex(8)}{suffixes}")
    try:
        _require_writable(target)
        yield temporary
        temporary.replace(target)
    except OSError as error:
        raise OutputError(
            f"Expected to write {target}, found: {error.strerror or error}. "
            "Free space on the disk, change the permissions or choose another folder."
        ) from error
    finally:
        with suppress(OSError):
            temporary.unlink()


def _require_writable(target: Path) -> None:
    # Libraries word the failure to open a file in many ways; asking first gives one clear reason.
    folder = target.parent
    if not folder.is_dir():
        raise FileNotFoundError(2, f"the folder {folder} does not exist")
    if not os.access(folder, os.W_OK | os.X_OK):
        raise PermissionError(13, f"the folder {folder} is not writable")
    if target.is_dir():
        raise IsADirectoryError(21, "a folder of that name is in the way")
