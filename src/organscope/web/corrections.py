"""What experts say of the results: a list that only grows, so that who said what, and when, is never lost."""

import time
from dataclasses import dataclass, field
from typing import Any, Literal

import numpy as np
import pandas as pd
from jaxtyping import Int32

from organscope.web.database import Database

Action = Literal["accept", "override", "clear", "delete_cell", "mark_cell", "restore_cell"]
"""`accept` and `override` name the organ of the image, `clear` takes that back; `delete_cell`: this is no cell,
`mark_cell`: its outline is wrong, `restore_cell` takes either back."""
CELL_ACTIONS = ("delete_cell", "mark_cell", "restore_cell")


@dataclass
class Corrected:
    """What the list of an image comes to.

    Attributes:
        organ: The organ that an expert names; None where none did.
        action: `accept` or `override`; None where no expert named it.
        who: Who named it.
        at: When, in seconds since 1970.
        deleted: Cells that are none.
        marked: Cells whose outline is wrong.
    """

    organ: str | None = None
    action: str | None = None
    who: str | None = None
    at: float | None = None
    deleted: set[int] = field(default_factory=set)
    marked: set[int] = field(default_factory=set)

    @property
    def is_reviewed(self) -> bool:
        """Whether an expert said anything about this image."""
        return self.organ is not None or bool(self.deleted or self.marked)


def add_corrections(
    database: Database, image: str, action: Action, who: str, *, cells: list[int], organ: str | None, note: str
) -> None:
    """Write down what was said, one line a cell, all or none."""
    with database.write() as connection:
        for cell in cells or [None]:
            connection.execute(
                "INSERT INTO corrections (image, action, cell, organ, note, who, at) VALUES (?, ?, ?, ?, ?, ?, ?)",
                (image, action, cell, organ, note, who, time.time()),
            )


def corrections_of(database: Database, image: str) -> list[dict[str, Any]]:
    """Everything that was said of an image, in order."""
    rows = database.read().execute(
        "SELECT number, action, cell, organ, note, who, at FROM corrections WHERE image = ? ORDER BY number", (image,)
    )
    return [dict(row) for row in rows]


def corrected(database: Database, image: str) -> Corrected:
    """What all that was said of an image comes to."""
    return _fold(corrections_of(database, image))


def corrected_in_study(database: Database, study: str) -> dict[str, Corrected]:
    """The same for every image of a study of which anything was said."""
    rows = database.read().execute(
        "SELECT c.image, c.action, c.cell, c.organ, c.who, c.at FROM corrections c JOIN images i ON i.id = c.image "
        "WHERE i.study = ? ORDER BY c.number",
        (study,),
    )
    by_image: dict[str, list[dict[str, Any]]] = {}
    for row in rows:
        by_image.setdefault(row["image"], []).append(dict(row))
    return {image: _fold(said) for image, said in by_image.items()}


def _fold(said: list[dict[str, Any]]) -> Corrected:
    found = Corrected()
    for row in said:
        if row["action"] in ("accept", "override"):
            found.organ, found.action, found.who, found.at = row["organ"], row["action"], row["who"], row["at"]
        elif row["action"] == "clear":
            found.organ = found.action = found.who = found.at = None
        else:
            found.deleted.discard(row["cell"])
            found.marked.discard(row["cell"])
            if row["action"] == "delete_cell":
                found.deleted.add(row["cell"])
            elif row["action"] == "mark_cell":
                found.marked.add(row["cell"])
    return found


def as_data(found: Corrected) -> dict[str, Any]:
    """For the page."""
    return {
        "organ": found.organ,
        "action": found.action,
        "who": found.who,
        "at": found.at,
        "deleted": sorted(found.deleted),
        "marked": sorted(found.marked),
    }


def corrected_cells(table: pd.DataFrame, found: Corrected) -> pd.DataFrame:
    """The table without deleted cells; a column `marked` where any outline is wrong."""
    kept = table[~table["id"].isin(found.deleted)]
    return kept.assign(marked=kept["id"].isin(found.marked)) if found.marked else kept


def corrected_labels(labels: Int32[np.ndarray, "y x"], found: Corrected) -> Int32[np.ndarray, "y x"]:
    """The label image without deleted cells; all others keep their number."""
    if not found.deleted:
        return labels
    kept = np.arange(int(labels.max(initial=0)) + 1, dtype=np.int32)
    kept[[cell for cell in found.deleted if cell < len(kept)]] = 0
    return kept[labels]
