"""What experts say of the results: a list that only grows, so that who said what, and when, is never lost.

What is said at once is one batch. `undo` takes back the latest batch of a person that still holds, however many cells
it speaks of, by a line of its own; `redo` takes the latest undo back until something else is said.

The shape of a cell that an expert drew or changed: its pixels, its outline, and what was measured in them.
"""

import base64
import json
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal, Self

import numpy as np
import pandas as pd
from jaxtyping import Bool, Int32
from shapely.geometry.base import BaseGeometry

from organscope.io.labels import IGNORED
from organscope.ops.polygons import cell_polygons, move_polygons
from organscope.server.database import Database
from organscope.server.errors import RefusalError


@dataclass(frozen=True)
class CellShape:
    """The pixels of one cell in the smallest box around them.

    Attributes:
        top: Row of the box in the image.
        left: Column of the box in the image.
        mask: Which pixels of the box belong to the cell; at least one.
        measures: Columns of the table of cells, as `organscope.ops.regionprops.measure_cells` gives them.
    """

    top: int
    left: int
    mask: Bool[np.ndarray, "h w"]
    measures: dict[str, float]

    @classmethod
    def from_text(cls, text: str) -> Self:
        """The shape of a text that `as_stored` became."""
        stored = json.loads(text)
        height, width = stored["size"]
        bits = np.frombuffer(base64.b64decode(stored["bits"]), np.uint8)
        mask = np.unpackbits(bits, count=height * width).astype(bool).reshape(height, width)
        return cls(stored["top"], stored["left"], mask, stored["measures"])

    def as_stored(self) -> dict[str, Any]:
        """What the database keeps."""
        bits = base64.b64encode(np.packbits(self.mask).tobytes()).decode()
        return {
            "top": self.top, "left": self.left, "size": self.mask.shape, "bits": bits, "measures": self.measures,
        }  # fmt: skip

    def as_data(self) -> dict[str, Any]:
        """What the page draws: the outline and the measures."""
        return {"ring": self.ring().tolist(), "measures": self.measures}

    def ring(self) -> Int32[np.ndarray, "m 2"]:
        """The closed outer outline, x and y in pixels of the image; of a cell in parts that of the largest."""
        polygon = self.polygon()
        largest = polygon.geoms[0] if polygon.geom_type == "MultiPolygon" else polygon
        return np.array(largest.exterior.coords, np.int32)

    def polygon(self) -> BaseGeometry:
        """The outline with holes and parts, in pixels of the image."""
        return move_polygons(cell_polygons(self.mask.astype(np.int32)), self.top, self.left)[0]

    def paint(self, labels: Int32[np.ndarray, "y x"], value: int, origin_px: tuple[int, int]) -> None:
        """Set the background under the shape to a value, in place; other cells keep their pixels.

        Args:
            labels: The image or a part of it.
            value: Number of the cell.
            origin_px: Row and column of the first pixel of `labels` in the image.
        """
        top, left = self.top - origin_px[0], self.left - origin_px[1]
        rows = slice(max(top, 0), min(top + self.mask.shape[0], labels.shape[0]))
        columns = slice(max(left, 0), min(left + self.mask.shape[1], labels.shape[1]))
        if rows.start >= rows.stop or columns.start >= columns.stop:
            return
        mask = self.mask[rows.start - top : rows.stop - top, columns.start - left : columns.stop - left]
        part = labels[rows, columns]
        part[mask & (part == 0)] = value


Action = Literal[
    "accept", "override", "not_tissue", "cannot_tell", "note", "clear", "delete_cell", "mark_cell", "restore_cell",
    "accept_cells", "name_cell", "unname_cell",
]  # fmt: skip
"""`accept` and `override` name the organ of the image, `not_tissue` and `cannot_tell` say that it has none or that
nobody can tell, `note` writes something down, `clear` takes these back; `delete_cell`: this is no cell, `mark_cell`:
its outline is wrong, `restore_cell` takes either back; `accept_cells`: all cells were looked at and are right now;
`name_cell`: of which kind a cell is, in the words of the expert, `unname_cell` takes that back."""
NAME, _UNNAME = "name_cell", "unname_cell"
CELL_ACTIONS = ("delete_cell", "mark_cell", "restore_cell", NAME, _UNNAME)
_IMAGE_ACTIONS = ("accept", "override", "not_tissue", "cannot_tell")
EDIT, _UNDO, _REDO = "edit_cell", "undo", "redo"


@dataclass(frozen=True)
class Event:
    """One line of the list; `shape` is the new shape of a cell that was drawn or changed."""

    action: str
    cell: int | None = None
    organ: str | None = None
    note: str = ""
    shape: CellShape | None = None


