"""Studies and their images, as the database keeps them; every question is asked for one user.

File names for what leaves the page: told apart on every file system, and the same in every download.

Two images of one study may have equal names (`slide1/img_001.tif` and `slide2/img_001.tif`, or `A.png` and `a.png`).
Each gets a name of its own that stays as it is when more images arrive, because images are named in the order of their
arrival.
"""

import json
import os
import re
import secrets
import shutil
import sqlite3
import time
import unicodedata
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any

from organscope.ops.pixel_size import PixelSize
from organscope.server import queue
from organscope.server.database import Database, size_to_store, stored_size
from organscope.server.errors import RefusalError, not_found
from organscope.server.settings import Settings

#: Windows keeps these for devices, whatever the suffix.
RESERVED = frozenset({"con", "prn", "aux", "nul"} | {f"{name}{n}" for name in ("com", "lpt") for n in range(1, 10)})
#: File systems take 255 bytes; the kind of the file (`-cells.parquet`) and a number are added.
_MAX_BYTES = 180


def plain_part(text: str, otherwise: str) -> str:
    """One part of a path that every file system takes: letters and digits of any script, `.`, `-` and `_`.

    Args:
        text: Any text.
        otherwise: Stands for a text of which nothing is left.
    """
    kept = re.sub(r"[^\w.-]+", "_", unicodedata.normalize("NFC", text)).strip("._ ")
    kept = kept.encode()[:_MAX_BYTES].decode(errors="ignore").strip("._ ") or otherwise
    return f"{kept}_" if kept.split(".")[0].casefold() in RESERVED else kept


def file_stems(known: Iterable[dict[str, Any]], new: Iterable[dict[str, Any]]) -> dict[str, str]:
    """The name without suffix of the files of each new image, by id; no two are equal, not even but for capitals.

    Folders of the name are kept in front, joined by `_`: `slide1/img_001.tif` becomes `slide1_img_001`.

    Args:
        known: Images of the study that are named already, with `file_stem`.
        new: Images with `id` and `name`, in the order of their arrival.
    """
    stems: dict[str, str] = {}
    taken = {image["file_stem"].casefold() for image in known}
    for image in new:
        stem = next(stem for stem in _candidates(image["name"]) if stem.casefold() not in taken)
        taken.add(stem.casefold())
        stems[image["id"]] = stem
    return stems


def _candidates(name: str) -> Iterable[str]:
    path = PurePosixPath(name.replace("\\", "/"))
    stem = re.sub(r"\.ome$", "", path.stem, flags=re.IGNORECASE) or path.name
    first = plain_part("_".join((*path.parent.parts, stem)), "image")
    yield first
    if path.suffix:
        yield f"{first}_{plain_part(path.suffix, 'file')}"
    number = 2
    while True:
        yield f"{first}-{number}"
        number += 1


_LATEST = "SELECT max(number) FROM jobs WHERE image = i.id"
_IMAGE_COLUMNS = (
    "i.*, s.owner, s.name AS study_name, s.um_per_px AS given_um_per_px, s.channel AS given_channel, "
    "s.choice AS given_choice, s.analysis AS given_analysis, "
    "j.number AS job, j.state, j.stage, j.fraction, j.message, j.started, j.ended, "
    "j.seconds FROM images i JOIN studies s ON s.id = i.study "
    f"LEFT JOIN jobs j ON j.number = ({_LATEST})"
)


@dataclass(frozen=True)
class NewImage:
    """An image whose file is in its place, before the database knows it.

    Attributes:
        id: Names its folders.
        name: As the user named it, for people.
        path: The file.
        uploaded: The file is ours; False for one that lies in an allowed folder.
    """

    id: str
    name: str
    path: Path
    uploaded: bool
    n_bytes: int
    height_px: int
    width_px: int
    um_per_px: PixelSize | None


def new_id() -> str:
    """A name that nobody can guess."""
    return secrets.token_hex(8)


