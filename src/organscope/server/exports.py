"""Files to take away, with the experts' corrections applied; each is made when it is asked for.

Tables of a whole study: one row an image, or one row a cell.

What experts reviewed, as a folder of images and labels that `organscope data import` takes.
"""

import csv
import io
import json
import re
import shutil
import tempfile
import zipfile
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from itertools import chain
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import tifffile
from jaxtyping import Int32
from pyarrow import parquet

from organscope.io import atomic_path, open_image, write_cells, write_labels
from organscope.io.geojson import HEAD, SEPARATOR, collection_end, geojson_features
from organscope.io.labels import write_label_pyramid
from organscope.io.tables import CSV_NAME, PARQUET_NAME
from organscope.ops.pixel_size import PixelSize
from organscope.pipeline.outputs import um_per_px_columns
from organscope.pipeline.plan import CELLS_PARQUET, SLIDE_LABELS
from organscope.server.analysis import STEM, cells_of
from organscope.server.corrections import Corrected, corrected_cells, corrections_of, holds
from organscope.server.database import Database
from organscope.server.errors import RefusalError
from organscope.server.kinds import KIND_COLUMNS, Kinds
from organscope.server.report_model import Findings, expert_word, not_ruled_out
from organscope.server.results import features, is_slide, label_shape, label_strips, labels_of
from organscope.server.settings import Settings

_TILE_PX = 256
_CSV, _PARQUET, _GEOJSON, _OME_TIFF = "cells.csv", "cells.parquet", "cells.geojson", "labels.ome.tif"
MEDIA_TYPES = {
    _CSV: "text/csv; charset=utf-8",
    _PARQUET: "application/vnd.apache.parquet",
    _GEOJSON: "application/geo+json",
    _OME_TIFF: "image/tiff",
}


def write_export(
    kind: str, folder: Path, out: Path, found: Corrected, kinds: Kinds, um_per_px: PixelSize | None, name: str
) -> Path:
    """Write one file for an image.

    Args:
        kind: A key of `MEDIA_TYPES`.
        folder: Empty; the file is written there.
        out: The result folder of the image.
        found: What experts say of it.
        kinds: Of its cells, which tables hold where any was named.
        um_per_px: Pixel size, None where unknown.
        name: Of the image, for the OME metadata.

    Raises:
        OutputError: The disk is full.
    """
    writers: dict[str, Callable[[], Path]] = {
        _CSV: lambda: _write_tables(folder, _with_kinds(_cells(out, found), kinds)) / CSV_NAME,
        _PARQUET: lambda: _write_tables(folder, _with_kinds(_cells(out, found), kinds)) / PARQUET_NAME,
        _GEOJSON: lambda: _write_geojson(folder / _GEOJSON, out, found),
        _OME_TIFF: lambda: _write_labels_of(folder / _OME_TIFF, out, found, um_per_px, name),
    }
    return writers[kind]()


def _write_labels_of(
    path: Path, out: Path, found: Corrected, um_per_px: PixelSize | None, name: str, *, ignores: bool = False
) -> Path:
    """Write the corrected labels of a result as OME-TIFF; those of a slide in flat memory, with smaller levels.

    With `ignores` cells whose outline is wrong are ignored regions; see `organscope.io.labels`.

    Raises:
        OutputError: The disk is full.
    """
    results = out / STEM
    if not is_slide(results):
        return _write_ome_labels(path, labels_of(results, found, ignores=ignores), um_per_px, name)
    with open_image(results / SLIDE_LABELS) as written:
        is_same = written.um_per_px == um_per_px
    if found.replaced or (ignores and found.marked) or not is_same:
        write_label_pyramid(path, label_strips(results, found, ignores=ignores), label_shape(results), um_per_px)
    else:
        shutil.copyfile(results / SLIDE_LABELS, path)
    return path


def _write_ome_labels(path: Path, labels: Int32[np.ndarray, "y x"], um_per_px: PixelSize | None, name: str) -> Path:
    """Write a label image as tiled, deflated OME-TIFF, with the pixel size where it is known.

    Raises:
        OutputError: The disk is full.
    """
    metadata = {"axes": "YX", "Name": name}
    if um_per_px is not None:
        metadata |= {
            "PhysicalSizeX": um_per_px[1],
            "PhysicalSizeXUnit": "µm",
            "PhysicalSizeY": um_per_px[0],
            "PhysicalSizeYUnit": "µm",
        }
    with atomic_path(path) as temporary:
        tifffile.imwrite(
            temporary, labels, ome=True, metadata=metadata, tile=(_TILE_PX, _TILE_PX), compression="zlib",
            photometric="minisblack",
        )  # fmt: skip
    return path


def _cells(out: Path, found: Corrected) -> pd.DataFrame:
    return corrected_cells(cells_of(out), found)


def _write_tables(folder: Path, table: pd.DataFrame) -> Path:
    write_cells(folder, table)
    return folder


def _write_geojson(path: Path, out: Path, found: Corrected) -> Path:
    """The features of the analysis without deleted cells, then those that were drawn or changed.

    Those with a wrong outline say so in their measurements.
    """
    table = cells_of(out)
    shapes = sorted(found.shapes.items())
    edited = corrected_cells(table, found).query("id in @found.shapes") if shapes else table[:0]
    separator = ""
    with atomic_path(path) as temporary, temporary.open("w", encoding="utf-8", newline="\n") as file:
        file.write(HEAD)
        known = zip(table["id"].tolist(), features(out / STEM), strict=True)
        polygons = [shape.polygon() for _, shape in shapes]
        drawn = zip(edited["id"].tolist(), geojson_features(polygons, edited, STEM), strict=True)
        for cell, feature in chain(((cell, text) for cell, text in known if cell not in found.replaced), drawn):
            file.write(separator + (_marked(feature) if cell in found.marked else feature))
            separator = SEPARATOR
        file.write(collection_end())
    return path