@dataclass
class Corrected:
    """What the list of an image comes to.

    Attributes:
        organ: The organ that an expert names; None where none did.
        action: One of `IMAGE_ACTIONS`; None where no expert judged the image.
        who: Who judged it.
        at: When, in seconds since 1970.
        note: What was written down last.
        deleted: Cells that are none.
        marked: Cells whose outline is wrong.
        edited: Shapes of cells that experts drew or changed, by number.
        is_checked: All cells were looked at.
        kinds: Kinds of cells that experts named, by number.
    """

    organ: str | None = None
    action: str | None = None
    who: str | None = None
    at: float | None = None
    note: str = ""
    deleted: set[int] = field(default_factory=set)
    marked: set[int] = field(default_factory=set)
    edited: dict[int, CellShape] = field(default_factory=dict)
    is_checked: bool = False
    kinds: dict[int, str] = field(default_factory=dict)

    @property
    def is_reviewed(self) -> bool:
        """Whether an expert said anything about this image."""
        return self.action is not None or self.has_reviewed_cells

    @property
    def has_reviewed_cells(self) -> bool:
        """Whether an expert said anything about its cells."""
        return self.is_checked or bool(self.deleted or self.marked or self.edited)

    @property
    def shapes(self) -> dict[int, CellShape]:
        """Shapes of the edited cells that are there."""
        return {cell: shape for cell, shape in self.edited.items() if cell not in self.deleted}

    @property
    def replaced(self) -> set[int]:
        """Cells whose shape as found holds no more: deleted or edited."""
        return self.deleted | set(self.edited)


def add_corrections(database: Database, image: str, who: str, events: Sequence[Event]) -> None:
    """Write down what was said at once, one line an event, all or none."""
    with database.write() as connection:
        batch = connection.execute("SELECT coalesce(max(number), 0) + 1 FROM corrections").fetchone()[0]
        connection.executemany(_INSERT, [_values(image, who, event, batch, None) for event in events])


def take_back(database: Database, image: str, who: str, *, again: bool = False) -> None:
    """Undo the latest batch of a person that holds, or with `again` redo what was undone last.

    Raises:
        RefusalError: 409, where there is nothing to undo or redo.
    """
    with database.write() as connection:
        rows = connection.execute(f"SELECT {_COLUMNS} FROM corrections WHERE image = ? ORDER BY number", (image,))
        done, undone = _stacks([dict(row) for row in rows], who)
        chosen = undone if again else done
        if not chosen:
            raise RefusalError(409, f"Expected something to {'redo' if again else 'undo'}, found nothing of yours.")
        event = Event(_REDO if again else _UNDO)
        connection.execute(_INSERT, _values(image, who, event, None, chosen[-1]))


def change_shapes(database: Database, image: str, change: Callable[[CellShape], CellShape]) -> None:
    """Bring the measures of all cells that were drawn or changed up to date; who said what, and when, stays."""
    rows = [row for row in corrections_of(database, image) if row["shape"] is not None]
    changed = [(json.dumps(change(CellShape.from_text(row["shape"])).as_stored()), row["number"]) for row in rows]
    with database.write() as connection:
        connection.executemany("UPDATE corrections SET shape = ? WHERE number = ?", changed)


def corrections_of(database: Database, image: str) -> list[dict[str, Any]]:
    """Everything that was said of an image, in order."""
    rows = database.read().execute(f"SELECT {_COLUMNS} FROM corrections WHERE image = ? ORDER BY number", (image,))
    return [dict(row) for row in rows]


def corrected(database: Database, image: str) -> Corrected:
    """What all that was said of an image comes to."""
    return _fold(corrections_of(database, image))


def corrected_in_study(database: Database, study: str) -> dict[str, Corrected]:
    """The same for every image of a study of which anything was said."""
    columns = ", ".join(f"c.{name.strip()}" for name in _COLUMNS.split(","))
    rows = database.read().execute(
        f"SELECT c.image, {columns} FROM corrections c JOIN images i ON i.id = c.image WHERE i.study = ? "
        "ORDER BY c.number",
        (study,),
    )
    by_image: dict[str, list[dict[str, Any]]] = {}
    for row in rows:
        by_image.setdefault(row["image"], []).append(dict(row))
    return {image: _fold(said) for image, said in by_image.items()}


