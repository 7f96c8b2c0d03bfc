"""COCO annotation files of any size: polygons and run-length encoding, for many images at once.

The file is streamed into a small SQLite database beside the index, from which each image's cells are read when
its turn comes, also by several processes at once. The category of an annotation is the class of its cell; crowds
(`iscrowd`) and boxes without an outline are no cells.

COCO run-length encoding: runs of 0 and 1 in turn, down the columns of the image.

Compressed counts are the LEB128-like text of the COCO API (`rleToString` in maskApi.c): 5 bits a character,
bit 5 says that more follow, bit 4 of the last one is the sign; from the fourth count on, the difference to the
count two before is stored.

Read a JSON file of any size item by item, in constant memory; compressed and in any usual encoding.
"""

import codecs
import gzip
import io
import json
import sqlite3
import unicodedata
import zipfile
import zlib
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass, replace
from pathlib import Path, PurePosixPath
from typing import Any

import numpy as np
from jaxtyping import Bool, Int64
from numpy.typing import ArrayLike

from organscope.errors import AnnotationError
from organscope.io.paths import cannot_write
from organscope.ops.polygons import CellMask, Cells, polygon_cell, trace_cell


def rle_cell(counts: str | ArrayLike, height_px: int, width_px: int) -> CellMask | None:
    """Decode one cell without ever making a mask of the whole image.

    Args:
        counts: Compressed text, or the list of run lengths.
        height_px: Rows of the image.
        width_px: Columns of the image.

    Returns:
        None where no pixel is set.

    Raises:
        AnnotationError: The counts are no run lengths of an image of this size.
    """
    runs = decode_counts(counts) if isinstance(counts, str) else _as_runs(counts)
    if (runs < 0).any() or runs.sum() != height_px * width_px:
        raise AnnotationError(
            f"Expected run lengths that sum to {height_px} x {width_px} pixels, found {int(runs.sum())}."
        )
    ends = np.cumsum(runs)
    starts, ends = ends[0:-1:2], ends[1::2]
    filled = ends > starts
    starts, ends = starts[filled], ends[filled]
    if not len(starts):
        return None
    return _fill_runs(*_split_at_columns(starts, ends, height_px))


def _as_runs(counts: ArrayLike) -> Int64[np.ndarray, " n"]:
    try:
        runs = np.asarray(counts)
    except ValueError as error:
        raise AnnotationError(f"Expected a list of run lengths ({error}).") from error
    if runs.ndim != 1 or runs.size == 0 or runs.dtype.kind not in "iu":
        raise AnnotationError(f"Expected a list of whole run lengths, found {runs.dtype} of {runs.shape}.")
    return runs.astype(np.int64)


def _split_at_columns(starts: np.ndarray, ends: np.ndarray, height_px: int):
    """Cut runs where a column ends; returns column, first row and end row of every part."""
    first, last = starts // height_px, (ends - 1) // height_px
    n_columns = last - first + 1
    run = np.repeat(np.arange(len(starts)), n_columns)
    column = np.arange(len(run)) - np.repeat(np.cumsum(n_columns) - n_columns, n_columns) + first[run]
    row_start = np.maximum(starts[run] - column * height_px, 0)
    row_end = np.minimum(ends[run] - column * height_px, height_px)
    return column, row_start, row_end


def _fill_runs(column: np.ndarray, row_start: np.ndarray, row_end: np.ndarray) -> CellMask:
    top, left = int(row_start.min()), int(column.min())
    height, width = int(row_end.max()) - top, int(column.max()) - left + 1
    change = np.zeros((height + 1, width), np.int32)
    np.add.at(change, (row_start - top, column - left), 1)
    np.add.at(change, (row_end - top, column - left), -1)
    return CellMask(top, left, np.cumsum(change, axis=0)[:-1] > 0)


