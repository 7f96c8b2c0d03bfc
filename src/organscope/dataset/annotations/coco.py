"""COCO annotation files of any size: polygons and run-length encoding, for many images at once.

The file is streamed into a small SQLite database beside the index, from which each image's cells are read when
its turn comes, also by several processes at once. The category of an annotation is the class of its cell; crowds
(`iscrowd`) and boxes without an outline are no cells.
"""

import json
import sqlite3
import unicodedata
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass, replace
from pathlib import Path, PurePosixPath
from typing import Any

import numpy as np
from jaxtyping import Bool

from organscope.dataset.annotations.cells import CellMask, Cells
from organscope.dataset.annotations.json_stream import iterate_items
from organscope.dataset.annotations.outlines import trace_cell
from organscope.dataset.annotations.polygons import polygon_cell
from organscope.dataset.annotations.rle import encode_counts, rle_cell
from organscope.dataset.names import cannot_write
from organscope.errors import AnnotationError

SCHEMA = """
create table images (source integer, id text, file_name text, height integer, width integer, entry text,
                     primary key (source, id));
create table categories (source integer, id text, name text);
create table annotations (source integer, id text, image_id text, category_id text, is_crowd integer, box text,
                          segmentation text);
"""
ROWS_AT_ONCE = 2000
N_NAMED = 5


def is_coco(path: Path) -> bool:
    """Whether a JSON file has the arrays of a COCO file (of which `annotations` may come late)."""
    try:
        return any(key in ("images", "annotations") and isinstance(item, dict) for key, item in iterate_items(path))
    except AnnotationError:
        return False


def build_store(files: Sequence[Path], database: Path) -> list[str]:
    """Read COCO files into a new database.

    Returns:
        Sentences about annotations that name an image or a category which the file does not list, and about
        image ids that repeat. The rest is kept.

    Raises:
        AnnotationError: A file cannot be read, or lists no images.
        OutputError: The database cannot be written.
    """
    database.unlink(missing_ok=True)
    problems = []
    with _writing(database) as store:
        store.executescript(SCHEMA)
        for source, path in enumerate(files):
            n_repeated = _insert_file(store, source, path)
            if n_repeated:
                problems.append(f"{path.name}: {n_repeated} image ids repeat; the first of each was kept")
            problems += [f"{path.name}: {text}" for text in _dangling(store, source)]
        store.execute("create index by_image on annotations (source, image_id)")
    return problems


@contextmanager
def _writing(database: Path) -> Iterator[sqlite3.Connection]:
    try:
        with closing(sqlite3.connect(database)) as store, store:
            yield store
    except sqlite3.Error as error:
        raise cannot_write(database, error) from error


def _insert_file(store: sqlite3.Connection, source: int, path: Path) -> int:
    """Stream one file into the database; returns how many image ids repeat."""
    n_listed = 0
    rows: dict[str, list[tuple]] = {"images": [], "categories": [], "annotations": []}
    for key, item in iterate_items(path):
        if key in rows and isinstance(item, dict):
            rows[key].append((source, *_columns(key, item)))
            n_listed += key == "images"
            if len(rows[key]) >= ROWS_AT_ONCE:
                _insert_rows(store, key, rows[key])
    for key in rows:
        _insert_rows(store, key, rows[key])
    (n_images,) = store.execute("select count(*) from images where source = ?", [source]).fetchone()
    if not n_images:
        raise AnnotationError(f"{path}: expected a COCO file that lists images, found none.")
    return n_listed - n_images


def _columns(key: str, item: dict[str, Any]) -> tuple:
    if key == "images":
        return (
            _id_text(item.get("id")),
            str(item.get("file_name", "")),
            _whole(item.get("height")),
            _whole(item.get("width")),
            None,
        )
    if key == "categories":
        return (_id_text(item.get("id")), str(item.get("name") or ""))
    category = item.get("category_id")
    return (
        _id_text(item.get("id")),
        _id_text(item.get("image_id")),
        None if category is None else _id_text(category),
        int(item.get("iscrowd") in (1, True, "1")),
        json.dumps(item.get("bbox")),
        json.dumps(item.get("segmentation")),
    )


