"""Files to take away."""

import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Literal

from fastapi import APIRouter, Response
from fastapi.responses import FileResponse
from starlette.background import BackgroundTask
from starlette.concurrency import run_in_threadpool

from organscope.web import corrections, studies
from organscope.web.corrections import Corrected
from organscope.web.exports import MEDIA_TYPES, write_export
from organscope.web.file_names import plain_part
from organscope.web.methods import methods_text
from organscope.web.refusals import RefusalError, refusing
from organscope.web.report import Report, Told, make_report, render_html, write_pdf
from organscope.web.routes.questions import Asked
from organscope.web.routes.shown import said_of
from organscope.web.state import Parts, State, User, require_memory
from organscope.web.tables import write_cells_table, write_images_table
from organscope.web.training_set import write_training_set
from organscope.web.verdicts import Question

router = APIRouter(prefix="/api", tags=["downloads"], responses=refusing(409, 507))
FILES = {200: {"content": {kind.split(";")[0]: {"schema": {"type": "string"}} for kind in MEDIA_TYPES.values()}}}
REPORTS = {200: {"content": {kind: {"schema": {"type": "string"}} for kind in ("text/html", "application/pdf")}}}
ZIP = {200: {"content": {"application/zip": {"schema": {"type": "string", "format": "binary"}}}}}
MAX_REPORT_IMAGES = 200
ExportName = Literal["cells.csv", "cells.parquet", "cells.geojson", "labels.ome.tif"]
ReportName = Literal["report.html", "report.pdf"]
TableName = Literal["images.csv", "cells.csv"]
TABLES = {200: {"content": {"text/csv": {"schema": {"type": "string"}}}}}


@router.get("/images/{image}/files/{kind}", response_class=Response, responses=FILES)
async def export(image: str, kind: ExportName, user: User, state: Parts) -> FileResponse:
    """Cells as CSV, Parquet or GeoJSON for QuPath, or labels as OME-TIFF, with corrections applied."""
    row = await run_in_threadpool(studies.finished_image_of, state.database, image, user)
    async with state.making:
        path = await run_in_threadpool(_export, kind, row, state)
    return _sent(path, f"{row['file_stem']}-{kind}", MEDIA_TYPES[kind])


def _export(kind: str, row: dict[str, Any], state: State) -> Path:
    found = corrections.corrected(state.database, row["id"])
    out = state.settings.result_folder(row["id"])
    with _new_folder(state) as folder:
        return write_export(kind, folder, out, found, row["um_per_px"], row["name"])


@router.get("/images/{image}/{kind}", response_class=Response, responses=REPORTS)
async def image_report(image: str, kind: ReportName, user: User, state: Parts, asked: Asked) -> FileResponse:
    """The report of one image, with figures and a methods text."""
    row = await run_in_threadpool(studies.finished_image_of, state.database, image, user)
    async with state.making:
        path = await run_in_threadpool(_report, kind, row["name"], [row], asked, state)
    return _sent(path, f"{row['file_stem']}-{kind}", _media_type(kind))


@router.get("/studies/{study}/annotations.zip", response_class=Response, responses=ZIP, tags=["corrections"])
async def annotations(study: str, user: User, state: Parts) -> FileResponse:
    """Reviewed images with their corrected labels, as `organscope data import` takes them."""
    row = await run_in_threadpool(studies.study_of, state.database, study, user)
    async with state.making:
        path = await run_in_threadpool(_annotations, study, state)
    return _sent(path, f"{plain_part(row['name'], 'study')}-annotations.zip", "application/zip")


@router.get("/studies/{study}/tables/{kind}", response_class=Response, responses=TABLES)
async def study_table(study: str, kind: TableName, user: User, state: Parts, asked: Asked) -> FileResponse:
    """All images of a study as one table, or the cells of all of them, with corrections applied."""
    row = await run_in_threadpool(studies.study_of, state.database, study, user)
    async with state.making:
        path = await run_in_threadpool(_table, kind, study, asked, state)
    return _sent(path, f"{plain_part(row['name'], 'study')}-{kind}", MEDIA_TYPES["cells.csv"])


@router.get("/studies/{study}/{kind}", response_class=Response, responses=REPORTS)
async def study_report(study: str, kind: ReportName, user: User, state: Parts, asked: Asked) -> FileResponse:
    """The report of all finished images of a study."""
    row = await run_in_threadpool(studies.study_of, state.database, study, user)
    images = await run_in_threadpool(studies.images_of, state.database, study)
    async with state.making:
        path = await run_in_threadpool(_report, kind, row["name"], images, asked, state)
    return _sent(path, f"{plain_part(row['name'], 'study')}-{kind}", _media_type(kind))


def _annotations(study: str, state: State) -> Path:
    images = studies.images_of(state.database, study)
    found = corrections.corrected_in_study(state.database, study)
    with _new_folder(state) as folder:
        write_training_set(folder / "annotations.zip", images, found, state.database, state.settings)
    return folder / "annotations.zip"


def _table(kind: str, study: str, asked: Question, state: State) -> Path:
    images = studies.images_of(state.database, study)
    said = corrections.corrected_in_study(state.database, study)
    with _new_folder(state) as folder:
        if kind == "cells.csv":
            write_cells_table(folder / kind, images, said, state.settings)
        else:
            verdicts = {verdict["image"]: verdict for verdict in state.judge.verdicts(images, asked)}
            findings = {row["id"]: said_of(row, said.get(row["id"], Corrected()), state) for row in images}
            write_images_table(folder / kind, images, verdicts, said, findings)
    return folder / kind


def _report(kind: str, title: str, images: list[dict[str, Any]], asked: Question, state: State) -> Path:
    finished = [row for row in images if row["summary"]]
    if not finished or len(finished) > MAX_REPORT_IMAGES:
        raise RefusalError(
            409, f"Expected 1 to {MAX_REPORT_IMAGES} finished images for a report, found {len(finished)}."
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


def _content(title: str, finished: list[dict[str, Any]], asked: Question, state: State) -> Report:
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
