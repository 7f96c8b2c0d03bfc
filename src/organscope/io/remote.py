"""Images that lie at an address, read by range through fsspec."""

import io
import threading
from pathlib import Path, PurePosixPath
from types import ModuleType
from typing import Any
from urllib.parse import urlsplit

from organscope.errors import ImageReadError, MissingExtraError

_PACKAGES = {"http": "aiohttp", "https": "aiohttp", "s3": "s3fs", "gs": "gcsfs"}
"""Scheme of an address: the package that fsspec needs for it."""
_NOT_FOUND = 404
_BLOCK_BYTES = 256 * 1024
"""Some tiles of a slide, or all the tables of a page: what is asked for next is often in the same block."""
_BLOCKS = {"block_size": _BLOCK_BYTES, "cache_type": "blockcache", "cache_options": {"maxblocks": 64}}


class UrlPath(type(Path())):
    """An address that passes where paths do; as text it is the address again.

    Only its parts and its text have a meaning: asked for the file, it is one that does not exist.
    """

    def __str__(self) -> str:
        scheme, *rest = self.parts
        return f"{scheme}//{'/'.join(rest)}"

    def __fspath__(self) -> str:
        return str(self)

    @property
    def file_name(self) -> str:
        """Name of the file, without what may follow a question mark."""
        return PurePosixPath(urlsplit(str(self)).path).name


def located(source: str | Path) -> Path:
    """A path, or an address as `UrlPath`, also where a path has made one slash of two."""
    path = Path(source)
    scheme, *rest = path.parts or ("",)
    is_address = scheme.endswith(":") and scheme[:-1] in _PACKAGES and rest
    return UrlPath(*path.parts) if is_address else path


def is_url(path: Path) -> bool:
    """Whether a path from `located` is an address."""
    return isinstance(path, UrlPath)


def require_packages(url: UrlPath) -> ModuleType:
    """fsspec, and that it can read this kind of address.

    Raises:
        MissingExtraError: A package is not installed.
    """
    scheme = url.parts[0].removesuffix(":")
    try:
        import fsspec

        __import__(_PACKAGES[scheme])
    except ModuleNotFoundError as error:
        raise MissingExtraError(
            f"Expected the packages for {scheme}:// addresses, found no {error.name}. "
            "Run: pip install 'organscope[remote]'."
        ) from error
    return fsspec


class UrlFile(io.RawIOBase):
    """A file at an address, of which only the ranges that are asked for travel; whatever fails is an OSError."""

    def __init__(self, url: UrlPath) -> None:
        """Find the file; nothing is read.

        Raises:
            ImageReadError: It is not there, is not to be had, or the server does not answer with ranges.
            MissingExtraError: A package is not installed.
        """
        super().__init__()
        fsspec = require_packages(url)
        self._url = url
        self._lock = threading.Lock()
        try:
            self._file: Any = fsspec.open(str(url), "rb", **_BLOCKS).open()
        # Each kind of server has its own exceptions.
        except Exception as error:
            raise _unreachable(url, error) from error
        if not self._file.seekable():
            self._file.close()
            raise _without_ranges(url)

    def head(self, n_bytes: int) -> bytes:
        """The first bytes.

        Raises:
            ImageReadError: They are not to be had, or the server sends the whole file instead.
        """
        try:
            found = self._file.read(n_bytes)
            # Only what does not begin the file shows whether the server sends parts; tables are often there.
            self._file.seek(-1, io.SEEK_END)
            self._file.read(1)
            return found
        except ValueError as error:
            raise _without_ranges(self._url) from error
        except Exception as error:
            raise _unreachable(self._url, error) from error

    def read_at(self, offset: int, n_bytes: int) -> bytes:
        """Bytes from a position, fewer at the end of the file; safe between threads."""
        with self._lock:
            self.seek(offset)
            return self.read(n_bytes)

    def readinto(self, buffer: memoryview) -> int:
        """Fill the buffer from the present position."""
        try:
            found = self._file.read(len(buffer))
        except OSError:
            raise
        except Exception as error:
            raise OSError(f"{self._url}: {type(error).__name__}: {error}") from error
        buffer[: len(found)] = found
        return len(found)

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        """Move; nothing travels."""
        return self._file.seek(offset, whence)

    def tell(self) -> int:
        """The present position."""
        return self._file.tell()

    def readable(self) -> bool:
        """Always."""
        return True

    def seekable(self) -> bool:
        """Always."""
        return True

    def close(self) -> None:
        """Let the blocks go."""
        if not self.closed:
            self._file.close()
        super().close()


def _unreachable(url: UrlPath, error: Exception) -> ImageReadError:
    if _is_missing(error):
        return ImageReadError(f"Expected an image at {url}, found nothing there. Check the address.")
    cause = error.__cause__ or error
    reason = str(cause) or type(cause).__name__
    return ImageReadError(f"Could not read {url}: {reason}. Check the URL, your credentials and the network.")


def _is_missing(error: Exception) -> bool:
    """For fsspec every address that does not answer is a file that is not found."""
    cause = error.__cause__
    if cause is None or isinstance(cause, FileNotFoundError):
        return isinstance(error, FileNotFoundError)
    return getattr(cause, "status", None) == _NOT_FOUND


def _without_ranges(url: UrlPath) -> ImageReadError:
    return ImageReadError(
        f"Expected a server that sends parts of a file, found that the one of {url} sends only the whole. "
        "Download the file and name it."
    )