def _id_text(value: Any) -> str:
    """An id as text that is equal for 1, 1.0 and "1", as they are to the readers of other tools."""
    if isinstance(value, float) and value.is_integer():
        return str(int(value))
    return str(value).strip()


def _whole(value: Any) -> int | None:
    """A side of an image; None where it is not given or no number."""
    try:
        return None if value is None else int(float(value))
    except (TypeError, ValueError, OverflowError):
        return None


def _insert_rows(store: sqlite3.Connection, table: str, rows: list[tuple]) -> None:
    if rows:
        places = ", ".join("?" * len(rows[0]))
        store.executemany(f"insert or ignore into {table} values ({places})", rows)
        rows.clear()


def _dangling(store: sqlite3.Connection, source: int) -> Iterator[str]:
    query = """select id, {column} from annotations where source = ? and {column} is not null
               and {column} not in (select id from {table} where source = ?)"""
    for column, table, consequence in (
        ("image_id", "images", "they were left out"),
        ("category_id", "categories", "their cells were kept"),
    ):
        found = store.execute(query.format(column=column, table=table), [source, source]).fetchall()
        if found:
            named = ", ".join(f"{id} -> {target}" for id, target in found[:N_NAMED])
            yield (
                f"{len(found)} annotations name {table} that the file does not list "
                f"({named}{', ...' if len(found) > N_NAMED else ''}); {consequence}"
            )


def link_images(
    database: Path, paths: Iterable[PurePosixPath], homes: Sequence[PurePosixPath | None] = ()
) -> tuple[set[PurePosixPath], list[str]]:
    """Find the image file that each listed image means.

    One path must end with the other: `file_name` may be a bare name, a path from the folder, or one with
    folders above it.

    Args:
        database: Made by `build_store`.
        paths: Of the images, relative to the imported folder.
        homes: For each file, the folder whose images it means where several have one name.

    Returns:
        The paths that the files list, and sentences about listed images that are not there or ambiguous.
    """
    by_name = defaultdict(list)
    for path in paths:
        by_name[_plain(path.name)].append(path)
    linked, missing, ambiguous = set(), [], []
    with _writing(database) as store:
        for source, id, name in store.execute("select source, id, file_name from images").fetchall():
            candidates = _nearest(_candidates(name, by_name), homes[source] if homes else None)
            if len(candidates) == 1:
                linked.add(candidates[0])
                store.execute(
                    "update images set entry = ? where source = ? and id = ?", [str(candidates[0]), source, id]
                )
            else:
                (ambiguous if candidates else missing).append(name)
        store.execute("create index by_entry on images (entry)")
        (n_lost,) = store.execute(
            "select count(*) from annotations join images using (source) "
            "where annotations.image_id = images.id and images.entry is null"
        ).fetchone()
    return linked, [
        *_name_some(missing, "listed images are not in the folder"),
        *_name_some(ambiguous, "listed images could be several files of the folder; name them with their folder"),
        *([f"{n_lost} annotations belong to these images and were not used"] if n_lost else []),
    ]


def _candidates(file_name: str, by_name: dict[str, list[PurePosixPath]]) -> list[PurePosixPath]:
    listed = PurePosixPath(file_name.replace("\\", "/"))
    parts = [_plain(part) for part in listed.parts[::-1]]
    fitting = []
    for path in by_name.get(_plain(listed.name), []):
        shorter = min(len(parts), len(path.parts))
        if parts[:shorter] == [_plain(part) for part in path.parts[::-1][:shorter]]:
            fitting.append(path)
    exact = [path for path in fitting if path.name == listed.name]
    return exact or fitting


