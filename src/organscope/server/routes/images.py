"""One image: its state, its image, its cells, its verdict.

Rows of the database as the interface gives them.

Files to take away.
"""

import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Annotated, Any, Literal

from fastapi import APIRouter, Response
from fastapi import Path as PathParameter
from fastapi.responses import FileResponse
from starlette.background import BackgroundTask
from starlette.concurrency import run_in_threadpool

from organscope.pipeline.plan import CELL_MAP, EVIDENCE
from organscope.server import corrections, queue, schemas, store
from organscope.server.analysis import COLUMNS, OUTLINES, STEM
from organscope.server.corrections import Corrected
from organscope.server.errors import RefusalError, refusing
from organscope.server.exports import (
    MEDIA_TYPES,
    write_cells_table,
    write_export,
    write_images_table,
    write_training_set,
)
from organscope.server.kinds import kinds_in_study
from organscope.server.report import Told, make_report, methods_text, render_html, write_pdf
from organscope.server.report_model import Findings, Report, findings_of
from organscope.server.results import packed_columns, read_block
from organscope.server.review import Constraints, is_strange, organs_known
from organscope.server.routes.params import Asked
from organscope.server.state import Parts, State, User, require_memory
from organscope.server.store import images_of, plain_part
from organscope.server.tiles import TILE_PX, highest_power


def said_of(row: dict[str, Any], found: Corrected, state: State) -> Findings:
    """What is said of an image, with the corrections of experts."""
    is_done = row["summary"] is not None
    max_distance = state.judge.policy_of(row).policy.max_distance if is_done else None
    return findings_of(row, found, state.settings.result_folder(row["id"]) / STEM, max_distance)


def shown_image(row: dict[str, Any], left: dict[str, float], said: Findings) -> schemas.Image:
    """An image with its latest job; `left` are the seconds until each image of the queue is done."""
    known = {name: row[name] for name in schemas.Image.model_fields if name in row}
    is_waiting = row["state"] in (queue.QUEUED, queue.RUNNING)
    return schemas.Image(
        **known,
        seconds_left=left.get(row["id"]) if is_waiting else None,
        is_shown=row["view"] is not None,
        n_cells=said.n_cells,
        n_found=said.n_found,
    )


def look_at(row: dict[str, Any], left: dict[str, float], state: State) -> schemas.Image:
    """`shown_image` of a row alone, with what experts said of it so far."""
    found = Corrected() if row["summary"] is None else corrections.corrected(state.database, row["id"])
    return shown_image(row, left, said_of(row, found, state))


def _shown_details(row: dict[str, Any], user: str, state: State) -> schemas.Details:
    """All that the page of one image starts from."""
    results = state.settings.result_folder(row["id"]) / STEM
    before, after = _neighbours(row, state)
    found = corrections.corrected(state.database, row["id"])
    now = corrections.as_data(found, corrections.corrections_of(state.database, row["id"]), user)
    said = said_of(row, found, state)
    return schemas.Details(
        image=shown_image(row, queue.seconds_left(state.database), said),
        study_name=row["study_name"],
        options=schemas.Options(
            um_per_px=row["given_um_per_px"],
            channel=row["given_channel"],
            choice=row["given_choice"],
            analysis=row["given_analysis"],
        ),
        tile_px=TILE_PX,
        highest_power=highest_power(row["height_px"], row["width_px"]),
        has_evidence=(results / EVIDENCE).is_file() and not _is_strange(row, state),
        evidence_organ=_likeliest(row["summary"]),
        has_cell_map=(results / CELL_MAP).is_file(),
        organs=organs_known([row]),
        summary=row["summary"],
        findings=shown_findings(said),
        corrections=schemas.Corrected(**now),
        previous=before,
        next=after,
    )


def shown_findings(said: Findings) -> schemas.Findings:
    """What is said of an image, as the interface gives it."""
    return schemas.Findings(**{name: getattr(said, name) for name in schemas.Findings.model_fields})


def _is_strange(row: dict[str, Any], state: State) -> bool:
    """Whether the network does not know an image like this: then nothing speaks for an organ."""
    return row["summary"] is not None and is_strange(row, state.judge.policy_of(row))


def _likeliest(summary: dict[str, Any] | None) -> str | None:
    """The organ that an analysis explains: the most probable one, whatever a miss costs."""
    return None if summary is None else max(summary["probabilities"], key=summary["probabilities"].get)


