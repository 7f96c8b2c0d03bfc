"""Own organs and kinds of cells: the names that an expert gave images or cells of a study teach a bundle.

One lesson at a time, in a process of its own (`organscope teach`) that takes what pages and analyses leave of
the processor. What it found, or why it failed, is kept in the database.
"""

import json
import shutil
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Literal

import numpy as np
import pandas as pd

from organscope.data.cell_classes import count_text, point_table, write_class_table
from organscope.data.index import write_index
from organscope.data.records import hash_path
from organscope.errors import OrganscopeError
from organscope.io.selection import Choice, choice_as_text
from organscope.ops.pixel_size import PixelSize
from organscope.server.analysis import cells_of
from organscope.server.corrections import Corrected, corrected_cells, corrected_in_study
from organscope.server.database import Database
from organscope.server.errors import RefusalError
from organscope.server.settings import Settings
from organscope.server.store import images_of, new_id
from organscope.server.wording import for_page
from organscope.system import end_group, own_group

_QUEUED, _RUNNING, _DONE, _FAILED, _CANCELLED = "queued", "running", "done", "failed", "cancelled"
#: A lesson ends with its server, and lets everything else go first.
_PROGRAM = (
    "from organscope.system import die_with_parent, lower_priority; die_with_parent(); lower_priority(); "
    "from organscope.cli.main import main; main()"
)
_STOP_PATIENCE_S = 5.0
Subject = Literal["organs", "cells"]
#: What a lesson is of, and how many of each name it takes at least.
_SUBJECTS: dict[str, tuple[str, int]] = {"organs": ("images", 2), "cells": ("cells", 5)}
_LAST_LINES = 3


def add_lesson(database: Database, study: str, owner: str, name: str, subject: Subject = "organs") -> None:
    """Put a lesson with the named images of a study, or with its named cells, into the queue.

    Raises:
        RefusalError: 409, where too few have a name, or a lesson of the study is under way.
    """
    said = corrected_in_study(database, study)
    if subject == "organs":
        counts = Counter(_named(images_of(database, study), said).values())
    else:
        counts = Counter(kind for found in said.values() for kind in found.kinds.values())
    what, fewest = _SUBJECTS[subject]
    if len(counts) < 2 or min(counts.values()) < fewest:
        found = ", ".join(f"{n} of {one}" for one, n in sorted(counts.items())) or "none"
        raise RefusalError(
            409, f"Expected two names or more with {fewest} {what} each, found {found}. Name {what} first."
        )
    with database.write() as connection:
        under_way = connection.execute(
            "SELECT 1 FROM lessons WHERE study = ? AND state IN (?, ?)", (study, _QUEUED, _RUNNING)
        ).fetchone()
        if under_way:
            raise RefusalError(409, "Expected no lesson of this study under way, found one. Wait, or stop it.")
        connection.execute(
            "INSERT INTO lessons (id, study, owner, name, subject, state, created) VALUES (?, ?, ?, ?, ?, ?, ?)",
            (new_id(), study, owner, name, subject, _QUEUED, time.time()),
        )


def lessons_of(database: Database, study: str) -> list[dict[str, Any]]:
    """The lessons of a study, the newest first; `result` is what `organscope teach --json` printed."""
    rows = database.read().execute("SELECT * FROM lessons WHERE study = ? ORDER BY created DESC", (study,))
    return [dict(row) | {"result": row["result"] and json.loads(row["result"])} for row in rows]


def stop_lessons(database: Database, study: str) -> None:
    """Take lessons of a study out of the queue; one that runs is ended."""
    database.read().execute(
        "UPDATE lessons SET state = ?, ended = ? WHERE study = ? AND state IN (?, ?)",
        (_CANCELLED, time.time(), study, _QUEUED, _RUNNING),
    )


def taught_bundles(database: Database, owner: str, settings: Settings) -> list[tuple[str, Path]]:
    """Ids and folders of the bundles that a user taught, the newest first."""
    rows = database.read().execute(
        "SELECT id FROM lessons WHERE owner = ? AND state = ? ORDER BY created DESC", (owner, _DONE)
    )
    return [(bundle_id(row["id"]), _bundle_folder(settings, row["id"])) for row in rows]


def bundle_id(lesson: str) -> str:
    """By which a person chooses the bundle of a lesson."""
    return f"taught-{lesson}"