def encode_counts(mask: Bool[np.ndarray, "h w"], top_px: int, left_px: int, height_px: int, width_px: int) -> str:
    """Compressed counts of a cell, given as a mask with its place in an image."""
    column, row = np.nonzero(mask.T)
    flat = (column + left_px) * height_px + (row + top_px)
    breaks = np.flatnonzero(np.diff(flat) != 1)
    starts = flat[np.r_[0, breaks + 1]] if len(flat) else flat
    ends = flat[np.r_[breaks, len(flat) - 1]] + 1 if len(flat) else flat
    borders = np.stack([starts, ends], axis=1).reshape(-1)
    runs = np.diff(np.r_[0, borders, height_px * width_px])
    if len(runs) > 1 and runs[-1] == 0:
        runs = runs[:-1]
    return _to_text(runs)


def _to_text(runs: Int64[np.ndarray, " n"]) -> str:
    values = runs.copy()
    values[3:] -= runs[1:-2]
    text = []
    for value in values.tolist():
        while True:
            bits = value & 0x1F
            value >>= 5
            more = value != -1 if bits & 0x10 else value != 0
            text.append(chr(bits + (0x20 if more else 0) + 48))
            if not more:
                break
    return "".join(text)


def decode_counts(text: str) -> Int64[np.ndarray, " n"]:
    """Run lengths from compressed text.

    Raises:
        AnnotationError: The text holds other characters, or ends in the middle of a number.
    """
    codes = np.frombuffer(text.encode("utf-8"), np.uint8).astype(np.int64) - 48
    if not len(codes) or codes.min() < 0 or codes.max() > 63 or codes[-1] & 0x20:
        raise AnnotationError(f"Expected compressed COCO run lengths, found {text[:20]!r}.")
    is_last = (codes & 0x20) == 0
    number = np.cumsum(is_last) - is_last
    place = np.arange(len(codes)) - np.r_[0, np.flatnonzero(is_last)[:-1] + 1][number]
    if place.max() > 11:
        raise AnnotationError("Expected compressed COCO run lengths, found a number of more than 60 bits.")
    values = np.zeros(int(is_last.sum()), np.int64)
    np.add.at(values, number, (codes & 0x1F) << (5 * place))
    negative = (codes[is_last] & 0x10) != 0
    values -= np.where(negative, np.int64(1) << (5 * (place[is_last] + 1)), 0)
    values[1::2] = np.cumsum(values[1::2])
    values[2::2] = np.cumsum(values[2::2])
    return values


_CHUNK_CHARACTERS = 2**20
#: `.5` or `e-5` behind digits: so much must be seen to know that a number has ended.
_LONGEST_NUMBER_TAIL = 3
_BLANK = " \t\r\n"
#: What tools of Windows write where they do not write UTF-8.
_FALLBACK_ENCODING = "cp1252"
JSON_SUFFIXES = (".geojson", ".json")
#: Of files that hold one JSON file.
PACKED_SUFFIXES = (".gz", ".zip")
#: What reading a damaged, compressed or oddly encoded file raises.
READ_ERRORS = (OSError, ValueError, EOFError, RecursionError, RuntimeError, zipfile.BadZipFile, zlib.error)


def iterate_items(path: Path) -> Iterator[tuple[str, Any]]:
    """Yield (key, item) of every array in the top-level object, and (key, value) of everything else in it.

    Raises:
        AnnotationError: The file cannot be read or is no JSON object.
    """
    try:
        with open_text(path) as stream:
            yield from _Reader(stream).members()
    except READ_ERRORS as error:
        raise AnnotationError(f"{path}: expected a JSON file with an object, found: {error}.") from error


@contextmanager
def open_text(path: Path) -> Iterator[io.TextIOBase]:
    """The text of a JSON file: UTF-8, UTF-16, UTF-32, else cp1252; plain, gzip, or the one JSON file of a zip.

    Raises:
        OSError: The file cannot be read.
        ValueError: It is a zip without a JSON file, or with several.
    """
    encoding = _find_encoding(path)
    # Bytes without a meaning in cp1252 stand in names only; the file is read all the same.
    errors = "replace" if encoding == _FALLBACK_ENCODING else "strict"
    with _open_bytes(path) as binary, io.TextIOWrapper(binary, encoding=encoding, errors=errors) as stream:
        yield stream


