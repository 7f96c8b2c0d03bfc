"""One image: its state, its picture, its cells, its verdict."""

from typing import Annotated

from fastapi import APIRouter, Path, Response
from fastapi.responses import FileResponse

from organscope.jobs.files import CELL_MAP, EVIDENCE
from organscope.web import messages, queue, studies
from organscope.web.analysis import COLUMNS, OUTLINES, STEM
from organscope.web.packing import read_block
from organscope.web.refusals import RefusalError, refusing
from organscope.web.routes.questions import Asked
from organscope.web.routes.shown import look_at, shown_details
from organscope.web.state import Parts, User
from organscope.web.verdicts import organs_known

router = APIRouter(prefix="/api/images/{image}", tags=["images"], responses=refusing(409))
Power = Annotated[int, Path(ge=0, le=30)]
Place = Annotated[int, Path(ge=0, le=1_000_000)]
#: Pictures of one image never change; each image has its own address.
KEEP = {"Cache-Control": "private, max-age=86400, immutable"}
#: Results change where an image is analysed again.
ASK_AGAIN = {"Cache-Control": "private, no-cache"}
BYTES = {200: {"content": {"application/octet-stream": {"schema": {"type": "string", "format": "binary"}}}}}
JPEG = {200: {"content": {"image/jpeg": {"schema": {"type": "string", "format": "binary"}}}}}
PNG = {200: {"content": {"image/png": {"schema": {"type": "string", "format": "binary"}}}}}


@router.get("")
def look_at_image(image: str, user: User, state: Parts) -> messages.Details:
    """All that the page of one image starts from."""
    return shown_details(studies.image_of(state.database, image, user), user, state)


@router.post("/cancel", tags=["jobs"])
def cancel(image: str, user: User, state: Parts) -> messages.Image:
    """Take the image out of the queue, or stop working on it."""
    row = studies.image_of(state.database, image, user)
    queue.cancel(state.database, row["id"])
    return look_at(studies.image_of(state.database, image, user), {}, state)


@router.post("/retry", tags=["jobs"])
def try_again(image: str, user: User, state: Parts) -> messages.Image:
    """Analyse an image again that failed or was cancelled."""
    row = studies.image_of(state.database, image, user)
    if row["state"] not in (queue.FAILED, queue.CANCELLED):
        raise RefusalError(
            409, f"Expected an image that failed or was cancelled, found that {row['name']} is {row['state']}."
        )
    studies.try_again(state.database, row)
    return look_at(studies.image_of(state.database, image, user), queue.seconds_left(state.database), state)


@router.get("/tiles/{power}/{x}/{y}", response_class=Response, responses=JPEG)
def tile(image: str, power: Power, x: Place, y: Place, user: User, state: Parts) -> Response:
    """One square of the picture as JPEG; power 0 is full resolution, each further one halves it."""
    row = studies.image_of(state.database, image, user)
    return Response(state.tiles.tile(row, power, x, y), media_type="image/jpeg", headers=KEEP)


@router.get("/cells", response_class=Response, responses=BYTES)
def columns(image: str, user: User, state: Parts) -> FileResponse:
    """The table of cells as float32 columns behind a JSON header; see docs/page.md."""
    row = studies.finished_image_of(state.database, image, user)
    path = state.settings.result_folder(row["id"]) / COLUMNS
    return FileResponse(path, media_type="application/octet-stream", headers=ASK_AGAIN)


@router.get("/outlines/{x}/{y}", response_class=Response, responses=BYTES)
def outlines(image: str, x: Place, y: Place, user: User, state: Parts) -> Response:
    """Outlines of the cells of one square of 512 px; see docs/page.md."""
    row = studies.finished_image_of(state.database, image, user)
    block = read_block(state.settings.result_folder(row["id"]) / OUTLINES, x, y)
    return Response(block, media_type="application/octet-stream", headers=ASK_AGAIN)


@router.get("/evidence", response_class=Response, responses=PNG)
def evidence(image: str, user: User, state: Parts) -> FileResponse:
    """What speaks for the most probable organ, as colour over the tissue in gray, where the bundle tells."""
    return _picture(image, EVIDENCE, user, state)


@router.get("/cell-map", response_class=Response, responses=PNG)
def cell_map(image: str, user: User, state: Parts) -> FileResponse:
    """The organ of each cell as colour, where the bundle tells."""
    return _picture(image, CELL_MAP, user, state)


def _picture(image: str, name: str, user: str, state: Parts) -> FileResponse:
    row = studies.finished_image_of(state.database, image, user)
    path = state.settings.result_folder(row["id"]) / STEM / name
    if not path.is_file():
        raise RefusalError(
            404, f"Expected {name} of {row['name']}, found none: the bundle that answered does not make it."
        )
    return FileResponse(path, media_type="image/png", headers=ASK_AGAIN)


@router.get("/verdict", tags=["decisions"])
def verdict(image: str, user: User, state: Parts, asked: Asked) -> messages.Verdicts:
    """The answer for this image at other prices, from stored probabilities."""
    row = studies.finished_image_of(state.database, image, user)
    found = [messages.Verdict(**entry) for entry in state.judge.verdicts([row], asked)]
    return messages.Verdicts(
        organs=organs_known([row]), promise=state.judge.promise([row], asked, is_plain=True), verdicts=found
    )