def _plain(name: str) -> str:
    """A name without what file systems change: composed or decomposed umlauts, capitals."""
    return unicodedata.normalize("NFC", name).casefold()


def _nearest(candidates: list[PurePosixPath], home: PurePosixPath | None) -> list[PurePosixPath]:
    if len(candidates) < 2 or home is None:
        return candidates
    return [path for path in candidates if path.is_relative_to(home)] or candidates


def _name_some(names: list[str], sentence: str) -> list[str]:
    if not names:
        return []
    return [f"{len(names)} {sentence}: {', '.join(names[:N_NAMED])}{', ...' if len(names) > N_NAMED else ''}"]


def read_coco_cells(database: Path, path: PurePosixPath, height_px: int, width_px: int) -> Cells:
    """The cells of one image.

    Raises:
        AnnotationError: The file gives another size for the image than it has.
    """
    cells = Cells()
    counts: Counter[str] = Counter()
    with closing(sqlite3.connect(database)) as store:
        images = store.execute("select source, id, height, width from images where entry = ?", [str(path)]).fetchall()
        for source, id, height, width in images:
            if height is not None and width is not None and (height, width) != (height_px, width_px):
                raise AnnotationError(
                    f"expected annotations for {height_px} x {width_px} px, the COCO file gives "
                    f"{height} x {width} px (image id {id})."
                )
            names = _class_names(store, source)
            rows = store.execute(
                "select id, category_id, is_crowd, box, segmentation from annotations "
                "where source = ? and image_id = ? order by rowid",
                [source, id],
            )
            for annotation_id, category, is_crowd, box, text in rows:
                if is_crowd:
                    counts["crowd"] += 1
                    continue
                found = _Annotation(annotation_id, names.get(category, ""), json.loads(box), json.loads(text))
                _add_cell(cells, counts, found, height_px, width_px)
    _tell_counts(cells, counts)
    return cells


#: Categories that say no more than that an annotation is a cell.
_GENERIC = ("", "cell", "cells", "object", "objects", "none")


def _class_names(store: sqlite3.Connection, source: int) -> dict[str, str]:
    """Class by category id; none where a file knows nothing but cells."""
    names = dict(store.execute("select id, name from categories where source = ?", [source]))
    return {} if all(name.casefold() in _GENERIC for name in names.values()) else names


@dataclass(frozen=True)
class _Annotation:
    """One annotation as stored."""

    id: str
    class_name: str
    box: Any
    segmentation: Any


#: What is counted over an image -> the sentence about it.
_COUNTED = {
    "flat": "{n} annotations list x, y without a list around them; each was read as one polygon",
    "transposed": "{n} annotations give the size of their run lengths as width, height; read as their box fits",
}


def _tell_counts(cells: Cells, counts: Counter[str]) -> None:
    cells.notes += [text.format(n=counts[name]) for name, text in _COUNTED.items() if counts[name]]
    if counts["crowd"]:
        cells.left_out.append(f"{counts['crowd']} annotations left out: crowds (iscrowd), no single cells")
    if counts["box"]:
        cells.problems.append(f"{counts['box']} annotations have a box and no outline of a cell")


def _add_cell(cells: Cells, counts: Counter[str], found: _Annotation, height_px: int, width_px: int) -> None:
    segmentation = found.segmentation
    if not segmentation and isinstance(found.box, list) and found.box:
        counts["box"] += 1
        return
    try:
        if _is_flat(segmentation):
            segmentation = [segmentation]
            counts["flat"] += 1
        if _is_transposed(segmentation, height_px, width_px):
            cell = _transposed_cell(segmentation, found.box, height_px, width_px)
            counts["transposed"] += 1
        else:
            cell = segmentation_cell(segmentation, height_px, width_px)
    except AnnotationError as error:
        cells.problems.append(f"annotation {found.id}: {error}")
        return
    if cell is None:
        cells.problems.append(f"annotation {found.id}: no pixel of the image lies inside")
    else:
        cells.masks.append(replace(cell, class_name=found.class_name))


