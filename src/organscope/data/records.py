"""One image and its annotation become one row of the index.

What an import said, kept beside its index, so that it can be read again.
"""

import hashlib
import json
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from jaxtyping import Int32

from organscope.data.cell_classes import class_table, count_text, point_table, write_class_table
from organscope.data.discovery import Entry
from organscope.data.index import LABELS_FOLDER, Problem
from organscope.errors import DatasetError, ImageReadError, InputError, ShapeError, UsageError
from organscope.io import Image, open_image, write_labels
from organscope.io.annotations import is_outline_file, read_cells
from organscope.io.coco import read_coco_cells
from organscope.io.imagej import Plane
from organscope.io.mask_kinds import read_mask
from organscope.io.masks import label_interiors, read_label_image
from organscope.io.paths import place_below
from organscope.io.selection import Choice, choice_as_options, choice_as_text
from organscope.ops.pixel_size import PixelSize
from organscope.ops.polygons import Cells, PaintedCells, leave_out_regions, paint_cells

#: Larger images are not decoded whole while importing; only their coarsest level is.
_MAX_DECODED_PIXELS = 400_000_000
_N_NAMED = 3
_BAND_PIXELS = 2**24
_BAND_ALIGNMENT_PX = 512


@dataclass(frozen=True)
class ImageSettings:
    """What holds for every image of an import.

    Attributes:
        out: The index folder, absolute.
        dataset: Name of the set.
        um_per_px: Pixel size that replaces what images say.
        choice: Channel, page, plane and image of every file.
        masks: What label images hold, one of `MASK_KINDS`; None finds it out of each.
        coco_database: Annotations made ready by `build_store`.
        coco_files: The files that they came from.
    """

    out: Path
    dataset: str
    um_per_px: PixelSize | None = None
    choice: Choice = field(default_factory=Choice)
    masks: str | None = None
    coco_database: Path | None = None
    coco_files: tuple[Path, ...] = ()


@dataclass(frozen=True)
class Outcome:
    """The row of an image (None where it cannot be used), what was wrong on the way, and what its mask was read as."""

    row: dict[str, Any] | None
    problems: list[Problem] = field(default_factory=list)
    mask_kind: str = ""


@dataclass(frozen=True)
class _LabelFile:
    """Labels as the index names them, no path where there are none, and the classes of cells or points."""

    path: Path | None
    n_cells: int
    problems: list[Problem]
    classes: pd.DataFrame | None = None
    mask_kind: str = ""


def make_row(entry: Entry, settings: ImageSettings) -> Outcome:
    """Decode an image, hash it, convert its annotation, and say what is known about both.

    An image that cannot be read has no row. One whose annotation cannot be used has a row without labels.

    Raises:
        OutputError: Converted labels cannot be written.
    """
    source = str(entry.path)
    try:
        _require_plain_name(entry.image)
        um_per_px = settings.um_per_px or entry.um_per_px
        with open_image(entry.image, um_per_px=um_per_px, **choice_as_options(settings.choice)) as image:
            _decode(image)
            row = _describe(entry, image, settings)
            plane = _plane(image)
            notes = [Problem(source, note, failed=False) for note in (*image.notes, *_ambiguous(image))]
        row["sha256"] = hash_path(entry.image)
    except (InputError, UsageError) as error:
        return Outcome(None, [Problem(source, str(error), failed=True)])
    try:
        labels = _labels(entry, settings, row, plane)
    except InputError as error:
        return Outcome(row, [*notes, Problem(source, f"{error} The image is kept without labels.", failed=True)])
    if labels is None:
        return Outcome(row, notes)
    if labels.classes is not None:
        path = write_class_table(settings.out, entry.id, labels.classes)
        row.update(classes=str(path), class_counts=count_text(labels.classes))
    if labels.path is not None:
        row.update(labels=str(labels.path), labeled=True, n_cells=labels.n_cells, labels_sha256=hash_path(labels.path))
    return Outcome(row, [*notes, *labels.problems], labels.mask_kind)