def holds(said: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
    """The lines that are not undone, without those that undo and redo."""
    undone: set[int] = set()
    for row in said:
        if row["action"] == _UNDO:
            undone.add(row["of"])
        elif row["action"] == _REDO:
            undone.discard(row["of"])
    return [row for row in said if row["action"] not in (_UNDO, _REDO) and _batch(row) not in undone]


def _stacks(said: Sequence[dict[str, Any]], who: str) -> tuple[list[int], list[int]]:
    """Batches of a person that hold, and that can be redone, the next one to undo or redo last."""
    done: list[int] = []
    undone: list[int] = []
    for row in said:
        if row["who"] != who:
            continue
        if row["action"] in (_UNDO, _REDO):
            source, target = (done, undone) if row["action"] == _UNDO else (undone, done)
            source.remove(row["of"])
            target.append(row["of"])
        elif _batch(row) not in done[-1:]:
            done.append(_batch(row))
            undone.clear()
    return done, undone


def _batch(row: dict[str, Any]) -> int:
    # Lines of an earlier version stand alone.
    return row["number"] if row["batch"] is None else row["batch"]


def _fold(said: Sequence[dict[str, Any]]) -> Corrected:
    found = Corrected()
    for row in holds(said):
        if row["action"] in _IMAGE_ACTIONS:
            found.organ, found.action, found.who, found.at = row["organ"], row["action"], row["who"], row["at"]
            found.note = row["note"] or found.note
        elif row["action"] == "clear":
            found.organ = found.action = found.who = found.at = None
        elif row["action"] == "note":
            found.note = row["note"]
        elif row["action"] == "accept_cells":
            found.is_checked = True
        else:
            _fold_cell(found, row)
    return found


def _fold_cell(found: Corrected, row: dict[str, Any]) -> None:
    cell = row["cell"]
    if row["action"] in (NAME, _UNNAME):
        found.kinds.pop(cell, None)
        if row["action"] == NAME:
            found.kinds[cell] = row["organ"]
        return
    found.deleted.discard(cell)
    found.marked.discard(cell)
    if row["action"] == "delete_cell":
        found.deleted.add(cell)
    elif row["action"] == "mark_cell":
        found.marked.add(cell)
    elif row["action"] == EDIT:
        found.edited[cell] = CellShape.from_text(row["shape"])


def as_data(found: Corrected, said: Sequence[dict[str, Any]] = (), who: str = "") -> dict[str, Any]:
    """For the page; with all that was `said`, also the shapes of edited cells and whether `who` can undo and redo."""
    done, undone = _stacks(said, who)
    return {
        "organ": found.organ,
        "action": found.action,
        "who": found.who,
        "at": found.at,
        "note": found.note,
        "deleted": sorted(found.deleted),
        "marked": sorted(found.marked),
        "edited": [{"id": cell, **shape.as_data()} for cell, shape in sorted(found.edited.items())] if said else [],
        "is_checked": found.is_checked,
        "kinds": found.kinds,
        "is_reviewed": found.is_reviewed,
        "can_undo": bool(done),
        "can_redo": bool(undone),
    }


def corrected_cells(table: pd.DataFrame, found: Corrected) -> pd.DataFrame:
    """The table without deleted cells and with those that were drawn or changed.

    Where any is, there are columns `marked` (its outline is wrong) and `edited` (an expert drew or changed it). What a
    network said of a cell that was changed stays; of one that was drawn it is missing.
    """
    shapes = found.shapes
    kept = table[~table["id"].isin(found.deleted)]
    if shapes:
        before = kept.set_index("id")
        rows = [
            {**(before.loc[cell].to_dict() if cell in before.index else {}), "id": cell, **shape.measures}
            for cell, shape in sorted(shapes.items())
        ]
        drawn = pd.DataFrame(rows).reindex(columns=kept.columns)
        kept = pd.concat([kept[~kept["id"].isin(shapes)], drawn.astype({"id": kept["id"].dtype})], ignore_index=True)
        kept = kept.astype({"touches_border": bool}).sort_values("id", ignore_index=True)
        kept = kept.assign(edited=kept["id"].isin(shapes))
    return kept.assign(marked=kept["id"].isin(found.marked)) if found.marked else kept


def corrected_labels(
    labels: Int32[np.ndarray, "y x"], found: Corrected, *, origin_px: tuple[int, int] = (0, 0), ignores: bool = False
) -> Int32[np.ndarray, "y x"]:
    """Labels without deleted cells and with those that were drawn or changed; all others keep their number.

    Args:
        labels: As the analysis left them, the whole image or a part.
        found: What experts say.
        origin_px: Row and column of the first pixel in the image.
        ignores: Cells whose outline is wrong become `organscope.io.labels.IGNORED`.
    """
    if found.replaced or (ignores and found.marked):
        kept = np.arange(int(labels.max(initial=0)) + 1, dtype=np.int32)
        kept[[cell for cell in found.replaced if cell < len(kept)]] = 0
        if ignores:
            kept[[cell for cell in found.marked - set(found.edited) if cell < len(kept)]] = IGNORED
        labels = kept[labels]
    for cell, shape in found.shapes.items():
        shape.paint(labels, IGNORED if ignores and cell in found.marked else cell, origin_px)
    return labels


_COLUMNS = "number, action, cell, organ, note, who, at, batch, of, shape"
_INSERT = (
    "INSERT INTO corrections (image, action, cell, organ, note, who, at, batch, of, shape) "
    "VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)"
)


def _values(image: str, who: str, event: Event, batch: int | None, of: int | None) -> tuple:
    shape = None if event.shape is None else json.dumps(event.shape.as_stored())
    return (image, event.action, event.cell, event.organ, event.note, who, time.time(), batch, of, shape)
