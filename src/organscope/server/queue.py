"""The queue of images that wait for the network, in the database."""

import json
import sqlite3
import time
from dataclasses import dataclass, field
from typing import Any

from organscope.ops.pixel_size import PixelSize
from organscope.server.database import Database, stored_size

QUEUED, RUNNING, DONE, FAILED, CANCELLED = "queued", "running", "done", "failed", "cancelled"
MAX_ATTEMPTS = 3
#: Before anything was measured.
DEFAULT_SECONDS_PER_MEGAPIXEL = 2.0
_RECENT = 20


@dataclass(frozen=True)
class Job:
    """One image to analyze.

    Attributes:
        number: Place in the queue; never used twice.
        image: Its id.
        name: As the user named it.
        path: Its file.
        um_per_px: Pixel size that the user gave, None where the file is to be believed.
        channel: The only channel to look at, None for all.
        choice: Page, plane and so on to read, see `organscope.io.selection.Choice`.
    """

    number: int
    image: str
    name: str
    path: str
    um_per_px: PixelSize | None
    channel: int | str | None
    choice: dict[str, Any] = field(default_factory=dict)

    def options(self) -> dict[str, Any]:
        """What is read of the file, as keywords of `organscope.io.open_image`."""
        return {"channel": self.channel, **self.choice}


def add_job(connection: sqlite3.Connection, image: str) -> None:
    """Put an image at the end of the queue, within the caller's transaction."""
    connection.execute("INSERT INTO jobs (image, state, created) VALUES (?, ?, ?)", (image, QUEUED, time.time()))


def n_waiting(database: Database) -> int:
    """How many images wait or are worked on."""
    return database.read().execute("SELECT count(*) FROM jobs WHERE state IN (?, ?)", (QUEUED, RUNNING)).fetchone()[0]


def claim(database: Database, worker: int) -> Job | None:
    """Take the next image out of the queue, for the process of that number; None where none waits."""
    with database.write() as connection:
        row = connection.execute(
            "UPDATE jobs SET state = ?, stage = 'starting', fraction = 0, started = ?, attempts = attempts + 1, "
            "worker = ? WHERE number = (SELECT min(number) FROM jobs WHERE state = ?) RETURNING number, image",
            (RUNNING, time.time(), worker, QUEUED),
        ).fetchone()
        if row is None:
            return None
        image = connection.execute(
            "SELECT i.name, i.path, s.um_per_px, s.channel, s.choice FROM images i JOIN studies s ON s.id = i.study "
            "WHERE i.id = ?",
            (row["image"],),
        ).fetchone()
    given = stored_size(image["um_per_px"]), image["channel"], json.loads(image["choice"])
    return Job(row["number"], row["image"], image["name"], image["path"], *given)


def report(database: Database, number: int, stage: str, fraction: float) -> bool:
    """Say how far a job is; False where nobody wants it any more."""
    changed = database.read().execute(
        "UPDATE jobs SET stage = ?, fraction = ? WHERE number = ? AND state = ?", (stage, fraction, number, RUNNING)
    )
    return changed.rowcount == 1


def end(database: Database, number: int, state: str, message: str = "") -> None:
    """Say how a job ended, unless it was cancelled meanwhile."""
    values = {
        "state": state,
        "message": message,
        "now": time.time(),
        "number": number,
        "done": DONE,
        "running": RUNNING,
    }
    with database.write() as connection:
        connection.execute(
            "UPDATE jobs SET state = :state, message = :message, ended = :now, seconds = :now - started, "
            "fraction = CASE WHEN :state = :done THEN 1 ELSE fraction END WHERE number = :number AND state = :running",
            values,
        )
        connection.execute("UPDATE jobs SET worker = NULL WHERE number = :number", values)


def cancel(database: Database, image: str) -> None:
    """Take an image out of the queue, or have the worker stop."""
    database.read().execute(
        "UPDATE jobs SET state = ?, ended = ? WHERE image = ? AND state IN (?, ?)",
        (CANCELLED, time.time(), image, QUEUED, RUNNING),
    )