def _plane(image: Image) -> Plane:
    """Which plane of its file an image is. All channels of a plane show the same cells, so none is chosen."""
    taken = image.selection
    n_channels = 1 if image.channels.is_color else taken.n_channels
    if taken.n_pages > 1:
        return Plane(z=taken.page + 1, n_channels=n_channels, n_z=taken.n_pages)
    z = None if taken.z is None else taken.z + 1
    return Plane(z=z, t=taken.t + 1, n_channels=n_channels, n_z=taken.n_z, n_t=taken.n_t)


def _ambiguous(image: Image) -> tuple[str, ...]:
    """That networks cannot look at an image before a channel is chosen."""
    try:
        image.channels.require_shown(image.path)
    except ShapeError as error:
        return (f"No network can look at it. {error}",)
    return ()


def _describe(entry: Entry, image: Image, settings: ImageSettings) -> dict[str, Any]:
    return {
        "id": entry.id,
        "image": str(entry.image.absolute()),
        "organ": entry.organ,
        "species": entry.species,
        "group": entry.group or entry.id,
        "labels": "",
        "dataset": settings.dataset,
        "split": entry.split,
        "fold": entry.fold,
        "height_px": image.height_px,
        "width_px": image.width_px,
        "n_channels": image.n_channels,
        "dtype": str(image.dtype),
        "um_per_px_y": None if image.um_per_px is None else image.um_per_px[0],
        "um_per_px_x": None if image.um_per_px is None else image.um_per_px[1],
        "labeled": False,
        "n_cells": None,
        "labels_sha256": "",
        "classes": "",
        "class_counts": "",
        "choice": choice_as_text(settings.choice),
    }


def _pixel_size(row: dict[str, Any]) -> PixelSize | None:
    return None if row["um_per_px_y"] is None else (row["um_per_px_y"], row["um_per_px_x"])


def _require_plain_name(path: Path) -> None:
    try:
        str(path).encode()
    except UnicodeEncodeError as error:
        raise ImageReadError(
            f"Expected a file name in UTF-8, found {str(path).encode(errors='replace').decode()}. Rename it."
        ) from error


