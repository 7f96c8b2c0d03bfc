"""What a run has done, image by image and region by region, in one SQLite file in the output folder.

Only the process that was started by a person writes it; `organscope status` reads it meanwhile. A region counts as
done when its part file has its name and the ledger has its row, in this order, so that a kill between both costs one
region. A ledger that cannot be read is begun anew: what it would have saved is done again.
"""

import hashlib
import json
import os
import platform
import sqlite3
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from organscope.errors import OutputError, UsageError

FOLDER = ".organscope"
_FILE = "ledger.sqlite3"
_FORMAT = 1

WINDOWS, SEAMS = "windows", "seams"
"""The stages of a slide."""

_State = Literal["waiting", "running", "done", "quarantined"]

_TABLES = f"""
CREATE TABLE IF NOT EXISTS images (
    stem TEXT PRIMARY KEY, place INTEGER, source TEXT, identity TEXT, state TEXT, pixels INTEGER, regions INTEGER,
    begun REAL, ended REAL, message TEXT DEFAULT '', trace TEXT DEFAULT '', result TEXT DEFAULT '');
CREATE TABLE IF NOT EXISTS regions (
    stem TEXT, stage TEXT, number INTEGER, cells INTEGER, has_part INTEGER, seconds REAL, ended REAL,
    PRIMARY KEY (stem, stage, number));
CREATE TABLE IF NOT EXISTS runs (begun REAL, ended REAL, machine TEXT, process INTEGER);
PRAGMA user_version = {_FORMAT};
PRAGMA synchronous = NORMAL;
"""


@dataclass(frozen=True)
class Region:
    """One region of a slide that is done.

    Attributes:
        number: Of the window, or of the first window of seams.
        n_cells: Cells in it.
        has_part: Whether there is a part file; a window that shows only glass has none.
        seconds: What it took.
    """

    number: int
    n_cells: int
    has_part: bool
    seconds: float


def ledger_path(out: Path) -> Path:
    """Where the ledger of an output folder lies."""
    return out / FOLDER / _FILE


def identity_of(source: Path, facts: dict[str, object]) -> str:
    """A fingerprint of an image file and of all that its result depends on; another one means: do it anew."""
    try:
        stated = source.stat()
        facts = facts | {"size": stated.st_size, "changed": stated.st_mtime_ns}
    except OSError:
        # Missing, or somewhere on the net, where a file of one name is taken to be one file.
        facts = facts | {"size": None}
    text = json.dumps(facts | {"source": str(source)}, sort_keys=True, default=str)
    return hashlib.sha256(text.encode("utf-8", "surrogateescape")).hexdigest()


