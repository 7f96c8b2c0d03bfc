"""Regions of interest: a person draws and names them; the cells in them are counted, also by area."""

import json
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import pandas as pd
import shapely

from organscope.pipeline.rois import count_cells
from organscope.server.database import Database
from organscope.server.errors import RefusalError, not_found

_FEWEST_POINTS = 3


@dataclass(frozen=True)
class Region:
    """A region and what lies in it.

    Attributes:
        id: In the database.
        name: In the words of the expert.
        ring: Its corners, x and y in pixels of the image.
        area_px: Its area, without what lies outside of the image.
        area_mm2: The same where the pixel size is known.
        n_cells: Cells whose center lies in it.
        density_per_mm2: Of its cells.
        kinds: Of these, how many of each own kind; empty where no cell was named.
    """

    id: int
    name: str
    ring: list[tuple[float, float]]
    area_px: float
    area_mm2: float | None
    n_cells: int
    density_per_mm2: float | None
    kinds: dict[str, int] = field(default_factory=dict)


def add_region(
    database: Database, row: dict[str, Any], who: str, name: str, ring: Sequence[tuple[float, float]]
) -> None:
    """Keep a region.

    Raises:
        RefusalError: 422, where the line encloses nothing of the image.
    """
    frame = shapely.box(0, 0, row["width_px"], row["height_px"])
    if len(ring) < _FEWEST_POINTS or not shapely.intersection(_polygon(ring), frame).area:
        raise RefusalError(422, "Expected a line round a part of the image, found that it encloses none. Draw again.")
    database.read().execute(
        "INSERT INTO regions (image, name, ring, who, at) VALUES (?, ?, ?, ?, ?)",
        (row["id"], name, json.dumps([[round(x, 2), round(y, 2)] for x, y in ring]), who, time.time()),
    )


def remove_region(database: Database, row: dict[str, Any], number: int) -> None:
    """Forget a region.

    Raises:
        RefusalError: 404, where the image has none of that number.
    """
    found = database.read().execute("DELETE FROM regions WHERE image = ? AND number = ?", (row["id"], number))
    if not found.rowcount:
        raise not_found("a region of this image", str(number))


def regions_of(
    database: Database, row: dict[str, Any], cells: pd.DataFrame, kinds: Mapping[int, str] | None = None
) -> list[Region]:
    """The regions of an image, in the order of their drawing.

    Args:
        database: Where they are kept.
        row: Of the image.
        cells: Those that are there.
        kinds: Kind by number of the cell.
    """
    rows = database.read().execute(
        "SELECT number, name, ring FROM regions WHERE image = ? ORDER BY number", (row["id"],)
    )
    return [_measured(found["number"], found["name"], json.loads(found["ring"]), row, cells, kinds) for found in rows]


def _measured(
    number: int, name: str, ring: list, row: dict[str, Any], cells: pd.DataFrame, kinds: Mapping[int, str] | None
) -> Region:
    count = count_cells(_polygon(ring), cells, (row["height_px"], row["width_px"]), row["um_per_px"])
    own = [kinds[cell] for cell in cells["id"][count.inside].tolist() if cell in kinds] if kinds else []
    return Region(
        id=number,
        name=name,
        ring=[(x, y) for x, y in ring],
        area_px=count.area_px,
        area_mm2=count.area_mm2,
        n_cells=int(count.inside.sum()),
        density_per_mm2=count.density_per_mm2,
        kinds={kind: own.count(kind) for kind in sorted(set(own))},
    )


def _polygon(ring: Sequence[tuple[float, float]]) -> shapely.Geometry:
    """What a line encloses; where it crosses itself, what it goes round."""
    return shapely.make_valid(shapely.Polygon(ring), method="structure", keep_collapsed=False)