def add_study(
    database: Database,
    owner: str,
    name: str,
    um_per_px: PixelSize | None,
    channel: int | str | None,
    choice: dict[str, Any] | None = None,
    analysis: dict[str, Any] | None = None,
) -> str:
    """A new, empty study; its id.

    Args:
        database: Where it is kept.
        owner: Whose it is.
        name: For people.
        um_per_px: Pixel size in place of what the files say.
        channel: The only channel to look at.
        choice: What is read of each file, see `organscope.io.selection.Choice`.
        analysis: `diameter_px`, `min_cell_recall`, `bundles` (names or paths) and `models` (their names for people),
            each where it was chosen.
    """
    study = new_id()
    database.read().execute(
        "INSERT INTO studies (id, owner, name, created, um_per_px, channel, choice, analysis) "
        "VALUES (?, ?, ?, ?, ?, ?, ?, ?)",
        (study, owner, name, time.time(), size_to_store(um_per_px), channel, json.dumps(choice or {}),
         json.dumps(analysis or {})),
    )  # fmt: skip
    return study


def studies_of(database: Database, owner: str) -> list[dict[str, Any]]:
    """The studies of a user, the newest first, with how many images are in which state."""
    rows = database.read().execute(
        "SELECT s.id, s.name, s.created, s.um_per_px, s.channel, s.choice, s.analysis, count(i.id) AS n_images, "
        "coalesce(sum(j.state = 'done'), 0) AS n_done, "
        "coalesce(sum(j.state IN ('queued', 'running')), 0) AS n_waiting, "
        "coalesce(sum(j.state = 'failed'), 0) AS n_failed "
        "FROM studies s LEFT JOIN images i ON i.study = s.id "
        f"LEFT JOIN jobs j ON j.number = ({_LATEST}) WHERE s.owner = ? GROUP BY s.id ORDER BY s.created DESC",
        (owner,),
    )
    return [_with_choice(row) for row in rows]


def study_of(database: Database, study: str, owner: str) -> dict[str, Any]:
    """One study of a user.

    Raises:
        RefusalError: 404, where there is none of that id, or it is another user's.
    """
    row = database.read().execute("SELECT * FROM studies WHERE id = ? AND owner = ?", (study, owner)).fetchone()
    if row is None:
        raise not_found("a study of yours", study)
    return _with_choice(row)


def _with_choice(row: sqlite3.Row) -> dict[str, Any]:
    parsed = {"choice": json.loads(row["choice"]), "analysis": _shown_analysis(row["analysis"])}
    return {**dict(row), **parsed, "um_per_px": stored_size(row["um_per_px"])}


def _shown_analysis(text: str) -> dict[str, Any]:
    """What was chosen for the analysis, without where bundles lie on this machine."""
    return {name: value for name, value in json.loads(text).items() if name != "bundles"}


def images_of(database: Database, study: str) -> list[dict[str, Any]]:
    """The images of a study in the order of their arrival, each with its latest job."""
    rows = database.read().execute(f"SELECT {_IMAGE_COLUMNS} WHERE i.study = ? ORDER BY i.number", (study,))
    return [_decoded(row) for row in rows]


def image_of(database: Database, image: str, owner: str) -> dict[str, Any]:
    """One image of a user with its latest job.

    Raises:
        RefusalError: 404, where there is none of that id, or it is another user's.
    """
    row = database.read().execute(f"SELECT {_IMAGE_COLUMNS} WHERE i.id = ? AND s.owner = ?", (image, owner)).fetchone()
    if row is None:
        raise not_found("an image of yours", image)
    return _decoded(row)


def finished_image_of(database: Database, image: str, owner: str) -> dict[str, Any]:
    """One image of a user whose results are there.

    Raises:
        RefusalError: 404 as `image_of`; 409, where it is not finished.
    """
    found = image_of(database, image, owner)
    if found["summary"] is None:
        raise RefusalError(
            409, f"Expected results of {found['name']}, found that it is {found['state']}. Wait until it is done."
        )
    return found


def recent_images(database: Database, owner: str, since: float) -> list[dict[str, Any]]:
    """Images of a user that are worked on, then those that wait, then those that ended after a point in time."""
    rows = database.read().execute(
        f"SELECT {_IMAGE_COLUMNS} WHERE s.owner = ? AND (j.state IN ('queued', 'running') OR j.ended > ?) "
        "ORDER BY CASE j.state WHEN 'running' THEN 0 WHEN 'queued' THEN 1 ELSE 2 END, j.number",
        (owner, since),
    )
    return [_decoded(row) for row in rows]


