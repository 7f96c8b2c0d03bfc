"""COCO annotation files of any size: polygons and run-length encoding, for many images at once.

The file is streamed into a small SQLite database beside the index, from which each image's cells are read when
its turn comes, also by several processes at once. Categories are not kept: every annotation is a cell.
"""

import json
import sqlite3
from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from contextlib import closing, contextmanager
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
create table categories (source integer, id text);
create table annotations (source integer, id text, image_id text, category_id text, segmentation text);
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
            str(item.get("id")),
            str(item.get("file_name", "")),
            item.get("height"),
            item.get("width"),
            None,
        )
    if key == "categories":
        return (str(item.get("id")),)
    category = item.get("category_id")
    return (
        str(item.get("id")),
        str(item.get("image_id")),
        None if category is None else str(category),
        json.dumps(item.get("segmentation")),
    )


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


def link_images(database: Path, paths: Iterable[PurePosixPath]) -> tuple[set[PurePosixPath], list[str]]:
    """Find the image file that each listed image means.

    One path must end with the other: `file_name` may be a bare name, a path from the folder, or one with
    folders above it.

    Args:
        database: Made by `build_store`.
        paths: Of the images, relative to the imported folder.

    Returns:
        The paths that the files list, and sentences about listed images that are not there or ambiguous.
    """
    by_name = defaultdict(list)
    for path in paths:
        by_name[path.name].append(path)
    linked, missing, ambiguous = set(), [], []
    with _writing(database) as store:
        for source, id, name in store.execute("select source, id, file_name from images").fetchall():
            candidates = _candidates(name, by_name)
            if len(candidates) == 1:
                linked.add(candidates[0])
                store.execute(
                    "update images set entry = ? where source = ? and id = ?", [str(candidates[0]), source, id]
                )
            else:
                (ambiguous if candidates else missing).append(name)
        store.execute("create index by_entry on images (entry)")
    return linked, [
        *_name_some(missing, "listed images are not in the folder"),
        *_name_some(ambiguous, "listed images could be several files of the folder; name them with their folder"),
    ]


def _candidates(file_name: str, by_name: dict[str, list[PurePosixPath]]) -> list[PurePosixPath]:
    listed = PurePosixPath(file_name.replace("\\", "/"))
    parts = listed.parts[::-1]
    fitting = []
    for path in by_name.get(listed.name, []):
        shorter = min(len(parts), len(path.parts))
        if parts[:shorter] == path.parts[::-1][:shorter]:
            fitting.append(path)
    return fitting


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
    with closing(sqlite3.connect(database)) as store:
        images = store.execute("select source, id, height, width from images where entry = ?", [str(path)]).fetchall()
        for source, id, height, width in images:
            if height is not None and width is not None and (height, width) != (height_px, width_px):
                raise AnnotationError(
                    f"expected annotations for {height_px} x {width_px} px, the COCO file gives "
                    f"{height} x {width} px (image id {id})"
                )
            rows = store.execute(
                "select id, segmentation from annotations where source = ? and image_id = ? order by rowid",
                [source, id],
            )
            for annotation_id, text in rows:
                _add_cell(cells, annotation_id, json.loads(text), height_px, width_px)
    return cells


def _add_cell(cells: Cells, name: str, segmentation: Any, height_px: int, width_px: int) -> None:
    try:
        cell = segmentation_cell(segmentation, height_px, width_px)
    except AnnotationError as error:
        cells.problems.append(f"annotation {name}: {error}")
        return
    if cell is None:
        cells.problems.append(f"annotation {name}: no pixel of the image lies inside")
    else:
        cells.masks.append(cell)


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
