"""How far a run is, read from its ledger while it goes on, or after it was interrupted."""

import os
import platform
import sqlite3
import time
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import psutil

from organscope.errors import UsageError
from organscope.pipeline.ledger import WINDOWS, read_ledger

CLOCK_SLACK_S = 60
"""The system reckons the age of processes from its own start, and its clock may have been put right since."""


@dataclass(frozen=True)
class _Present:
    """A slide that is being worked on, or was when the run was interrupted."""

    source: str
    n_done: int
    n_regions: int


@dataclass(frozen=True)
class _Quarantined:
    """An image that could not be used, and why."""

    source: str
    message: str


@dataclass(frozen=True)
class RunStatus:
    """How far a run is.

    Attributes:
        state: `running`; `interrupted`, where its process is gone; `ended`; `elsewhere`, where another machine
            started it, so that only the last sign of life tells.
        n_images: All of the run.
        n_done: With their results in place.
        present: Slides at work.
        quarantined: Images that failed; the same command tries them again.
        megapixels_left: Of images that are not done.
        seconds_left: At the speed so far; None where nothing is left, or no speed is known.
        last_sign_s: How long ago anything was entered.
    """

    state: Literal["running", "interrupted", "ended", "elsewhere"]
    n_images: int
    n_done: int
    present: tuple[_Present, ...]
    quarantined: tuple[_Quarantined, ...]
    megapixels_left: float
    seconds_left: float | None
    last_sign_s: float

    @property
    def n_waiting(self) -> int:
        """Images that nobody has begun."""
        return self.n_images - self.n_done - len(self.present) - len(self.quarantined)


def require_idle(out: Path) -> None:
    """Refuse an output folder that another process of this machine is writing into.

    Raises:
        UsageError: There is one.
    """
    run = None
    # Without a ledger nobody has begun.
    with suppress(UsageError), read_ledger(out) as database:
        run = _last_run(database)
    if run is not None and run[3] != os.getpid() and _state(run) == "running":
        raise UsageError(
            f"Expected an output folder that nobody is writing into, found process {run[3]} at work in {out}. "
            "Wait for it (organscope status tells how far it is), or choose another folder with -o."
        )


def run_status(out: Path) -> RunStatus:
    """Read the ledger of an output folder.

    Raises:
        UsageError: There is none.
    """
    with read_ledger(out) as database:
        run = _last_run(database)
        begun = time.time() if run is None else run[0]
        images = database.execute("SELECT stem, source, state, pixels, ended, message FROM images ORDER BY place")
        rows = images.fetchall()
        regions = {stem: _regions(database, stem, begun) for stem, _, state, *_ in rows if state == "running"}
        last = database.execute("SELECT MAX(ended) FROM (SELECT ended FROM images UNION ALL SELECT ended FROM regions)")
        last_sign = max(last.fetchone()[0] or begun, begun)
    state = _state(run)
    now = time.time() if state == "running" else last_sign
    done_px = sum(pixels for _, _, at, pixels, when, _ in rows if at == "done" and (when or 0) >= begun)
    left_px = 0.0
    for stem, _, at, pixels, _, _ in rows:
        done, fresh, total = regions.get(stem, (0, 0, 1))
        done_px += pixels * fresh / max(1, total)
        left_px += pixels * (1 - done / max(1, total)) if at in ("running", "waiting") else 0
    speed = done_px / max(now - begun, 1e-3)
    return RunStatus(
        state=state,
        n_images=len(rows),
        n_done=sum(row[2] == "done" for row in rows),
        present=tuple(_Present(row[1], regions[row[0]][0], regions[row[0]][2]) for row in rows if row[2] == "running"),
        quarantined=tuple(_Quarantined(row[1], row[5]) for row in rows if row[2] == "quarantined"),
        megapixels_left=left_px / 1e6,
        seconds_left=left_px / speed if left_px and speed else None,
        last_sign_s=max(0.0, time.time() - last_sign),
    )


def _last_run(database: sqlite3.Connection) -> tuple | None:
    """When it began and ended, on which machine and in which process."""
    return database.execute("SELECT begun, ended, machine, process FROM runs ORDER BY rowid DESC").fetchone()


def _regions(database: sqlite3.Connection, stem: str, begun: float) -> tuple[int, int, int]:
    """Windows of a slide that are done, those done since the run began, and all."""
    done, fresh = database.execute(
        "SELECT COUNT(*), COALESCE(SUM(ended >= ?), 0) FROM regions WHERE stem = ? AND stage = ?",
        (begun, stem, WINDOWS),
    ).fetchone()
    total = database.execute("SELECT regions FROM images WHERE stem = ?", (stem,)).fetchone()[0]
    return done, fresh, total


def _state(run: tuple | None) -> Literal["running", "interrupted", "ended", "elsewhere"]:
    if run is None or run[1] is not None:
        return "ended" if run is not None else "interrupted"
    if run[2] != platform.node():
        return "elsewhere"
    return "running" if _is_alive(run[3], run[0]) else "interrupted"


def _is_alive(process: int, begun: float) -> bool:
    """Whether a process is there and is as old as the run: after a restart of the machine numbers are given anew."""
    try:
        found = psutil.Process(process)
        return found.status() != psutil.STATUS_ZOMBIE and found.create_time() <= begun + CLOCK_SLACK_S
    except psutil.NoSuchProcess:
        return False
    except psutil.AccessDenied:
        return True
