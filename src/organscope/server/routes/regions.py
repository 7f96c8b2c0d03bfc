"""Regions of interest of an image."""

import csv
import io
from dataclasses import asdict
from typing import Any
from urllib.parse import quote

from fastapi import APIRouter, Response

from organscope.server import corrections, regions, schemas, store
from organscope.server.analysis import cells_of
from organscope.server.errors import refusing
from organscope.server.exports import MEDIA_TYPES, harmless
from organscope.server.kinds import NOT_SURE, kinds_in_study
from organscope.server.state import Parts, State, User

router = APIRouter(prefix="/api/images/{image}/regions", tags=["regions"], responses=refusing(409))
_CSV = {200: {"content": {"text/csv": {"schema": {"type": "string"}}}}}
_COLUMNS = ("region", "area_px", "area_mm2", "n_cells", "density_per_mm2")


@router.get("")
def look_at_regions(image: str, user: User, state: Parts) -> list[schemas.Region]:
    """The regions of an image with the cells in them, as corrected."""
    row = store.finished_image_of(state.database, image, user)
    return [schemas.Region(**asdict(region)) for region in _regions(row, state)]


@router.post("", status_code=201)
def draw_region(image: str, new: schemas.NewRegion, user: User, state: Parts) -> list[schemas.Region]:
    """Keep a region."""
    row = store.finished_image_of(state.database, image, user)
    regions.add_region(state.database, row, user, new.name, new.ring)
    return look_at_regions(image, user, state)


@router.post("/{number}/remove")
def remove_region(image: str, number: int, user: User, state: Parts) -> list[schemas.Region]:
    """Forget a region."""
    row = store.finished_image_of(state.database, image, user)
    regions.remove_region(state.database, row, number)
    return look_at_regions(image, user, state)


@router.get(".csv", response_class=Response, responses=_CSV)
def take_regions(image: str, user: User, state: Parts) -> Response:
    """The regions as a table, with one column a kind of cell."""
    row = store.finished_image_of(state.database, image, user)
    found = _regions(row, state)
    kinds = sorted({kind for region in found for kind in region.kinds})
    stream = io.StringIO()
    writer = csv.writer(stream)
    writer.writerow([*_COLUMNS, *(harmless(kind) for kind in kinds)])
    for one in found:
        measures = (one.area_px, one.area_mm2, one.n_cells, one.density_per_mm2)
        writer.writerow([harmless(one.name), *measures, *(one.kinds.get(kind, 0) for kind in kinds)])
    name = f"{row['file_stem']}-regions.csv"
    headers = {"Content-Disposition": f"attachment; filename*=UTF-8''{quote(name)}"}
    return Response(stream.getvalue(), media_type=MEDIA_TYPES["cells.csv"], headers=headers)


def _regions(row: dict[str, Any], state: State) -> list[regions.Region]:
    found = corrections.corrected(state.database, row["id"])
    cells = corrections.corrected_cells(cells_of(state.settings.result_folder(row["id"])), found)
    columns = kinds_in_study(state.database, row, state.settings).as_columns()
    named = columns[columns["kind"] != NOT_SURE]
    return regions.regions_of(state.database, row, cells, dict(zip(named["id"], named["kind"], strict=True)))