def _neighbours(row: dict[str, Any], state: State) -> tuple[str | None, str | None]:
    ids = [image["id"] for image in images_of(state.database, row["study"])]
    place = ids.index(row["id"])
    return (ids[place - 1] if place else None), (ids[place + 1] if place + 1 < len(ids) else None)


router = APIRouter(prefix="/api/images/{image}", tags=["images"], responses=refusing(409))
_Power = Annotated[int, PathParameter(ge=0, le=30)]
_Place = Annotated[int, PathParameter(ge=0, le=1_000_000)]
#: Images of one image never change; each image has its own address.
_KEEP = {"Cache-Control": "private, max-age=86400, immutable"}
#: Results change where an image is analyzed again.
_ASK_AGAIN = {"Cache-Control": "private, no-cache"}
_BYTES = {200: {"content": {"application/octet-stream": {"schema": {"type": "string", "format": "binary"}}}}}
_JPEG = {200: {"content": {"image/jpeg": {"schema": {"type": "string", "format": "binary"}}}}}
PNG = {200: {"content": {"image/png": {"schema": {"type": "string", "format": "binary"}}}}}


@router.get("")
def look_at_image(image: str, user: User, state: Parts) -> schemas.Details:
    """All that the page of one image starts from."""
    return _shown_details(store.image_of(state.database, image, user), user, state)


@router.post("/cancel", tags=["jobs"])
def cancel(image: str, user: User, state: Parts) -> schemas.Image:
    """Take the image out of the queue, or stop working on it."""
    row = store.image_of(state.database, image, user)
    queue.cancel(state.database, row["id"])
    return look_at(store.image_of(state.database, image, user), {}, state)


@router.post("/retry", tags=["jobs"])
def try_again(image: str, user: User, state: Parts) -> schemas.Image:
    """Analyze an image again that failed or was cancelled."""
    row = store.image_of(state.database, image, user)
    if row["state"] not in (queue.FAILED, queue.CANCELLED):
        raise RefusalError(
            409, f"Expected an image that failed or was cancelled, found that {row['name']} is {row['state']}."
        )
    store.try_again(state.database, row)
    return look_at(store.image_of(state.database, image, user), queue.seconds_left(state.database), state)


@router.get("/tiles/{power}/{x}/{y}", response_class=Response, responses=_JPEG)
def tile(image: str, power: _Power, x: _Place, y: _Place, user: User, state: Parts) -> Response:
    """One square of the image as JPEG; power 0 is full resolution, each further one halves it."""
    row = store.image_of(state.database, image, user)
    return Response(state.tiles.tile(row, power, x, y), media_type="image/jpeg", headers=_KEEP)


@router.get("/cells", response_class=Response, responses=_BYTES)
def columns(image: str, user: User, state: Parts) -> FileResponse:
    """The table of cells as float32 columns behind a JSON header; see docs/page.md."""
    row = store.finished_image_of(state.database, image, user)
    path = state.settings.result_folder(row["id"]) / COLUMNS
    return FileResponse(path, media_type="application/octet-stream", headers=_ASK_AGAIN)


@router.get("/kinds", response_class=Response, responses=_BYTES)
def kinds(image: str, user: User, state: Parts) -> Response:
    """The kind of each cell, after those that were named in the study: columns as of `cells`.

    The header also has `names`, `asked` (cells whose names would help most) and `right` (named cells that are named
    right when they are left out, and of how many; null where a kind has too few).
    """
    row = store.finished_image_of(state.database, image, user)
    found = kinds_in_study(state.database, row, state.settings)
    more = {"names": found.names, "asked": found.asked, "right": found.right}
    return Response(packed_columns(found.as_columns(), more), media_type="application/octet-stream", headers=_ASK_AGAIN)


@router.get("/outlines/{x}/{y}", response_class=Response, responses=_BYTES)
def outlines(image: str, x: _Place, y: _Place, user: User, state: Parts) -> Response:
    """Outlines of the cells of one square of 512 px; see docs/page.md."""
    row = store.finished_image_of(state.database, image, user)
    block = read_block(state.settings.result_folder(row["id"]) / OUTLINES, x, y)
    return Response(block, media_type="application/octet-stream", headers=_ASK_AGAIN)