class Ledger:
    """The ledger of one run; the base of resuming."""

    def __init__(self, path: Path | None) -> None:
        """Open or make the file; None for a ledger that is forgotten at the end.

        Raises:
            OutputError: The folder cannot be written.
        """
        try:
            if path is not None:
                path.parent.mkdir(parents=True, exist_ok=True)
            self._database = _open(path)
        except (OSError, sqlite3.Error) as error:
            raise OutputError(
                f"Expected to keep a ledger in {path}, found: {error}. Choose another folder with -o."
            ) from error

    def begin_run(self) -> None:
        """A new start of the command."""
        self._do("INSERT INTO runs VALUES (?, NULL, ?, ?)", (time.time(), platform.node(), os.getpid()))

    def end_run(self) -> None:
        """The command has come to its end; that a full disk did not take this is no failure of its own."""
        with suppress(OutputError):
            self._do("UPDATE runs SET ended = ? WHERE ended IS NULL", (time.time(),))

    def expect(self, stem: str, place: int, source: str, identity: str, pixels: int) -> bool:
        """Note an image that is to be worked on.

        Returns:
            Whether what is known of it still holds; else it has been forgotten.
        """
        row = self._one("SELECT identity FROM images WHERE stem = ?", (stem,))
        if row is not None and row[0] == identity:
            self._do(
                "UPDATE images SET place = ?, state = CASE state WHEN 'done' THEN 'done' ELSE 'waiting' END, "
                "message = '', trace = '' WHERE stem = ?",
                (place, stem),
            )
            return True
        self._do("DELETE FROM regions WHERE stem = ?", (stem,))
        self._do(
            "INSERT OR REPLACE INTO images (stem, place, source, identity, state, pixels, regions) "
            "VALUES (?, ?, ?, ?, 'waiting', ?, 0)",
            (stem, place, source, identity, pixels),
        )
        return False

    def expect_unreadable(self, stem: str, place: int, source: str) -> None:
        """Note an image that cannot be opened now; what is known of it is kept, because its disk may come back."""
        self._do(
            "INSERT INTO images (stem, place, source, identity, state, pixels, regions) "
            "VALUES (?, ?, ?, '', 'waiting', 0, 0) "
            "ON CONFLICT (stem) DO UPDATE SET place = excluded.place, state = 'waiting', message = '', trace = ''",
            (stem, place, source),
        )

    def forget_all_but(self, stems: set[str]) -> None:
        """Forget images that are not part of this run."""
        for (stem,) in self._database.execute("SELECT stem FROM images").fetchall():
            if stem not in stems:
                self._do("DELETE FROM images WHERE stem = ?", (stem,))
                self._do("DELETE FROM regions WHERE stem = ?", (stem,))

    def begin(self, stem: str, regions: int = 0) -> None:
        """Work on an image begins; so many regions are to be done."""
        self._do(
            "UPDATE images SET state = 'running', begun = ?, regions = ? WHERE stem = ?", (time.time(), regions, stem)
        )

    def region_done(self, stem: str, stage: str, region: Region) -> None:
        """A region has its part file."""
        values = (stem, stage, region.number, region.n_cells, region.has_part, region.seconds, time.time())
        self._do("INSERT OR REPLACE INTO regions VALUES (?, ?, ?, ?, ?, ?, ?)", values)

    def regions(self, stem: str, stage: str) -> dict[int, Region]:
        """The regions of one stage that are done, by number."""
        rows = self._database.execute(
            "SELECT number, cells, has_part, seconds FROM regions WHERE stem = ? AND stage = ? ORDER BY number",
            (stem, stage),
        )
        return {row[0]: Region(row[0], row[1], bool(row[2]), row[3]) for row in rows}

    def finish(self, stem: str, result: str) -> None:
        """An image has its results."""
        self._do("UPDATE images SET state = 'done', ended = ?, result = ? WHERE stem = ?", (time.time(), result, stem))

    def quarantine(self, stem: str, message: str, trace: str) -> None:
        """An image cannot be worked on; the next run tries it again."""
        self._do(
            "UPDATE images SET state = 'quarantined', ended = ?, message = ?, trace = ? WHERE stem = ?",
            (time.time(), message, trace, stem),
        )

    def result(self, stem: str) -> str:
        """What `finish` was given; empty where the image is not done."""
        row = self._one("SELECT result FROM images WHERE stem = ? AND state = 'done'", (stem,))
        return "" if row is None else row[0]

    def close(self) -> None:
        """Release the file."""
        self._database.close()

    def _one(self, statement: str, values: tuple) -> tuple | None:
        return self._database.execute(statement, values).fetchone()

    def _do(self, statement: str, values: tuple) -> None:
        try:
            self._database.execute(statement, values)
        except sqlite3.Error as error:
            # sqlite3 names a full disk in words alone; nothing else stops a ledger that could be opened.
            cause = OSError(28, str(error)) if "full" in str(error) else error
            raise OutputError(f"Expected to write to the ledger of the run, found: {error}.") from cause


@contextmanager
def read_ledger(out: Path) -> Iterator[sqlite3.Connection]:
    """The ledger of an output folder, for reading while a run may write it.

    Raises:
        UsageError: There is none.
    """
    path = ledger_path(out)
    if not path.is_file():
        raise UsageError(
            f"Expected the output folder of a run, found no ledger in {out}. Name the folder given with -o."
        )
    try:
        # Not read-only: after a kill the first reader puts the file in order.
        with closing(sqlite3.connect(path, timeout=30)) as database:
            yield database
    except sqlite3.Error as error:
        raise UsageError(f"Expected a ledger in {path}, found: {error}. Start the run again.") from error


def _open(path: Path | None) -> sqlite3.Connection:
    try:
        return _connect(path)
    except sqlite3.OperationalError:
        raise
    except sqlite3.DatabaseError:
        # Damaged, or of another version.
        path.unlink()
        return _connect(path)


def _connect(path: Path | None) -> sqlite3.Connection:
    database = sqlite3.connect(path or ":memory:", isolation_level=None, timeout=30)
    try:
        stored = database.execute("PRAGMA user_version").fetchone()[0]
        if stored not in (0, _FORMAT):
            raise sqlite3.DatabaseError(f"a ledger of format {stored}")
        database.executescript(_TABLES)
    except BaseException:
        database.close()
        raise
    return database