def _marked(feature: str) -> str:
    known = json.loads(feature)
    known["properties"]["measurements"]["marked"] = 1
    return json.dumps(known, separators=(",", ":"), ensure_ascii=False)


#: With these a spreadsheet would take a text for a formula.
_FORMULA_SIGNS = ("=", "+", "-", "@", "\t", "\r")


def write_images_table(
    path: Path,
    images: Sequence[dict[str, Any]],
    verdicts: dict[str, dict[str, Any]],
    corrected: dict[str, Corrected],
    said: dict[str, Findings],
) -> None:
    """Write one row an image: what was found, what is answered at the price that was named, what experts say.

    Args:
        path: CSV file to write.
        images: Rows of the database, those to look at first at the top.
        verdicts: By image; none for one that is not finished.
        corrected: By image; none where nobody said anything.
        said: By image, as the page says it.

    Raises:
        OutputError: The disk is full.
    """
    rows = [
        _row(image, verdicts.get(image["id"]), corrected.get(image["id"], Corrected()), said[image["id"]])
        for image in images
    ]
    with atomic_path(path) as temporary:
        pd.DataFrame(rows).to_csv(temporary, index=False)


def write_cells_table(
    path: Path,
    images: Sequence[dict[str, Any]],
    said: dict[str, Corrected],
    settings: Settings,
    kinds: Callable[[dict[str, Any]], Kinds] | None,
) -> None:
    """Write the cells of all finished images one below the other, name and `file_stem` of their image in front.

    One image is in memory at a time. `kinds` gives those of the cells of an image; None where no cell was named.

    Raises:
        OutputError: The disk is full.
    """
    finished = [image for image in images if image["summary"]]
    columns: dict[str, None] = {}
    for image in finished:
        schema = parquet.read_schema(settings.result_folder(image["id"]) / STEM / CELLS_PARQUET)
        columns |= dict.fromkeys(name for name in schema.names if not name.startswith("__"))
    wanted = ["image", "file_stem", *columns, "marked", "edited", *(KIND_COLUMNS if kinds else ())]
    with atomic_path(path) as temporary, temporary.open("w", encoding="utf-8", newline="") as file:
        pd.DataFrame(columns=wanted).to_csv(file, index=False)
        for image in finished:
            found = said.get(image["id"], Corrected())
            table = corrected_cells(cells_of(settings.result_folder(image["id"])), found)
            if kinds is not None:
                table = _with_kinds(table, kinds(image))
            names = {"image": harmless(image["name"]), "file_stem": harmless(image["file_stem"])}
            table = table.assign(**names, marked=table["id"].isin(found.marked), edited=table["id"].isin(found.shapes))
            table.reindex(columns=wanted).to_csv(file, index=False, header=False)


def _with_kinds(table: pd.DataFrame, found: Kinds) -> pd.DataFrame:
    """A table of cells with their kinds, where any was named."""
    if not found.names:
        return table
    columns = found.as_columns()
    return table.merge(columns.assign(kind=columns["kind"].map(harmless)), on="id", how="left")


def harmless(text: str) -> str:
    """The text, with a quote in front where a spreadsheet would run it as a formula."""
    return f"'{text}" if text.startswith(_FORMULA_SIGNS) else text


def _row(image: dict[str, Any], verdict: dict[str, Any] | None, found: Corrected, said: Findings) -> dict[str, Any]:
    summary, answer = image["summary"] or {}, verdict or {}
    at = "" if found.at is None else datetime.fromtimestamp(found.at, UTC).isoformat(timespec="seconds")
    return {
        "image": harmless(image["name"]),
        "file_stem": harmless(image["file_stem"]),
        "state": image["state"],
        "width_px": image["width_px"],
        "height_px": image["height_px"],
        **um_per_px_columns(image["um_per_px"]),
        "organ": answer.get("organ"),
        "probability": answer.get("confidence"),
        "decision": answer.get("decision"),
        "why": " ".join(answer.get("why", ())),
        "cannot_be_ruled_out": "; ".join((verdict and not_ruled_out(verdict)) or ()),
        "flagged": answer.get("flagged"),
        "expected_cost": answer.get("cost"),
        "expert_organ": expert_word(found),
        "expert_note": harmless(found.note),
        "expert": found.who,
        "expert_at": at,
        "n_cells": said.n_cells,
        "n_found": said.n_found,
        "n_deleted": said.n_deleted,
        "n_added": said.n_added,
        "n_edited": said.n_edited,
        "n_marked": said.n_marked,
        "median_area_px": said.median_area_px,
        "median_area_um2": said.median_area_um2,
        "cells_organ": summary.get("cells_organ"),
        "quality": "; ".join(flag["reason"] for flag in said.quality),
        "notes": " ".join(said.notes),
    }


_CORRECTION_COLUMNS = ("image", "action", "cell", "organ", "note", "who", "at")


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
            _write_labels_of(labels, out, found, row["um_per_px"], row["name"], ignores=True)
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
    writer = csv.DictWriter(text, _CORRECTION_COLUMNS, lineterminator="\n", extrasaction="ignore")
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
        lines += ["", "Copy these images, which were analyzed where they lie, to the places named:"]
        lines += [f"    {row['name']} -> images/{names[row['id']]}{Path(row['path']).suffix}" for row in slides]
    return "\n".join(lines) + "\n"
