"""Studies, images, jobs and corrections in one SQLite file, which survives every end of the server."""

import json
import sqlite3
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from organscope.errors import OutputError, UsageError
from organscope.ops.pixel_size import PixelSize

_SCHEMA = """
CREATE TABLE IF NOT EXISTS studies (
    id TEXT PRIMARY KEY, owner TEXT NOT NULL, name TEXT NOT NULL, created REAL NOT NULL,
    um_per_px REAL, channel INTEGER, choice TEXT NOT NULL DEFAULT '{}', analysis TEXT NOT NULL DEFAULT '{}'
);
CREATE TABLE IF NOT EXISTS images (
    number INTEGER PRIMARY KEY AUTOINCREMENT, id TEXT UNIQUE NOT NULL,
    study TEXT NOT NULL REFERENCES studies(id) ON DELETE CASCADE,
    name TEXT NOT NULL, path TEXT NOT NULL, uploaded INTEGER NOT NULL,
    n_bytes INTEGER NOT NULL, height_px INTEGER NOT NULL, width_px INTEGER NOT NULL, um_per_px REAL,
    created REAL NOT NULL, view TEXT, summary TEXT, file_stem TEXT NOT NULL DEFAULT ''
);
CREATE INDEX IF NOT EXISTS images_of_study ON images(study, number);
CREATE TABLE IF NOT EXISTS jobs (
    number INTEGER PRIMARY KEY AUTOINCREMENT,
    image TEXT NOT NULL REFERENCES images(id) ON DELETE CASCADE,
    state TEXT NOT NULL, stage TEXT NOT NULL DEFAULT '', fraction REAL NOT NULL DEFAULT 0,
    attempts INTEGER NOT NULL DEFAULT 0, message TEXT NOT NULL DEFAULT '',
    created REAL NOT NULL, started REAL, ended REAL, seconds REAL, worker INTEGER, since REAL
);
CREATE INDEX IF NOT EXISTS jobs_of_image ON jobs(image);
CREATE INDEX IF NOT EXISTS jobs_by_state ON jobs(state, number);
CREATE TABLE IF NOT EXISTS corrections (
    number INTEGER PRIMARY KEY AUTOINCREMENT,
    image TEXT NOT NULL REFERENCES images(id) ON DELETE CASCADE,
    action TEXT NOT NULL, cell INTEGER, organ TEXT, note TEXT NOT NULL DEFAULT '',
    who TEXT NOT NULL, at REAL NOT NULL, batch INTEGER, of INTEGER, shape TEXT
);
CREATE TABLE IF NOT EXISTS regions (
    number INTEGER PRIMARY KEY AUTOINCREMENT,
    image TEXT NOT NULL REFERENCES images(id) ON DELETE CASCADE,
    name TEXT NOT NULL, ring TEXT NOT NULL, who TEXT NOT NULL, at REAL NOT NULL
);
CREATE TABLE IF NOT EXISTS lessons (
    id TEXT PRIMARY KEY, study TEXT NOT NULL,
    owner TEXT NOT NULL, name TEXT NOT NULL, subject TEXT NOT NULL DEFAULT 'organs', state TEXT NOT NULL,
    message TEXT NOT NULL DEFAULT '', result TEXT,
    created REAL NOT NULL, started REAL, ended REAL
);
CREATE INDEX IF NOT EXISTS corrections_of_image ON corrections(image, number);
"""
#: Columns that tables of an earlier version lack.
_ADDED = (
    ("images", "file_stem", "TEXT NOT NULL DEFAULT ''"),
    ("studies", "choice", "TEXT NOT NULL DEFAULT '{}'"),
    ("studies", "analysis", "TEXT NOT NULL DEFAULT '{}'"),
    ("lessons", "subject", "TEXT NOT NULL DEFAULT 'organs'"),
    ("jobs", "since", "REAL"),
    ("corrections", "batch", "INTEGER"),
    ("corrections", "of", "INTEGER"),
    ("corrections", "shape", "TEXT"),
)
_BUSY_TIMEOUT_S = 20.0


def size_to_store(um_per_px: PixelSize | None) -> str | None:
    """A pixel size for the column `um_per_px`: height and width as JSON."""
    return None if um_per_px is None else json.dumps(um_per_px)


def stored_size(value: str | float | None) -> PixelSize | None:
    """What `size_to_store` gave; earlier versions stored one number for square pixels."""
    if isinstance(value, str):
        return tuple(json.loads(value))
    return None if value is None else (value, value)


class Database:
    """One connection a thread; writers wait for one another."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._local = threading.local()
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            self.read().executescript(_SCHEMA)
            self._migrate()
        except (OSError, sqlite3.Error) as error:
            raise OutputError(
                f"Expected a folder for studies that can be written, found {path.parent}: {error}. "
                "Choose another with --store."
            ) from error

    def _migrate(self) -> None:
        """Add what stores of earlier versions do not have."""
        for table, column, kind in _ADDED:
            known = {row["name"] for row in self.read().execute(f"PRAGMA table_info({table})")}
            if column not in known:
                self.read().execute(f"ALTER TABLE {table} ADD COLUMN {column} {kind}")
        self.read().execute("UPDATE images SET file_stem = id WHERE file_stem = ''")

    def read(self) -> sqlite3.Connection:
        """The connection of this thread, for statements of their own."""
        connection = getattr(self._local, "connection", None)
        if connection is None:
            connection = sqlite3.connect(self._path, timeout=_BUSY_TIMEOUT_S, isolation_level=None)
            connection.row_factory = sqlite3.Row
            # A write-ahead log lets pages be read while the worker writes, and survives kill -9.
            connection.execute("PRAGMA journal_mode = WAL")
            connection.execute("PRAGMA synchronous = NORMAL")
            connection.execute("PRAGMA foreign_keys = ON")
            self._local.connection = connection
        return connection

    @contextmanager
    def write(self) -> Iterator[sqlite3.Connection]:
        """Statements that are kept together or not at all."""
        connection = self.read()
        connection.execute("BEGIN IMMEDIATE")
        try:
            yield connection
        except BaseException:
            connection.execute("ROLLBACK")
            raise
        connection.execute("COMMIT")


@contextmanager
def sole_server(store: Path) -> Iterator[None]:
    """Keep a second server away from the same store; ends with this process, however it ends.

    Raises:
        UsageError: Another server is there.
    """
    store.mkdir(parents=True, exist_ok=True)
    lock = sqlite3.connect(store / "server.lock", timeout=0.5, isolation_level=None, check_same_thread=False)
    try:
        lock.execute("BEGIN EXCLUSIVE")
    except sqlite3.OperationalError:
        lock.close()
        raise UsageError(
            f"Expected to be the only server of {store}, found another. Stop it, or choose another folder with --store."
        ) from None
    try:
        yield
    finally:
        lock.close()
