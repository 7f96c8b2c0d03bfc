"""The queue of images that wait for the network, in the database: short ones first, and a share for each user."""

import json
import sqlite3
import time
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

from organscope.ops.pixel_size import PixelSize
from organscope.server.database import Database, stored_size

QUEUED, RUNNING, DONE, FAILED, CANCELLED = "queued", "running", "done", "failed", "cancelled"
MAX_ATTEMPTS = 3
#: Before anything was measured.
DEFAULT_SECONDS_PER_MEGAPIXEL = 2.0
_RECENT = 20
#: From this share on an image tells its own speed.
_MEASURED_FROM = 0.01
_LEAST_S = 0.1
#: Images that are expected to take longer are long: they wait for short ones, and make room for them.
LONG_S = 30.0
#: So long a long image is worked on before it makes room for a short one, or for a long one of another user.
TURN_S, LONG_TURN_S = 8.0, 300.0
#: A long image that was passed over so long has a turn all the same.
PATIENCE_S = 180.0
#: A user's share is counted over this time.
_OF_LATE_S = 900.0


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
        analysis: Cell size, share of cells to find and bundles, see `organscope.server.store.add_study`.
        is_shown: It can be looked at already, because work on it began before.
    """

    number: int
    image: str
    name: str
    path: str
    um_per_px: PixelSize | None
    channel: int | str | None
    choice: dict[str, Any] = field(default_factory=dict)
    analysis: dict[str, Any] = field(default_factory=dict)
    is_shown: bool = False

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
        chosen = next(_in_order(connection), None)
        if chosen is None:
            return None
        connection.execute(
            "UPDATE jobs SET state = ?, stage = 'starting', started = ?, attempts = attempts + 1, worker = ? "
            "WHERE number = ?",
            (RUNNING, time.time(), worker, chosen["number"]),
        )
        image = connection.execute(
            "SELECT i.name, i.path, i.view, s.um_per_px, s.channel, s.choice, s.analysis FROM images i "
            "JOIN studies s ON s.id = i.study WHERE i.id = ?",
            (chosen["image"],),
        ).fetchone()
    given = stored_size(image["um_per_px"]), image["channel"], *map(json.loads, (image["choice"], image["analysis"]))
    return Job(chosen["number"], chosen["image"], image["name"], image["path"], *given, image["view"] is not None)


def should_yield(database: Database, number: int) -> bool:
    """Whether an image that is worked on by region should let others go first, after one of its regions.

    It does for a short image once it had a turn, and for a long one of a user who had less, after a longer turn.
    """
    connection = database.read()
    own = connection.execute(
        "SELECT j.started, s.owner FROM jobs j JOIN images i ON i.id = j.image JOIN studies s ON s.id = i.study "
        "WHERE j.number = ? AND j.state = ?",
        (number, RUNNING),
    ).fetchone()
    if own is None:
        return False
    turn = time.time() - own["started"]
    if turn < TURN_S:
        return False
    served = _served(connection)
    first = next(_in_order(connection), None)
    if first is None:
        return False
    is_short = first["seconds_expected"] <= LONG_S
    return is_short or (turn >= LONG_TURN_S and served[first["owner"]] < served[own["owner"]])


def put_back(database: Database, number: int) -> None:
    """Let an image wait again that made room for others; what is done of it stays done."""
    database.read().execute(
        "UPDATE jobs SET state = :queued, stage = 'waiting for shorter images', attempts = attempts - 1, "
        "worker = NULL, since = :now, seconds = coalesce(seconds, 0) + :now - started "
        "WHERE number = :number AND state = :running",
        {"queued": QUEUED, "running": RUNNING, "now": time.time(), "number": number},
    )


def _in_order(connection: sqlite3.Connection) -> Iterator[dict[str, Any]]:
    """Images that wait, the next one first.

    A long one that nobody has worked on for `PATIENCE_S` has its turn. Else short ones come before long ones; among
    them the user who had least of late comes first, and of one user the shortest image.
    """
    now, pace = time.time(), _pace(connection)
    rows = connection.execute(
        "SELECT j.number, j.image, j.fraction, j.seconds, coalesce(j.since, j.created) AS since, s.owner, "
        "i.height_px * i.width_px / 1e6 AS megapixels FROM jobs j JOIN images i ON i.id = j.image "
        "JOIN studies s ON s.id = i.study WHERE j.state = ? ORDER BY j.number",
        (QUEUED,),
    )
    waiting = [dict(row) | {"seconds_expected": max(pace * row["megapixels"], _LEAST_S)} for row in rows]
    served = _served(connection)
    long = [row for row in waiting if row["seconds_expected"] > LONG_S]
    passed_over = [row for row in long if now - row["since"] > PATIENCE_S]
    if passed_over:
        first = min(passed_over, key=lambda row: row["since"])
        yield first
        long.remove(first)
    yield from _shared([row for row in waiting if row["seconds_expected"] <= LONG_S], served)
    yield from _shared(long, served)


def _shared(rows: list[dict[str, Any]], served: Counter[str]) -> Iterator[dict[str, Any]]:
    """Rows by turns of their users, of each the shortest first; `served` grows by what each takes."""
    by_owner: dict[str, list[dict[str, Any]]] = {}
    for row in sorted(rows, key=lambda row: (row["seconds_expected"], row["number"]), reverse=True):
        by_owner.setdefault(row["owner"], []).append(row)
    while by_owner:
        owner = min(by_owner, key=lambda name: (served[name], by_owner[name][-1]["number"]))
        row = by_owner[owner].pop()
        served[owner] += row["seconds_expected"]
        yield row
        if not by_owner[owner]:
            del by_owner[owner]


def _served(connection: sqlite3.Connection) -> Counter[str]:
    """Seconds of work that each user had of late."""
    now = time.time()
    rows = connection.execute(
        "SELECT s.owner, sum(coalesce(j.seconds, 0) + CASE j.state WHEN ? THEN ? - j.started ELSE 0 END) AS seconds "
        "FROM jobs j JOIN images i ON i.id = j.image JOIN studies s ON s.id = i.study "
        "WHERE j.started > ? OR j.state = ? GROUP BY s.owner",
        (RUNNING, now, now - _OF_LATE_S, RUNNING),
    )
    return Counter({row["owner"]: row["seconds"] for row in rows})


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
            "UPDATE jobs SET state = :state, message = :message, ended = :now, "
            "seconds = coalesce(seconds, 0) + :now - started, "
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
    return _pace(database.read())


def _pace(connection: sqlite3.Connection) -> float:
    row = connection.execute(
        "SELECT sum(seconds) AS seconds, sum(pixels) / 1e6 AS megapixels FROM "
        "(SELECT j.seconds, i.height_px * i.width_px AS pixels FROM jobs j "
        "JOIN images i ON i.id = j.image WHERE j.state = ? ORDER BY j.ended DESC LIMIT ?)",
        (DONE, _RECENT),
    ).fetchone()
    return row["seconds"] / row["megapixels"] if row["megapixels"] else DEFAULT_SECONDS_PER_MEGAPIXEL


def seconds_left(database: Database) -> dict[str, float]:
    """For every image that waits or is worked on, the seconds until it is done, by its id."""
    connection = database.read()
    pace = _pace(connection)
    running = connection.execute(
        "SELECT j.image, j.fraction, j.started, j.seconds, i.height_px * i.width_px / 1e6 AS megapixels FROM jobs j "
        "JOIN images i ON i.id = j.image WHERE j.state = ?",
        (RUNNING,),
    ).fetchall()
    waiting = list(_in_order(connection))
    left, until = {}, 0.0
    in_hand = {row["image"]: _own_seconds(row, pace) for row in running}
    # Short images do not wait until a long one ends, but it waits for them.
    for_short = sum(_waiting_seconds(row) for row in waiting if row["seconds_expected"] <= LONG_S)
    for image, own in in_hand.items():
        until += min(own, TURN_S)
        left[image] = own + (for_short if own > LONG_S else 0.0)
    for row in waiting:
        until += _waiting_seconds(row)
        after = 0.0 if row["seconds_expected"] <= LONG_S else sum(max(own - TURN_S, 0.0) for own in in_hand.values())
        left[row["image"]] = until + after
    return left


def _waiting_seconds(row: dict[str, Any]) -> float:
    if row["fraction"] >= _MEASURED_FROM and row["seconds"]:
        return row["seconds"] * (1 - row["fraction"]) / row["fraction"]
    return row["seconds_expected"]


def _own_seconds(row: sqlite3.Row, pace: float) -> float:
    expected = max(pace * row["megapixels"], _LEAST_S)
    spent = (row["seconds"] or 0.0) + time.time() - row["started"]
    if row["fraction"] >= _MEASURED_FROM:
        return spent * (1 - row["fraction"]) / row["fraction"]
    # What takes longer than expected already will take at least as long again, until its own speed is known.
    return max(expected - spent, spent if spent > expected else _LEAST_S)


_THREE_ENDS = (
    f"Expected the image to be analyzed, found that the analysis was ended {MAX_ATTEMPTS} times, as when memory runs "
    "out. Crop the image, or use `organscope analyze` on a larger machine."
)