@router.get("/evidence", response_class=Response, responses=PNG)
def evidence(image: str, user: User, state: Parts) -> FileResponse:
    """What speaks for the most probable organ, as color over the tissue in gray, where the bundle tells."""
    return _picture(image, EVIDENCE, user, state)


@router.get("/cell-map", response_class=Response, responses=PNG)
def cell_map(image: str, user: User, state: Parts) -> FileResponse:
    """The organ of each cell as color, where the bundle tells."""
    return _picture(image, CELL_MAP, user, state)


def _picture(image: str, name: str, user: str, state: Parts) -> FileResponse:
    row = store.finished_image_of(state.database, image, user)
    path = state.settings.result_folder(row["id"]) / STEM / name
    if not path.is_file():
        raise RefusalError(
            404, f"Expected {name} of {row['name']}, found none: the bundle that answered does not make it."
        )
    return FileResponse(path, media_type="image/png", headers=_ASK_AGAIN)


@router.get("/verdict", tags=["decisions"])
def verdict(image: str, user: User, state: Parts, asked: Asked) -> schemas.Verdicts:
    """The answer for this image at other prices, from stored probabilities."""
    row = store.finished_image_of(state.database, image, user)
    found = [schemas.Verdict(**entry) for entry in state.judge.verdicts([row], asked)]
    return schemas.Verdicts(
        organs=organs_known([row]), promise=state.judge.promise([row], asked, is_plain=True), verdicts=found
    )


downloads_router = APIRouter(prefix="/api", tags=["downloads"], responses=refusing(409, 507))
_FILES = {200: {"content": {kind.split(";")[0]: {"schema": {"type": "string"}} for kind in MEDIA_TYPES.values()}}}
_REPORTS = {200: {"content": {kind: {"schema": {"type": "string"}} for kind in ("text/html", "application/pdf")}}}
_ZIP = {200: {"content": {"application/zip": {"schema": {"type": "string", "format": "binary"}}}}}
_MAX_REPORT_IMAGES = 200
_ExportName = Literal["cells.csv", "cells.parquet", "cells.geojson", "labels.ome.tif"]
_ReportName = Literal["report.html", "report.pdf"]
_TableName = Literal["images.csv", "cells.csv"]
_TABLES = {200: {"content": {"text/csv": {"schema": {"type": "string"}}}}}


@downloads_router.get("/images/{image}/files/{kind}", response_class=Response, responses=_FILES)
async def export(image: str, kind: _ExportName, user: User, state: Parts) -> FileResponse:
    """Cells as CSV, Parquet or GeoJSON for QuPath, or labels as OME-TIFF, with corrections applied."""
    row = await run_in_threadpool(store.finished_image_of, state.database, image, user)
    async with state.making:
        path = await run_in_threadpool(_export, kind, row, state)
    return _sent(path, f"{row['file_stem']}-{kind}", MEDIA_TYPES[kind])


def _export(kind: str, row: dict[str, Any], state: State) -> Path:
    found = corrections.corrected(state.database, row["id"])
    out = state.settings.result_folder(row["id"])
    kinds = kinds_in_study(state.database, row, state.settings)
    with _new_folder(state) as folder:
        return write_export(kind, folder, out, found, kinds, row["um_per_px"], row["name"])


@downloads_router.get("/images/{image}/{kind}", response_class=Response, responses=_REPORTS)
async def image_report(image: str, kind: _ReportName, user: User, state: Parts, asked: Asked) -> FileResponse:
    """The report of one image, with figures and a methods text."""
    row = await run_in_threadpool(store.finished_image_of, state.database, image, user)
    async with state.making:
        path = await run_in_threadpool(_report, kind, row["name"], [row], asked, state)
    return _sent(path, f"{row['file_stem']}-{kind}", _media_type(kind))


@downloads_router.get("/studies/{study}/annotations.zip", response_class=Response, responses=_ZIP, tags=["corrections"])
async def annotations(study: str, user: User, state: Parts) -> FileResponse:
    """Reviewed images with their corrected labels, as `organscope data import` takes them."""
    row = await run_in_threadpool(store.study_of, state.database, study, user)
    async with state.making:
        path = await run_in_threadpool(_annotations, study, state)
    return _sent(path, f"{plain_part(row['name'], 'study')}-annotations.zip", "application/zip")


