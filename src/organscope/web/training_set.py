"""What experts reviewed, as a folder of images and labels that `organscope data import` takes."""

import csv
import io
import re
import tempfile
import zipfile
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from organscope.images import write_labels
from organscope.web.analysis import STEM
from organscope.web.corrections import Corrected, corrections_of, holds
from organscope.web.database import Database
from organscope.web.exports import write_labels_of
from organscope.web.refusals import RefusalError
from organscope.web.result_files import is_slide, labels_of
from organscope.web.settings import Settings
from organscope.web.tables import harmless

CORRECTION_COLUMNS = ("image", "action", "cell", "organ", "note", "who", "at")


def write_training_set(
    path: Path, images: Sequence[dict[str, Any]], found: dict[str, Corrected], database: Database, settings: Settings
) -> None:
    """Write a zip of `images/<organ>/`, `labels/<organ>/` and `corrections.csv`.

    Reviewed images alone are in it: those whose organ an expert accepted or named, or whose cells an expert looked at.
    Only the latter have labels: without the cells that experts deleted, with those that they drew, and with outlines
    that they called wrong as ignored regions (-1), which teach neither cell nor background. Slides in allowed folders
    are not copied; a note names them.

    Raises:
        RefusalError: 409, where nothing was reviewed.
    """
    reviewed = [row for row in images if row["summary"] and found.get(row["id"], Corrected()).is_reviewed]
    if not reviewed:
        raise RefusalError(
            409,
            "Expected images that an expert reviewed, found none. Accept or correct an organ, or check cells.",
        )
    names = _unique_names(reviewed, found)
    with zipfile.ZipFile(path, "w", zipfile.ZIP_STORED, strict_timestamps=False) as archive:
        for row in reviewed:
            _add_pair(archive, row, names[row["id"]], found[row["id"]], settings)
        archive.writestr("corrections.csv", _corrections_csv(reviewed, names, database))
        archive.writestr("README.txt", _read_me(reviewed, names))


def _add_pair(archive: zipfile.ZipFile, row: dict[str, Any], name: str, found: Corrected, settings: Settings) -> None:
    source = Path(row["path"])
    if row["uploaded"]:
        archive.write(source, f"images/{name}{source.suffix.lower()}")
    if not found.has_reviewed_cells:
        return
    with tempfile.TemporaryDirectory(prefix="organscope-") as folder:
        labels = Path(folder) / "labels.tif"
        out = settings.result_folder(row["id"])
        if is_slide(out / STEM):
            write_labels_of(labels, out, found, row["um_per_px"], row["name"], ignores=True)
        else:
            write_labels(labels, labels_of(out / STEM, found, ignores=True), row["um_per_px"])
        archive.write(labels, f"labels/{name}.tif")


def _unique_names(rows: Sequence[dict[str, Any]], found: dict[str, Corrected]) -> dict[str, str]:
    """`<organ>/<image>` by id; an organ that no expert named leaves the image at the top."""
    names: dict[str, str] = {}
    for row in rows:
        organ = re.sub(r"[^\w .-]+", "_", found[row["id"]].organ or "").strip(" .")
        names[row["id"]] = f"{organ}/{row['file_stem']}" if organ else row["file_stem"]
    return names


def _corrections_csv(rows: Sequence[dict[str, Any]], names: dict[str, str], database: Database) -> str:
    text = io.StringIO()
    writer = csv.DictWriter(text, CORRECTION_COLUMNS, lineterminator="\n", extrasaction="ignore")
    writer.writeheader()
    for row in rows:
        for said in holds(corrections_of(database, row["id"])):
            at = datetime.fromtimestamp(said["at"], UTC).isoformat(timespec="seconds")
            writer.writerow({**said, "image": names[row["id"]], "at": at, "note": harmless(said["note"])})
    return text.getvalue()


def _read_me(rows: Sequence[dict[str, Any]], names: dict[str, str]) -> str:
    lines = [
        "Images and labels that experts reviewed in organscope.",
        "",
        "    organscope data import THIS_FOLDER -o INDEX",
        "",
        "labels/: of the images whose cells an expert looked at. 0 is background, each value above it one cell; cells",
        "that experts deleted are left out. -1 is ignored: an outline that an expert called wrong; it teaches nothing.",
        "corrections.csv: who said what, and when (UTC), without what was undone.",
    ]
    slides = [row for row in rows if not row["uploaded"]]
    if slides:
        lines += ["", "Copy these images, which were analysed where they lie, to the places named:"]
        lines += [f"    {row['name']} -> images/{names[row['id']]}{Path(row['path']).suffix}" for row in slides]
    return "\n".join(lines) + "\n"
