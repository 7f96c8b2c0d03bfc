"""Download a public data set, check it and unpack it.

Public data sets by their official addresses.
"""

import shutil
import zipfile
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

from organscope.data.records import hash_path
from organscope.errors import DatasetError, InputError, UnknownNameError
from organscope.io.paths import cannot_write, place_below


@dataclass(frozen=True)
class PublicSet:
    """A set that anyone may download.

    Attributes:
        name: What `organscope data fetch` takes.
        title: What it holds.
        url: Official address of a zip archive.
        sha256: Of the archive; None where its publisher gives none and nobody has confirmed one.
        size_mb: Of the archive, where known.
        license: As published.
        citation: To be cited with results.
    """

    name: str
    title: str
    url: str
    sha256: str | None
    size_mb: int | None
    licence: str
    citation: str


_ALL = (
    PublicSet(
        name="dsb2018",
        title="Fluorescence nuclei: the part of BBBC038 (Data Science Bowl 2018) that StarDist uses, 497 images",
        url="https://github.com/stardist/stardist/releases/download/0.1.0/dsb2018.zip",
        sha256="e44921950edce378063aa4457e625581ba35b4c2dbd9a07c19d48900129f386f",
        size_mb=None,
        licence="CC0 1.0",
        citation="Caicedo et al., Nature Methods 16:1247 (2019); Schmidt et al., MICCAI 2018",
    ),
    PublicSet(
        name="nuinsseg",
        title="H&E nuclei of 31 human and mouse organs, 665 images",
        url="https://zenodo.org/records/10518968/files/NuInsSeg.zip",
        sha256=None,
        size_mb=1627,
        licence="CC BY 4.0",
        citation="Mahbod et al., Scientific Data 11:295 (2024), doi 10.1038/s41597-024-03117-2",
    ),
)

PUBLIC_SETS = {public.name: public for public in _ALL}


_CHUNK_BYTES = 2**20
_TIMEOUT_S = 60
#: Added by the archiver of macOS; holds nothing of the set.
_CLUTTER = "__MACOSX"
_Progress = Callable[[int, int], None]


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

    def __init__(self, progress: _Progress) -> None:
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
    progress: _Progress | None = None,
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


def _download(public: PublicSet, archive: Path, progress: _Progress | None) -> Path:
    import pooch
    import requests

    # Its own messages would mix with those of the command line.
    pooch.get_logger().setLevel("CRITICAL")
    downloader = pooch.HTTPDownloader(
        progressbar=False if progress is None else _Bar(progress), chunk_size=_CHUNK_BYTES, timeout=_TIMEOUT_S
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
        shutil.rmtree(partial / _CLUTTER, ignore_errors=True)
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