def _is_flat(segmentation: Any) -> bool:
    """One polygon without the list that holds the polygons: x, y, x, y, ... or [x, y], [x, y], ..."""
    if not isinstance(segmentation, list) or len(segmentation) < 3:
        return False
    numbers = all(isinstance(value, int | float) for value in segmentation)
    return numbers or all(isinstance(value, list) and len(value) == 2 for value in segmentation)


def _is_transposed(segmentation: Any, height_px: int, width_px: int) -> bool:
    size = segmentation.get("size") if isinstance(segmentation, dict) else None
    return size == [width_px, height_px] and height_px != width_px


def _transposed_cell(segmentation: dict, box: Any, height_px: int, width_px: int) -> CellMask | None:
    """A cell whose run lengths give width before height: of a turned mask, or with the two sizes exchanged.

    Raises:
        AnnotationError: The box of the annotation does not tell which of the two.
    """
    counts = segmentation.get("counts", [])
    turned = rle_cell(counts, width_px, height_px)
    if turned is not None:
        turned = CellMask(turned.left_px, turned.top_px, turned.mask.T)
    fitting = [cell for cell in (turned, rle_cell(counts, height_px, width_px)) if _fills_box(cell, box)]
    if len(fitting) != 1:
        raise AnnotationError(
            f"Expected run lengths for {height_px} x {width_px} px, found size {segmentation.get('size')}."
        )
    return fitting[0]


def _fills_box(cell: CellMask | None, box: Any) -> bool:
    if cell is None or not isinstance(box, list) or len(box) != 4:
        return False
    found = (cell.left_px, cell.top_px, cell.mask.shape[1], cell.mask.shape[0])
    return all(isinstance(value, int | float) and abs(value - f) <= 1 for value, f in zip(box, found, strict=True))


def segmentation_cell(segmentation: Any, height_px: int, width_px: int) -> CellMask | None:
    """One cell from a COCO `segmentation`: polygons [[x, y, x, y, ...], ...], joined, or run lengths.

    Raises:
        AnnotationError: It is neither, is damaged, or belongs to an image of another size.
    """
    if isinstance(segmentation, dict):
        size = segmentation.get("size")
        if size != [height_px, width_px]:
            raise AnnotationError(f"Expected run lengths for {height_px} x {width_px} px, found size {size}.")
        return rle_cell(segmentation.get("counts", []), height_px, width_px)
    if not isinstance(segmentation, list) or not segmentation:
        raise AnnotationError("Expected polygons or run lengths as segmentation, found none.")
    try:
        rings = [np.asarray(part, np.float64).reshape(-1, 2) for part in segmentation]
    except (TypeError, ValueError) as error:
        raise AnnotationError(f"Expected polygons as lists x, y, x, y, ... ({error}).") from error
    # A part of one or two points beside a polygon is a slip of the hand without an area.
    rings = [ring for ring in rings if len(ring) > 2] or rings
    return polygon_cell(rings, height_px, width_px)


def cell_annotation(
    mask: Bool[np.ndarray, "h w"], top_px: int, left_px: int, size_px: tuple[int, int]
) -> dict[str, Any]:
    """A cell as a COCO annotation without ids: polygons, or compressed run lengths where it has holes.

    Args:
        mask: The cell, with its place in the image.
        top_px: Row of the mask.
        left_px: Column of the mask.
        size_px: Height and width of the image.
    """
    outlines = trace_cell(mask, top_px, left_px)
    segmentation: object = [outline.exterior.reshape(-1).tolist() for outline in outlines]
    if any(outline.holes for outline in outlines):
        segmentation = {"size": list(size_px), "counts": encode_counts(mask, top_px, left_px, *size_px)}
    return {
        "segmentation": segmentation,
        "area": int(mask.sum()),
        "bbox": [left_px, top_px, mask.shape[1], mask.shape[0]],
        "iscrowd": 0,
    }
