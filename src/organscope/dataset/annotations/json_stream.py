"""Read a JSON file of any size item by item, in constant memory."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any, TextIO

from organscope.errors import AnnotationError

CHUNK_CHARACTERS = 2**20
#: `.5` or `e-5` behind digits: so much must be seen to know that a number has ended.
LONGEST_NUMBER_TAIL = 3
BLANK = " \t\r\n"


def iterate_items(path: Path) -> Iterator[tuple[str, Any]]:
    """Yield (key, item) of every array in the top-level object, and (key, value) of everything else in it.

    Raises:
        AnnotationError: The file cannot be read or is no JSON object.
    """
    try:
        with path.open(encoding="utf-8-sig") as stream:
            yield from _Reader(stream).members()
    except (OSError, ValueError, RecursionError) as error:
        raise AnnotationError(f"{path}: expected a JSON file with an object, found: {error}.") from error


class _Reader:
    """A window on the text that grows at its end and is cut at its start."""

    def __init__(self, stream: TextIO) -> None:
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