@downloads_router.get("/studies/{study}/tables/{kind}", response_class=Response, responses=_TABLES)
async def study_table(study: str, kind: _TableName, user: User, state: Parts, asked: Asked) -> FileResponse:
    """All images of a study as one table, or the cells of all of them, with corrections applied."""
    row = await run_in_threadpool(store.study_of, state.database, study, user)
    async with state.making:
        path = await run_in_threadpool(_table, kind, study, asked, state)
    return _sent(path, f"{plain_part(row['name'], 'study')}-{kind}", MEDIA_TYPES["cells.csv"])


@downloads_router.get("/studies/{study}/{kind}", response_class=Response, responses=_REPORTS)
async def study_report(study: str, kind: _ReportName, user: User, state: Parts, asked: Asked) -> FileResponse:
    """The report of all finished images of a study."""
    row = await run_in_threadpool(store.study_of, state.database, study, user)
    images = await run_in_threadpool(store.images_of, state.database, study)
    async with state.making:
        path = await run_in_threadpool(_report, kind, row["name"], images, asked, state)
    return _sent(path, f"{plain_part(row['name'], 'study')}-{kind}", _media_type(kind))


def _annotations(study: str, state: State) -> Path:
    images = store.images_of(state.database, study)
    found = corrections.corrected_in_study(state.database, study)
    with _new_folder(state) as folder:
        write_training_set(folder / "annotations.zip", images, found, state.database, state.settings)
    return folder / "annotations.zip"


def _table(kind: str, study: str, asked: Constraints, state: State) -> Path:
    images = store.images_of(state.database, study)
    said = corrections.corrected_in_study(state.database, study)
    with _new_folder(state) as folder:
        if kind == "cells.csv":
            is_named = any(found.kinds for found in said.values())
            kinds = partial(kinds_in_study, state.database, settings=state.settings) if is_named else None
            write_cells_table(folder / kind, images, said, state.settings, kinds)
        else:
            verdicts = {verdict["image"]: verdict for verdict in state.judge.verdicts(images, asked)}
            findings = {row["id"]: said_of(row, said.get(row["id"], Corrected()), state) for row in images}
            write_images_table(folder / kind, images, verdicts, said, findings)
    return folder / kind


def _report(kind: str, title: str, images: list[dict[str, Any]], asked: Constraints, state: State) -> Path:
    finished = [row for row in images if row["summary"]]
    if not finished or len(finished) > _MAX_REPORT_IMAGES:
        raise RefusalError(
            409, f"Expected 1 to {_MAX_REPORT_IMAGES} finished images for a report, found {len(finished)}."
        )
    with _new_folder(state) as folder:
        report = _content(title, finished, asked, state)
        if kind == "report.pdf":
            write_pdf(report, folder / kind)
        else:
            (folder / kind).write_text(render_html(report), "utf-8")
    return folder / kind


@contextmanager
def _new_folder(state: State) -> Iterator[Path]:
    """An empty folder for one file, which goes again where the file cannot be made."""
    require_memory(state)
    folder = Path(tempfile.mkdtemp(prefix="organscope-"))
    try:
        yield folder
    except BaseException:
        shutil.rmtree(folder, ignore_errors=True)
        raise


def _content(title: str, finished: list[dict[str, Any]], asked: Constraints, state: State) -> Report:
    by_id = {row["id"]: row for row in finished}
    promised = state.judge.promise(finished, asked)
    verdicts = state.judge.verdicts(finished, asked)
    rows = []
    for verdict in verdicts:
        row, found = by_id[verdict["image"]], corrections.corrected(state.database, verdict["image"])
        rows.append(Told(row, verdict, found, said_of(row, found, state)))
    n_cells = sum(told.said.n_cells for told in rows), sum(told.said.n_found for told in rows)
    methods = methods_text(finished, n_cells, asked, promised, verdicts[0]["coverage"])
    return make_report(title, rows, promised, methods, state.settings)


def _sent(path: Path, name: str, media_type: str) -> FileResponse:
    """The file, removed with its folder once it is sent."""
    cleaning = BackgroundTask(shutil.rmtree, path.parent, ignore_errors=True)
    return FileResponse(path, media_type=media_type, filename=name, background=cleaning)


def _media_type(kind: str) -> str:
    return "application/pdf" if kind.endswith("pdf") else "text/html; charset=utf-8"