class Teacher:
    """Gives one lesson after the other."""

    def __init__(self, settings: Settings, database: Database) -> None:
        self._settings = settings
        self._database = database
        self._process: subprocess.Popen | None = None
        self._lesson = ""

    def begin(self) -> None:
        """Put back what an earlier server left unfinished."""
        self._database.read().execute("UPDATE lessons SET state = ? WHERE state = ?", (_QUEUED, _RUNNING))

    def advance(self) -> None:
        """Start the next lesson, note how one ended, or end one that is not wanted; does not wait."""
        if self._process is None:
            self._start_next()
        elif self._process.poll() is not None:
            self._note_end()
        elif self._state() != _RUNNING:
            self.end()

    def end(self) -> None:
        """End the lesson that is given."""
        if self._process is None:
            return
        end_group(self._process, _STOP_PATIENCE_S)
        # Closes its pipes.
        self._process.communicate()
        self._process = None

    def _state(self) -> str | None:
        row = self._database.read().execute("SELECT state FROM lessons WHERE id = ?", (self._lesson,)).fetchone()
        return None if row is None else row["state"]

    def _start_next(self) -> None:
        with self._database.write() as connection:
            row = connection.execute(
                "UPDATE lessons SET state = ?, started = ? WHERE id = "
                "(SELECT id FROM lessons WHERE state = ? ORDER BY created LIMIT 1) RETURNING *",
                (_RUNNING, time.time(), _QUEUED),
            ).fetchone()
        if row is None:
            return
        self._lesson = row["id"]
        try:
            folder = self._write_lesson(row["study"], row["subject"])
        except (OrganscopeError, RefusalError, OSError) as error:
            self._keep(_FAILED, message=str(error))
            return
        out = _bundle_folder(self._settings, self._lesson)
        # What a lesson that was interrupted left there.
        shutil.rmtree(out, ignore_errors=True)
        command = [sys.executable, "-c", _PROGRAM, "teach", row["subject"], str(folder), "--json", "-o", str(out)]
        self._process = subprocess.Popen(
            [*command, "--name", f"own-{row['subject']}", "--threads", "1"],
            stdout=subprocess.PIPE, stderr=subprocess.PIPE, stdin=subprocess.DEVNULL, text=True, **own_group(),
        )  # fmt: skip

    def _write_lesson(self, study: str, subject: str) -> Path:
        """The index of the named images, or of the images with named cells."""
        images, said = images_of(self._database, study), corrected_in_study(self._database, study)
        folder = self._settings.store / "lessons" / self._lesson
        if subject == "organs":
            named = _named(images, said)
            rows = [_index_row(image, organ=named[image["id"]]) for image in images if image["id"] in named]
        else:
            with_kinds = [image for image in images if image["id"] in said and said[image["id"]].kinds]
            rows = [self._cells_row(folder, image, said[image["id"]]) for image in with_kinds]
        write_index(folder, pd.DataFrame(rows))
        return folder

    def _cells_row(self, folder: Path, image: dict[str, Any], found: Corrected) -> dict[str, Any]:
        cells = corrected_cells(cells_of(self._settings.result_folder(image["id"])), found)
        named = cells[cells["id"].isin(list(found.kinds))]
        points = [(row.centroid_y_px, row.centroid_x_px, found.kinds[row.id]) for row in named.itertuples()]
        table = point_table(points)
        path = write_class_table(folder, image["file_stem"], table)
        return _index_row(image) | {"classes": str(path), "class_counts": count_text(table)}

    def _note_end(self) -> None:
        printed, problems = self._process.communicate()
        code, self._process = self._process.returncode, None
        if code == 0:
            self._keep(_DONE, result=printed)
        else:
            last = " ".join(problems.strip().splitlines()[-_LAST_LINES:]) or f"the process ended with {code}"
            self._keep(_FAILED, message=for_page(last))
        shutil.rmtree(self._settings.store / "lessons" / self._lesson, ignore_errors=True)

    def _keep(self, state: str, *, message: str = "", result: str | None = None) -> None:
        self._database.read().execute(
            "UPDATE lessons SET state = ?, message = ?, result = ?, ended = ? WHERE id = ? AND state = ?",
            (state, message, result, time.time(), self._lesson, _RUNNING),
        )


def _named(images: Sequence[dict[str, Any]], said: Mapping[str, Corrected]) -> dict[str, str]:
    """The organ that an expert gave each image, by its id."""
    found = {image["id"]: said[image["id"]].organ for image in images if image["id"] in said}
    return {image: organ for image, organ in found.items() if organ}


def _index_row(image: dict[str, Any], organ: str = "") -> dict[str, Any]:
    """A row of an index; the folder of an image is its group, such as the patient or the slide."""
    path, (folder, _, _) = Path(image["path"]), image["name"].rpartition("/")
    size: PixelSize = image["given_um_per_px"] or image["um_per_px"] or (np.nan, np.nan)
    choice = Choice(channel=image["given_channel"], **image["given_choice"])
    return {
        "id": image["file_stem"], "image": str(path), "organ": organ, "species": "", "group": folder, "labels": "",
        "dataset": "own images", "split": "", "fold": 0, "height_px": image["height_px"],
        "width_px": image["width_px"], "n_channels": 3, "dtype": "uint8", "labeled": False, "n_cells": None,
        "sha256": hash_path(path), "labels_sha256": "", "um_per_px_y": size[0], "um_per_px_x": size[1], "classes": "",
        "class_counts": "", "choice": choice_as_text(choice),
    }  # fmt: skip


def _bundle_folder(settings: Settings, lesson: str) -> Path:
    return settings.store / "bundles" / lesson
