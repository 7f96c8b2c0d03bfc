"""Finished images of an import, so that an interrupted one goes on where it stopped."""

import hashlib
import json
from dataclasses import asdict
from pathlib import Path

from organscope.data.discovery import Entry
from organscope.data.index import Problem
from organscope.data.records import ImageSettings, Outcome
from organscope.io.paths import cannot_write


class Journal:
    """A text file to which every finished image is appended at once."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._finished = self._load()
        try:
            self._stream = path.open("a", encoding="utf-8")
        except OSError as error:
            raise cannot_write(path, error) from error

    def _load(self) -> dict[str, dict]:
        if not self._path.is_file():
            return {}
        finished = {}
        for line in self._path.read_text(encoding="utf-8").splitlines():
            try:
                record = json.loads(line)
            except ValueError:
                # The last line of an interrupted import may be cut off.
                continue
            finished[record["key"]] = record
        return finished

    def find(self, key: str) -> Outcome | None:
        """What an earlier run found for an unchanged image."""
        record = self._finished.get(key)
        if record is None:
            return None
        return Outcome(record["row"], [Problem(**problem) for problem in record["problems"]], record["mask_kind"])

    def add(self, key: str, outcome: Outcome) -> None:
        """Keep an image that is finished; one with failures is not kept, so that it is tried again."""
        if outcome.row is None or any(problem.failed for problem in outcome.problems):
            return
        problems = [asdict(problem) for problem in outcome.problems]
        try:
            record = {"key": key, "row": outcome.row, "problems": problems, "mask_kind": outcome.mask_kind}
            self._stream.write(json.dumps(record) + "\n")
            self._stream.flush()
        except OSError as error:
            raise cannot_write(self._path, error) from error

    def close(self) -> None:
        """Close the file; it stays for the next run."""
        self._stream.close()


def entry_key(entry: Entry, settings: ImageSettings) -> str:
    """Changes when the image, its annotation, or what is asked for changes."""
    sources = [entry.image, entry.annotation, *(settings.coco_files if entry.in_coco else ())]
    text = repr((entry, settings, [_stamp(path) for path in sources if path is not None]))
    return hashlib.sha256(text.encode("utf-8", "surrogateescape")).hexdigest()


def _stamp(path: Path) -> tuple[str, int, int]:
    try:
        status = path.stat()
    except OSError:
        return str(path), 0, 0
    return str(path), status.st_size, status.st_mtime_ns