@contextmanager
def _open_bytes(path: Path) -> Iterator[io.BufferedIOBase]:
    with path.open("rb") as stream:
        head = stream.read(4)
    if head[:2] == b"\x1f\x8b":
        with gzip.open(path) as stream:
            yield stream
    elif head == b"PK\x03\x04":
        with zipfile.ZipFile(path) as archive:
            names = json_members(archive)
            if len(names) != 1:
                raise ValueError(f"a zip with {len(names)} JSON files where one should be")
            with archive.open(names[0]) as stream:
                yield stream
    else:
        with path.open("rb") as stream:
            yield stream


def json_members(archive: zipfile.ZipFile) -> list[str]:
    """Names of the JSON files in a zip, without what macOS adds."""
    names = [name for name in archive.namelist() if name.lower().endswith(JSON_SUFFIXES)]
    return [name for name in names if not name.startswith("__MACOSX/")]


def _find_encoding(path: Path) -> str:
    with _open_bytes(path) as stream:
        head = stream.read(4)
        encoding = json.detect_encoding(head)
        if not encoding.startswith("utf-8"):
            return encoding
        decoder = codecs.getincrementaldecoder("utf-8")()
        chunk = head
        try:
            while chunk:
                decoder.decode(chunk)
                chunk = stream.read(_CHUNK_CHARACTERS)
            decoder.decode(b"", final=True)
        except UnicodeDecodeError:
            return _FALLBACK_ENCODING
        return "utf-8-sig"


class _Reader:
    """A window on the text that grows at its end and is cut at its start."""

    def __init__(self, stream: io.TextIOBase) -> None:
        self._stream = stream
        self._text = ""
        self._at = 0
        self._decoder = json.JSONDecoder()

    def members(self) -> Iterator[tuple[str, Any]]:
        self._take("{")
        if self._peek() == "}":
            return
        while True:
            key = self._value()
            self._take(":")
            if self._peek() == "[":
                for item in self._items():
                    yield key, item
            else:
                yield key, self._value()
            if self._take(",}") == "}":
                return

    def _items(self) -> Iterator[Any]:
        self._take("[")
        if self._peek() == "]":
            self._take("]")
            return
        while True:
            yield self._value()
            if self._take(",]") == "]":
                return

    def _peek(self) -> str:
        """The next character that is not blank; "" at the end of the file."""
        while True:
            while self._at < len(self._text) and self._text[self._at] in _BLANK:
                self._at += 1
            if self._at < len(self._text):
                return self._text[self._at]
            if not self._grow(_CHUNK_CHARACTERS):
                return ""

    def _take(self, expected: str) -> str:
        found = self._peek()
        if not found or found not in expected:
            raise ValueError(f"{found!r} where one of {expected} should be (the file may be cut off)")
        self._at += 1
        return found

    def _value(self) -> Any:
        self._peek()
        size = _CHUNK_CHARACTERS
        while True:
            try:
                value, end = self._decoder.raw_decode(self._text, self._at)
                # A number that ends within the last characters may go on behind the window.
                is_whole = end + _LONGEST_NUMBER_TAIL <= len(self._text)
                length = end - self._at
                if is_whole or not self._grow(size):
                    self._at += length
                    return value
            except ValueError:
                if not self._grow(size):
                    raise
            size *= 2

    def _grow(self, n_characters: int) -> bool:
        more = self._stream.read(n_characters)
        self._text = self._text[self._at :] + more
        self._at = 0
        return bool(more)


_SCHEMA = """
create table images (source integer, id text, file_name text, height integer, width integer, entry text,
                     primary key (source, id));
create table categories (source integer, id text, name text);
create table annotations (source integer, id text, image_id text, category_id text, is_crowd integer, box text,
                          segmentation text);
"""
_ROWS_AT_ONCE = 2000
_N_NAMED = 5


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
        store.executescript(_SCHEMA)
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
            if len(rows[key]) >= _ROWS_AT_ONCE:
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
            named = ", ".join(f"{id} -> {target}" for id, target in found[:_N_NAMED])
            yield (
                f"{len(found)} annotations name {table} that the file does not list "
                f"({named}{', ...' if len(found) > _N_NAMED else ''}); {consequence}"
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
    return [f"{len(names)} {sentence}: {', '.join(names[:_N_NAMED])}{', ...' if len(names) > _N_NAMED else ''}"]


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
