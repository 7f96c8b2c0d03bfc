"""Folders that the operator allows: what lies in them, and that nothing leads out of them."""

from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from organscope.images.files import SUFFIXES, is_zarr
from organscope.web.refusals import RefusalError
from organscope.web.settings import Settings

MAX_LISTED = 2_000


@dataclass(frozen=True)
class Entry:
    """A folder or an image below an allowed folder.

    Attributes:
        name: Its own name.
        path: From the name of the allowed folder on, with `/` between.
        is_folder: Whether it can be opened further.
    """

    name: str
    path: str
    is_folder: bool


def find_allowed(settings: Settings, path: str) -> Path:
    """The file or folder of a path such as `slides/case 12/a.svs`, whose first part names an allowed folder.

    Raises:
        RefusalError: 403, where the path leads out of the allowed folders in any way; 404, where nothing is there.
    """
    roots = {folder.resolve().name: folder.resolve() for folder in settings.allowed}
    parts = PurePosixPath(path).parts
    if "\\" in path or "\0" in path or path.startswith("/") or ".." in parts or not parts or parts[0] not in roots:
        raise _outside(path, roots)
    root = roots[parts[0]]
    try:
        # Links are followed first, so that it is the place itself that is judged.
        found = root.joinpath(*parts[1:]).resolve(strict=True)
    except (OSError, RuntimeError, ValueError):
        raise RefusalError(
            404, f"Expected an image or a folder at {path[:200]!r}, found nothing. Check the name."
        ) from None
    if not found.is_relative_to(root):
        raise _outside(path, roots)
    return found


def list_allowed(settings: Settings, path: str) -> list[Entry]:
    """Folders and images of an allowed folder, by name; of no path the allowed folders themselves.

    Raises:
        RefusalError: As `find_allowed`; 422, where it is no folder.
    """
    if not path:
        names = sorted(folder.resolve().name for folder in settings.allowed)
        return [Entry(name, name, True) for name in names]
    folder = find_allowed(settings, path)
    if not folder.is_dir():
        raise RefusalError(422, f"Expected a folder at {path[:200]!r}, found a file.")
    found = [_entry(child, path) for child in sorted(folder.iterdir()) if not child.name.startswith(".")]
    return [entry for entry in found if entry is not None][:MAX_LISTED]


def _entry(child: Path, path: str) -> Entry | None:
    is_image = is_zarr(child) or (child.suffix.lower() in SUFFIXES and child.is_file())
    if not (is_image or child.is_dir()):
        return None
    return Entry(child.name, f"{path.rstrip('/')}/{child.name}", not is_image)


def _outside(path: str, roots: dict[str, Path]) -> RefusalError:
    allowed = ", ".join(sorted(roots)) or "none (start the server with --allow FOLDER)"
    return RefusalError(
        403, f"Expected a path inside an allowed folder, found {path[:200]!r}. Allowed folders: {allowed}."
    )