def _decode(image: Image) -> None:
    """Read every pixel once, in bands, so that a truncated file is found now and not in training."""
    if image.height_px * image.width_px > _MAX_DECODED_PIXELS:
        coarsest = image.levels[-1]
        if coarsest.height_px * coarsest.width_px <= _MAX_DECODED_PIXELS:
            image.read_whole(level=len(image.levels) - 1)
        return
    rows = max(1, _BAND_PIXELS // image.width_px // _BAND_ALIGNMENT_PX) * _BAND_ALIGNMENT_PX
    for top in range(0, image.height_px, rows):
        image.read(top, 0, min(rows, image.height_px - top), image.width_px)


def hash_path(path: Path) -> str:
    """SHA-256 of a file; of a folder (OME-Zarr): of the names and contents of its files."""
    try:
        if not path.is_dir():
            with path.open("rb") as stream:
                return hashlib.file_digest(stream, "sha256").hexdigest()
        total = hashlib.sha256()
        for member in sorted(member for member in path.rglob("*") if member.is_file()):
            total.update(f"{member.relative_to(path).as_posix()}\0{hash_path(member)}\n".encode())
        return total.hexdigest()
    except OSError as error:
        raise ImageReadError(f"Expected to read {path}, found: {error.strerror or error}.") from error


def _labels(entry: Entry, settings: ImageSettings, row: dict[str, Any], plane: Plane) -> _LabelFile | None:
    size = row["height_px"], row["width_px"]
    if entry.in_coco:
        cells = read_coco_cells(settings.coco_database, entry.path, *size)
    elif entry.annotation is None:
        return None
    elif is_outline_file(entry.annotation):
        cells = read_cells(entry.annotation, *size, plane)
    else:
        return _label_image(entry, settings, row)
    cells = leave_out_regions(cells, *size)
    painted = paint_cells(cells.masks, *size)
    problems = _cell_problems(entry, cells, painted.n_dropped)
    if cells.says_nothing:
        return _LabelFile(None, 0, problems, point_table(cells.points) if cells.points else None)
    n_cells = int(painted.labels.max(initial=0))
    return _LabelFile(_write(entry, settings, painted.labels, row), n_cells, problems, _classes(cells, painted))


def _classes(cells: Cells, painted: PaintedCells) -> pd.DataFrame | None:
    """The classes of painted cells; None where the annotation names none."""
    found = {label: cells.masks[place] for label, place in enumerate(painted.cells.tolist(), start=1)}
    names = {label: cell.class_name for label, cell in found.items()}
    if not any(names.values()):
        return None
    return class_table(painted.labels, names, {label: cell.color for label, cell in found.items()})


def _cell_problems(entry: Entry, cells: Cells, n_dropped: int) -> list[Problem]:
    problems = [Problem(str(entry.path), text, failed=False) for text in (*cells.left_out, *cells.notes)]
    if cells.points and not cells.masks:
        text = f"{len(cells.points)} points were kept with their classes; they are no outlines, so nothing is labeled"
        problems.append(Problem(str(entry.path), text, failed=False))
    elif cells.says_nothing:
        text = "no part of the annotation is a cell; the image is kept without labels"
        problems.append(Problem(str(entry.path), text, failed=bool(cells.problems)))
    if cells.problems:
        named = "; ".join(cells.problems[:_N_NAMED])
        more = "; ..." if len(cells.problems) > _N_NAMED else ""
        text = f"{len(cells.problems)} parts of the annotation were left out: {named}{more}"
        problems.append(Problem(str(entry.path), text, failed=True))
    if n_dropped:
        text = f"{n_dropped} cells were dropped: other, smaller cells cover all their pixels"
        problems.append(Problem(str(entry.path), text, failed=False))
    return problems


def _label_image(entry: Entry, settings: ImageSettings, row: dict[str, Any]) -> _LabelFile:
    size = row["height_px"], row["width_px"]
    if entry.shows_membranes:
        cells = label_interiors(read_label_image(entry.annotation, *size))
        return _LabelFile(_write(entry, settings, cells, row), int(cells.max(initial=0)), [])
    mask = read_mask(entry.annotation, *size, settings.masks)
    problems = [Problem(str(entry.path), text, failed=False) for text in mask.notes]
    path = _write(entry, settings, mask.labels, row) if mask.is_changed else entry.annotation.absolute()
    classes = class_table(mask.labels, dict(enumerate(mask.classes, start=1))) if mask.classes else None
    return _LabelFile(path, mask.n_cells, problems, classes, mask.kind)


def _write(entry: Entry, settings: ImageSettings, labels: Int32[np.ndarray, "y x"], row: dict) -> Path:
    path = place_below(settings.out / LABELS_FOLDER, entry.id, ".tif")
    write_labels(path, labels, _pixel_size(row))
    return path


_RECORD_NAME = "import.json"


def write_record(folder: Path, layout: str, understood: list[str], problems: list[Problem]) -> None:
    """Write `import.json`: the layout, what was taken for what, what failed and what is worth knowing.

    Raises:
        OutputError: The folder cannot be written.
    """
    from organscope.io.paths import atomic_path

    document = {"layout": layout, "understood": understood, **problem_lists(problems)}
    with atomic_path(folder / _RECORD_NAME) as path:
        path.write_text(json.dumps(document, indent=1, ensure_ascii=False) + "\n", encoding="utf-8", errors="replace")


def _read_record(folder: Path) -> dict[str, Any] | None:
    """What the import of an index said; None for an index of an older version.

    Raises:
        DatasetError: The record is damaged.
    """
    path = folder / _RECORD_NAME
    if not path.is_file():
        return None
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise DatasetError(f"{path} cannot be read ({error}). Import the data again, or remove it.") from error


def problem_lists(problems: list[Problem]) -> dict[str, list[dict[str, str]]]:
    """Failures and notes as JSON names them."""
    return {
        name: [{"source": p.source, "message": p.message} for p in problems if p.failed is failed]
        for name, failed in (("failures", True), ("notes", False))
    }