def add_images(database: Database, study: str, images: list[NewImage], settings: Settings) -> None:
    """Keep images and put them into the queue, all or none.

    Raises:
        RefusalError: 413, where the study would hold too many; 503, where the queue is full.
    """
    limits = settings.limits
    with database.write() as connection:
        held = connection.execute("SELECT count(*) FROM images WHERE study = ?", (study,)).fetchone()[0]
        if held + len(images) > limits.images_a_study:
            raise RefusalError(
                413,
                f"Expected at most {limits.images_a_study:,} images in a study, found {held + len(images):,}. "
                "Make several studies, or use `organscope analyze` on the folder.",
            )
        known = connection.execute("SELECT id, name, file_stem FROM images WHERE study = ? ORDER BY number", (study,))
        stems = file_stems([dict(row) for row in known], [{"id": image.id, "name": image.name} for image in images])
        for image in images:
            _insert(connection, study, image, stems[image.id])
            queue.add_job(connection, image.id)


def _insert(connection: sqlite3.Connection, study: str, image: NewImage, stem: str) -> None:
    connection.execute(
        "INSERT INTO images (id, study, name, path, uploaded, n_bytes, height_px, width_px, um_per_px, created, "
        "file_stem) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
        (image.id, study, image.name, str(image.path), image.uploaded, image.n_bytes, image.height_px, image.width_px,
         size_to_store(image.um_per_px), time.time(), stem),
    )  # fmt: skip


def images_again(images: Iterable[dict[str, Any]], settings: Settings) -> list[NewImage]:
    """The same files as images of another study, without another upload; uploaded files are linked, not copied."""
    new = []
    for row in images:
        image, path = new_id(), Path(row["path"])
        if row["uploaded"]:
            folder = settings.upload_folder(image)
            folder.mkdir(parents=True)
            path = _linked(path, folder / path.name)
        sizes = row["height_px"], row["width_px"], None
        new.append(NewImage(image, row["name"], path, bool(row["uploaded"]), row["n_bytes"], *sizes))
    return new


def _linked(path: Path, link: Path) -> Path:
    try:
        os.link(path, link)
    except OSError:
        # Some file systems know no links.
        shutil.copyfile(path, link)
    return link


def try_again(database: Database, image: dict[str, Any]) -> None:
    """Put an image that failed or was cancelled into the queue again."""
    with database.write() as connection:
        queue.add_job(connection, image["id"])


def keep_pixel_size(database: Database, study: str, um_per_px: PixelSize | None) -> None:
    """Note the pixel size that a person gives for a study; None where the files are to be believed."""
    database.read().execute("UPDATE studies SET um_per_px = ? WHERE id = ?", (size_to_store(um_per_px), study))


def keep_view(database: Database, image: str, view: dict[str, Any]) -> None:
    """Note how the image is shown, and its size: what was chosen of a file may be smaller than its largest image."""
    database.read().execute(
        "UPDATE images SET view = ?, height_px = ?, width_px = ? WHERE id = ?",
        (json.dumps(view), view["height_px"], view["width_px"], image),
    )


def keep_summary(database: Database, image: str, summary: dict[str, Any]) -> None:
    """Note what was found."""
    database.read().execute(
        "UPDATE images SET summary = ?, um_per_px = ? WHERE id = ?",
        (json.dumps(summary), size_to_store(summary["um_per_px"]), image),
    )


def remove_study(database: Database, study: str, settings: Settings) -> None:
    """Forget a study with its files; images in allowed folders stay where they are."""
    images = images_of(database, study)
    for image in images:
        queue.cancel(database, image["id"])
    database.read().execute("DELETE FROM studies WHERE id = ?", (study,))
    for image in images:
        remove_files(image["id"], settings)


def remove_files(image: str, settings: Settings) -> None:
    """Remove the upload and the results of an image."""
    for folder in (settings.upload_folder(image), settings.result_folder(image)):
        shutil.rmtree(folder, ignore_errors=True)


def _decoded(row: sqlite3.Row) -> dict[str, Any]:
    found = dict(row)
    found["given_choice"] = json.loads(found["given_choice"])
    found["given_analysis"] = _shown_analysis(found["given_analysis"])
    for name in ("view", "summary"):
        found[name] = None if found[name] is None else json.loads(found[name])
    for name in ("um_per_px", "given_um_per_px"):
        found[name] = stored_size(found[name])
    if found["summary"] is not None:
        # Earlier versions kept one number.
        found["summary"]["um_per_px"] = found["um_per_px"]
    return found