def cancel_all(database: Database, owner: str) -> int:
    """Take every image of a user out of the queue; how many these were."""
    changed = database.read().execute(
        "UPDATE jobs SET state = ?, ended = ? WHERE state IN (?, ?) AND image IN "
        "(SELECT i.id FROM images i JOIN studies s ON s.id = i.study WHERE s.owner = ?)",
        (CANCELLED, time.time(), QUEUED, RUNNING, owner),
    )
    return changed.rowcount


def requeue_interrupted(database: Database) -> None:
    """Put back what was worked on when the worker or the server ended; three ends are taken for the image's fault."""
    with database.write() as connection:
        connection.execute(
            "UPDATE jobs SET state = ?, message = ?, ended = ? WHERE state = ? AND attempts >= ?",
            (FAILED, _THREE_ENDS, time.time(), RUNNING, MAX_ATTEMPTS),
        )
        connection.execute(
            "UPDATE jobs SET state = ?, stage = '', fraction = 0, worker = NULL WHERE state = ?", (QUEUED, RUNNING)
        )
        connection.execute("UPDATE jobs SET worker = NULL WHERE state != ?", (RUNNING,))


def give_up(database: Database, worker: int, message: str) -> bool:
    """Let the job fail that a worker holds; False where it holds none."""
    changed = database.read().execute(
        "UPDATE jobs SET state = ?, message = ?, ended = ? WHERE state = ? AND worker = ?",
        (FAILED, message, time.time(), RUNNING, worker),
    )
    return changed.rowcount > 0


def has_work(database: Database, worker: int) -> bool:
    """Whether a worker has an image in hand."""
    row = database.read().execute("SELECT 1 FROM jobs WHERE state = ? AND worker = ?", (RUNNING, worker))
    return row.fetchone() is not None


def overdue_cancel(database: Database, worker: int, seconds: float) -> bool:
    """Whether the worker still holds a job that was cancelled so long ago."""
    row = database.read().execute(
        "SELECT 1 FROM jobs WHERE state = ? AND worker = ? AND ended < ?", (CANCELLED, worker, time.time() - seconds)
    )
    return row.fetchone() is not None


def seconds_per_megapixel(database: Database) -> float:
    """What the last finished images took, or a guess before the first."""
    row = (
        database.read()
        .execute(
            "SELECT sum(seconds) AS seconds, sum(pixels) / 1e6 AS megapixels FROM "
            "(SELECT j.seconds, i.height_px * i.width_px AS pixels FROM jobs j "
            "JOIN images i ON i.id = j.image WHERE j.state = ? ORDER BY j.ended DESC LIMIT ?)",
            (DONE, _RECENT),
        )
        .fetchone()
    )
    return row["seconds"] / row["megapixels"] if row["megapixels"] else DEFAULT_SECONDS_PER_MEGAPIXEL


def seconds_left(database: Database) -> dict[str, float]:
    """For every image that waits or is worked on, the seconds until it is done, by its id."""
    pace = seconds_per_megapixel(database)
    rows = database.read().execute(
        "SELECT j.image, j.state, j.fraction, j.started, i.height_px * i.width_px / 1e6 AS megapixels FROM jobs j "
        "JOIN images i ON i.id = j.image WHERE j.state IN (?, ?) ORDER BY j.state = ?, j.number",
        (QUEUED, RUNNING, QUEUED),
    )
    left, until = {}, 0.0
    for row in rows:
        until += _own_seconds(row, pace)
        left[row["image"]] = until
    return left


def _own_seconds(row: sqlite3.Row, pace: float) -> float:
    expected = max(pace * row["megapixels"], 0.1)
    if row["state"] == QUEUED:
        return expected
    spent = time.time() - row["started"]
    if row["fraction"] > 0.1:
        return spent * (1 - row["fraction"]) / row["fraction"]
    return max(expected - spent, 0.1)


_THREE_ENDS = (
    f"Expected the image to be analyzed, found that the analysis was ended {MAX_ATTEMPTS} times, as when memory runs "
    "out. Crop the image, or use `organscope analyze` on a larger machine."
)
