"""Read a JSON file of any size item by item, in constant memory; compressed and in any usual encoding."""

import codecs
import gzip
import io
import json
import zipfile
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from organscope.errors import AnnotationError

CHUNK_CHARACTERS = 2**20
#: `.5` or `e-5` behind digits: so much must be seen to know that a number has ended.
LONGEST_NUMBER_TAIL = 3
BLANK = " \t\r\n"
#: What tools of Windows write where they do not write UTF-8.
FALLBACK_ENCODING = "cp1252"
JSON_SUFFIXES = (".geojson", ".json")
#: Of files that hold one JSON file.
PACKED_SUFFIXES = (".gz", ".zip")
#: What reading a damaged, compressed or oddly encoded file raises.
READ_ERRORS = (OSError, ValueError, EOFError, RecursionError, RuntimeError, zipfile.BadZipFile, zlib.error)


def iterate_items(path: Path) -> Iterator[tuple[str, Any]]:
    """Yield (key, item) of every array in the top-level object, and (key, value) of everything else in it.

    Raises:
        AnnotationError: The file cannot be read or is no JSON object.
    """
    try:
        with open_text(path) as stream:
            yield from _Reader(stream).members()
    except READ_ERRORS as error:
        raise AnnotationError(f"{path}: expected a JSON file with an object, found: {error}.") from error


@contextmanager
def open_text(path: Path) -> Iterator[io.TextIOBase]:
    """The text of a JSON file: UTF-8, UTF-16, UTF-32, else cp1252; plain, gzip, or the one JSON file of a zip.

    Raises:
        OSError: The file cannot be read.
        ValueError: It is a zip without a JSON file, or with several.
    """
    encoding = _find_encoding(path)
    # Bytes without a meaning in cp1252 stand in names only; the file is read all the same.
    errors = "replace" if encoding == FALLBACK_ENCODING else "strict"
    with _open_bytes(path) as binary, io.TextIOWrapper(binary, encoding=encoding, errors=errors) as stream:
        yield stream


@contextmanager
def _open_bytes(path: Path) -> Iterator[io.BufferedIOBase]:
    with path.open("rb") as stream:
        head = stream.read(4)
    if head[:2] == b"\x1f\x8b":
        with gzip.open(path) as stream:
            yield stream
    elif head == b"PK\x03\x04":
        with zipfile.ZipFile(path) as archive:
            names = json_members(archive)
            if len(names) != 1:
                raise ValueError(f"a zip with {len(names)} JSON files where one should be")
            with archive.open(names[0]) as stream:
                yield stream
    else:
        with path.open("rb") as stream:
            yield stream


def json_members(archive: zipfile.ZipFile) -> list[str]:
    """Names of the JSON files in a zip, without what macOS adds."""
    names = [name for name in archive.namelist() if name.lower().endswith(JSON_SUFFIXES)]
    return [name for name in names if not name.startswith("__MACOSX/")]


def _find_encoding(path: Path) -> str:
    with _open_bytes(path) as stream:
        head = stream.read(4)
        encoding = json.detect_encoding(head)
        if not encoding.startswith("utf-8"):
            return encoding
        decoder = codecs.getincrementaldecoder("utf-8")()
        chunk = head
        try:
            while chunk:
                decoder.decode(chunk)
                chunk = stream.read(CHUNK_CHARACTERS)
            decoder.decode(b"", final=True)
        except UnicodeDecodeError:
            return FALLBACK_ENCODING
        return "utf-8-sig"


class _Reader:
    """A window on the text that grows at its end and is cut at its start."""

    def __init__(self, stream: io.TextIOBase) -> None:
        self._stream = stream
        self._text = ""
        self._at = 0
        self._decoder = json.JSONDecoder()

    def members(self) -> Iterator[tuple[str, Any]]:
        self._take("{")
        if self._peek() == "}":
            return
        while True:
            key = self._value()
            self._take(":")
            if self._peek() == "[":
                for item in self._items():
                    yield key, item
            else:
                yield key, self._value()
            if self._take(",}") == "}":
                return

    def _items(self) -> Iterator[Any]:
        self._take("[")
        if self._peek() == "]":
            self._take("]")
            return
        while True:
            yield self._value()
            if self._take(",]") == "]":
                return

    def _peek(self) -> str:
        """The next character that is not blank; "" at the end of the file."""
        while True:
            while self._at < len(self._text) and self._text[self._at] in BLANK:
                self._at += 1
            if self._at < len(self._text):
                return self._text[self._at]
            if not self._grow(CHUNK_CHARACTERS):
                return ""

    def _take(self, expected: str) -> str:
        found = self._peek()
        if not found or found not in expected:
            raise ValueError(f"{found!r} where one of {expected} should be (the file may be cut off)")
        self._at += 1
        return found

    def _value(self) -> Any:
        self._peek()
        size = CHUNK_CHARACTERS
        while True:
            try:
                value, end = self._decoder.raw_decode(self._text, self._at)
                # A number that ends within the last characters may go on behind the window.
                is_whole = end + LONGEST_NUMBER_TAIL <= len(self._text)
                length = end - self._at
                if is_whole or not self._grow(size):
                    self._at += length
                    return value
            except ValueError:
                if not self._grow(size):
                    raise
            size *= 2

    def _grow(self, n_characters: int) -> bool:
        more = self._stream.read(n_characters)
        self._text = self._text[self._at :] + more
        self._at = 0
        return bool(more)
