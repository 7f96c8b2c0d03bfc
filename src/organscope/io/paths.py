"""Find the images that a person names: files, and folders of files.

Files that appear complete or not at all.

Where files are written, and what is said when they cannot be.
"""

import os
import re
import secrets
import stat
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path, PurePosixPath

from organscope.errors import OutputError, UsageError
from organscope.io.remote import is_url, located, require_packages
from organscope.system import name_key, portable_name

ZARR_SUFFIX = ".zarr"
_IMAGE_SUFFIXES = frozenset({".tif", ".tiff", ".btf", ".tf2", ".tf8", ".png", ".jpg", ".jpeg", ".bmp"})
SLIDE_SUFFIXES = frozenset({".svs", ".ndpi", ".mrxs", ".scn", ".bif", ".vms", ".vmu", ".svslide"})
SUFFIXES = _IMAGE_SUFFIXES | SLIDE_SUFFIXES
#: Where macOS keeps its own files when it packs a zip file.
_PACKING_FOLDERS = frozenset({"__MACOSX"})
_OTHER_FILE = re.compile(r"\.[a-z]\w{0,7}", re.IGNORECASE)


def image_files(inputs: Iterable[str | Path]) -> list[tuple[Path, str]]:
    """Every image of the inputs with the relative path, without suffix, that its outputs get.

    Folders are searched recursively, in order of name; hidden files and folders are left out, a folder that
    is reached twice through symbolic links is searched once, an OME-Zarr folder is one image. What is there and
    cannot be read (a link that leads nowhere, a folder below that cannot be listed) is in the list, too: opening it
    says why.

    Args:
        inputs: Files (whatever their suffix), folders (searched for `SUFFIXES`) and addresses of single images.

    Returns:
        Pairs of path and output stem: the stem of a named file, or the path below the named folder.

    Raises:
        UsageError: An input does not exist, a folder holds no image or cannot be listed, or two images have one
            output stem.
        MissingExtraError: The packages that an address needs are not installed.
    """
    found: dict[str, tuple[Path, str]] = {}
    for source in map(located, inputs):
        for path, stem in _images_of(source):
            earlier, _ = found.setdefault(name_key(stem), (path, stem))
            if earlier is not path and not _same_file(earlier, path):
                raise UsageError(
                    f"Two inputs would write to one target '{stem}': {earlier} and {path}. "
                    "Rename one, or give them to two runs with different output folders."
                )
    return list(found.values())


def walk_images(folder: Path) -> Iterator[tuple[Path, str]]:
    """Yield every image below a folder with its relative path without suffix, in order of name; maybe none.

    A link that leads nowhere and may mean an image or a folder of images, and a folder below that cannot be listed, are
    yielded like images: opening them says why they cannot be read.

    Raises:
        UsageError: The folder itself cannot be listed.
    """
    return _walk(folder, folder, set())


def _images_of(source: Path) -> list[tuple[Path, str]]:
    if is_url(source):
        require_packages(source)
        return [(source, result_stem(source))]
    if not source.is_dir() or is_zarr(source):
        if not os.path.lexists(source):
            raise UsageError(f"Expected a file or a folder, found nothing at {source}. Check the name.")
        return [(source, result_stem(source))]
    images = list(walk_images(source))
    if not images:
        raise UsageError(
            f"Expected images below the folder {source}, found none. "
            f"Looked for: {', '.join(sorted(SUFFIXES))} and folders ending in {ZARR_SUFFIX}."
        )
    return images


def _walk(folder: Path, root: Path, seen: set[Path]) -> Iterator[tuple[Path, str]]:
    real = folder.resolve()
    if real in seen:
        return
    seen.add(real)
    try:
        entries = sorted(folder.iterdir())
    except OSError as error:
        if folder != root:
            yield folder, folder.relative_to(root).as_posix()
            return
        raise UsageError(
            f"Expected to list the folder {folder}, found: {error.strerror}. Change its permissions or leave it out."
        ) from error
    for path in entries:
        if path.name.startswith(".") or path.name in _PACKING_FOLDERS:
            continue
        mode = _mode(path)
        if _may_be_image(path, mode):
            below = PurePosixPath(path.relative_to(root).as_posix())
            yield path, _portable(below.with_name(_stem(path.name)))
        elif mode is not None and stat.S_ISDIR(mode):
            yield from _walk(path, root, seen)


def _mode(path: Path) -> int | None:
    """What kind of file it is; None where that cannot be found out: a link to nowhere, a file in a locked folder."""
    try:
        return path.stat().st_mode
    except OSError:
        return None


def _may_be_image(path: Path, mode: int | None) -> bool:
    suffix = path.suffix.lower()
    if mode is not None:
        return (suffix in SUFFIXES and stat.S_ISREG(mode)) or (suffix == ZARR_SUFFIX and stat.S_ISDIR(mode))
    return suffix in SUFFIXES or suffix == ZARR_SUFFIX or not _OTHER_FILE.fullmatch(suffix)


def leads_nowhere(path: Path) -> bool:
    """Whether a path is a symbolic link to something that is not there, or to itself."""
    return path.is_symlink() and _mode(path) is None


def is_zarr(path: Path) -> bool:
    """Whether a path is a folder that is one OME-Zarr image."""
    return path.suffix.lower() == ZARR_SUFFIX and path.is_dir()


def result_stem(source: Path) -> str:
    """What the results of an image that is named by itself are called."""
    return portable_name(_stem(source.file_name if is_url(source) else source.name))


def _stem(name: str) -> str:
    # "slide.ome.tif" and "slide.ome.zarr" are the slide, not "slide.ome".
    stem = Path(name).stem
    return stem[: -len(".ome")] if stem.lower().endswith(".ome") and len(stem) > len(".ome") else stem


def _portable(path: PurePosixPath) -> str:
    return "/".join(map(portable_name, path.parts))


def _same_file(first: Path, second: Path) -> bool:
    return first.resolve() == second.resolve()


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


def place_below(folder: Path, sample_id: str, suffix: str) -> Path:
    """The file of a sample below a folder, whose own folder is made; an id never leads out of the folder.

    Raises:
        OutputError: The folder is not writable.
    """
    parts = [portable_name(part) if part != ".." else "_" for part in PurePosixPath(sample_id).parts if part != "/"]
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
