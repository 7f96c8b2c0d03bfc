"""Download a public data set, check it and unpack it."""

import shutil
import zipfile
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

from organscope.dataset.names import cannot_write, place_below
from organscope.dataset.public_sets import PUBLIC_SETS, PublicSet
from organscope.dataset.rows import hash_path
from organscope.errors import DatasetError, InputError, UnknownNameError

CHUNK_BYTES = 2**20
TIMEOUT_S = 60
#: Added by the archiver of macOS; holds nothing of the set.
CLUTTER = "__MACOSX"
Progress = Callable[[int, int], None]


@dataclass(frozen=True)
class Fetched:
    """A set that lies on this machine.

    Attributes:
        folder: What `organscope data import` takes.
        sha256: Of the archive as it came; "" where the folder was there before.
        verified: The hash is the one that is known for this set.
    """

    folder: Path
    sha256: str
    verified: bool


class _Bar:
    """What pooch calls while it downloads, in its words."""

    def __init__(self, progress: Progress) -> None:
        self._progress = progress
        self.total = 0
        self._done = 0

    def update(self, n_bytes: int) -> None:
        self._done = min(self._done + n_bytes, self.total)
        self._progress(self._done, self.total)

    def reset(self) -> None:
        self._done = 0

    def close(self) -> None:
        """The bar belongs to the caller."""


def fetch_set(
    name: str,
    folder: str | Path,
    *,
    progress: Progress | None = None,
    known: Mapping[str, PublicSet] = PUBLIC_SETS,
) -> Fetched:
    """Download a public set into `folder`/`name`; nothing is downloaded where that folder exists.

    Args:
        name: A key of `known`.
        folder: Where the set's folder is made.
        progress: Called with the bytes that have come and that will come.
        known: Sets by name.

    Raises:
        UnknownNameError: There is no such set.
        InputError: It cannot be downloaded.
        DatasetError: What came has another SHA-256, or is no zip archive.
        OutputError: The folder is not writable or the disk is full.
    """
    public = known.get(name)
    if public is None:
        raise UnknownNameError(f"Expected a set of {', '.join(known)}, found {name!r}.")
    target = place_below(Path(folder), name, "")
    if target.is_dir():
        return Fetched(target, "", verified=False)
    archive = _download(public, target.with_name(f"{name}.zip"), progress)
    sha256 = hash_path(archive)
    _unpack(archive, target)
    archive.unlink()
    return Fetched(target, sha256, verified=public.sha256 is not None)


def _download(public: PublicSet, archive: Path, progress: Progress | None) -> Path:
    import pooch
    import requests

    # Its own messages would mix with those of the command line.
    pooch.get_logger().setLevel("CRITICAL")
    downloader = pooch.HTTPDownloader(
        progressbar=False if progress is None else _Bar(progress), chunk_size=CHUNK_BYTES, timeout=TIMEOUT_S
    )
    known_hash = None if public.sha256 is None else f"sha256:{public.sha256}"
    try:
        pooch.retrieve(
            public.url, known_hash, fname=archive.name, path=archive.parent.absolute(), downloader=downloader
        )
    except requests.RequestException as error:
        raise InputError(
            f"Expected to download {public.name} from {public.url}, found: {error}. Check the connection and run again."
        ) from error
    except ValueError as error:
        raise DatasetError(
            f"Expected the SHA-256 {public.sha256} of {public.url}, found another one. The download was thrown away; "
            "run again, and if that does not help the publisher has changed the file."
        ) from error
    except OSError as error:
        raise cannot_write(archive.parent, error) from error
    return archive


def _unpack(archive: Path, target: Path) -> None:
    """Unpack beside the target and rename, so that a set is there as a whole or not at all."""
    partial = target.with_name(f".{target.name}.partial")
    shutil.rmtree(partial, ignore_errors=True)
    try:
        with zipfile.ZipFile(archive) as content:
            content.extractall(partial)
        shutil.rmtree(partial / CLUTTER, ignore_errors=True)
        members = list(partial.iterdir())
        inner = members[0] if len(members) == 1 and members[0].is_dir() else partial
        inner.rename(target)
    except (zipfile.BadZipFile, EOFError) as error:
        archive.unlink()
        raise DatasetError(f"Expected a zip archive, found a damaged one ({error}). Run again.") from error
    except OSError as error:
        raise cannot_write(target.parent, error) from error
    finally:
        shutil.rmtree(partial, ignore_errors=True)
