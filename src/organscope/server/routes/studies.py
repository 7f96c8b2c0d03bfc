"""Studies: make, list, look at, fill, remove.

Verdicts of a study, and what experts say of them.
"""

import asyncio
import shutil
import time
from functools import partial
from pathlib import Path
from typing import Annotated, Any

from fastapi import APIRouter, Query, Request
from starlette.concurrency import run_in_threadpool

from organscope.errors import InputError
from organscope.io import image_files, open_image
from organscope.server import corrections, lessons, queue, schemas, store
from organscope.server.analysis import STEM, cells_of
from organscope.server.corrections import Corrected, Event, as_data, change_shapes, corrected_in_study
from organscope.server.edits import Drawing, edit_cells, measured_again
from organscope.server.errors import RefusalError, overloaded, refusing
from organscope.server.library import library, sources_of
from organscope.server.remeasure import remeasure, size_of
from organscope.server.review import organs_known
from organscope.server.routes.images import look_at, said_of, shown_findings, shown_image
from organscope.server.routes.params import Asked
from organscope.server.state import Parts, State, User, require_memory
from organscope.server.store import NewImage, new_id
from organscope.server.uploads import (
    Upload,
    allowed_name,
    find_allowed,
    list_allowed,
    receive,
    require_one_file,
    settle,
)

router = APIRouter(prefix="/api", tags=["studies"], responses=refusing(507))
_BINARY_BODY = {
    "requestBody": {
        "required": True,
        "content": {"application/octet-stream": {"schema": {"type": "string", "format": "binary"}}},
    }
}


@router.get("/studies")
def list_studies(user: User, state: Parts) -> list[schemas.Study]:
    """All studies of the user, the newest first."""
    return [schemas.Study(**row) for row in store.studies_of(state.database, user)]


@router.post("/studies", status_code=201)
def make_study(new: schemas.NewStudy, user: User, state: Parts) -> schemas.Study:
    """Make an empty study."""
    study = _new_study(new, new.name, user, state)
    return schemas.Study(**store.study_of(state.database, study, user))


def _new_study(new: schemas.NewStudy, name: str, user: str, state: State) -> str:
    """Make a study; its id."""
    known = library(state.settings, lessons.taught_bundles(state.database, user, state.settings)) if new.bundles else []
    asked = {"diameter_px": new.diameter_px, "min_cell_recall": new.min_cell_recall, "measures": new.measures}
    analysis = {name: value for name, value in asked.items() if value}
    if new.bundles:
        analysis["bundles"] = sources_of(new.bundles, known)
        analysis["models"] = [entry.title for entry in known if entry.id in new.bundles]
    return store.add_study(state.database, user, name, new.um_per_px, new.channel, new.choice, analysis)


@router.post("/studies/{study}/again", status_code=201, responses=refusing(409))
def analyze_again(study: str, new: schemas.Again, user: User, state: Parts) -> schemas.Study:
    """Analyze images of a study again, with other options, as a study of their own; the first results stay."""
    row = store.study_of(state.database, study, user)
    images = store.images_of(state.database, study)
    chosen = [image for image in images if not new.images or image["id"] in new.images]
    if not chosen:
        raise RefusalError(422, f"Expected images of the study {row['name']}, found none. Choose some of it.")
    gone = [image["name"] for image in chosen if not Path(image["path"]).exists()]
    if gone:
        raise RefusalError(409, f"Expected the file of {gone[0]}, found that it is gone. Add it again.")
    made = _new_study(new, new.name or f"{row['name']}, again"[:120], user, state)
    _keep(made, user, Upload(store.images_again(chosen, state.settings)), state)
    return schemas.Study(**store.study_of(state.database, made, user))


@router.get("/studies/{study}")
def look_at_study(study: str, user: User, state: Parts, asked: Asked) -> schemas.Overview:
    """All images of a study with their verdicts, those to look at first at the top."""
    row = store.study_of(state.database, study, user)
    images = store.images_of(state.database, study)
    found = state.judge.verdicts(images, asked)
    said = corrected_in_study(state.database, study)
    left = queue.seconds_left(state.database)
    by_id = {image["id"]: image for image in images}
    order = [*(verdict["image"] for verdict in found), *(image["id"] for image in images if image["summary"] is None)]
    verdict_of = {verdict["image"]: verdict for verdict in found}
    rows = [_row(by_id[i], verdict_of.get(i), said.get(i, Corrected()), left, state) for i in order]
    counts = next(entry for entry in store.studies_of(state.database, user) if entry["id"] == study)
    return schemas.Overview(
        study=schemas.Study(**row | counts),
        organs=organs_known(images),
        promise=state.judge.promise(images, asked, is_plain=True),
        rows=rows,
    )


def _row(image: dict, verdict: dict | None, found: Corrected, left: dict[str, float], state: State) -> schemas.Row:
    summary = image["summary"] or {}
    said = said_of(image, found, state)
    return schemas.Row(
        image=shown_image(image, left, said),
        verdict=None if verdict is None else schemas.Verdict(**verdict),
        findings=shown_findings(said),
        corrections=schemas.Corrected(**as_data(found)),
        cells_organ=summary.get("cells_organ"),
        agreement=summary.get("agreement"),
    )


@router.get("/studies/{study}/lessons", tags=["bundles"])
def look_at_lessons(study: str, user: User, state: Parts) -> list[schemas.Lesson]:
    """The lessons of a study, the newest first."""
    store.study_of(state.database, study, user)
    return [_shown_lesson(row) for row in lessons.lessons_of(state.database, study)]


@router.post("/studies/{study}/lessons", status_code=201, tags=["bundles"], responses=refusing(409))
def teach(study: str, new: schemas.NewLesson, user: User, state: Parts) -> list[schemas.Lesson]:
    """Teach a bundle from the images of a study that an expert named, or from its named cells."""
    store.study_of(state.database, study, user)
    lessons.add_lesson(state.database, study, user, new.name, new.subject)
    return look_at_lessons(study, user, state)


@router.post("/studies/{study}/lessons/stop", tags=["bundles"])
def stop_teaching(study: str, user: User, state: Parts) -> list[schemas.Lesson]:
    """Stop the lesson of a study that waits or is given."""
    store.study_of(state.database, study, user)
    lessons.stop_lessons(state.database, study)
    return look_at_lessons(study, user, state)


def _shown_lesson(row: dict[str, Any]) -> schemas.Lesson:
    until = row["ended"] or time.time()
    seconds = None if row["started"] is None else until - row["started"]
    known = {name: row[name] for name in ("id", "name", "subject", "state", "message", "result")}
    return schemas.Lesson(**known, bundle=lessons.bundle_id(row["id"]), seconds=seconds)


@router.post("/studies/{study}/pixel-size", responses=refusing(409))
def change_pixel_size(study: str, new: schemas.NewPixelSize, user: User, state: Parts) -> schemas.Study:
    """Give all images of a study another pixel size; areas and lengths follow, cells stay as they were found."""
    store.study_of(state.database, study, user)
    images = store.images_of(state.database, study)
    waiting = sum(image["state"] in (queue.QUEUED, queue.RUNNING) for image in images)
    if waiting:
        raise RefusalError(409, f"Expected a study whose images are done, found {waiting} that wait. Try again then.")
    finished = [image for image in images if image["summary"] is not None]
    folder_of = state.settings.result_folder
    sizes = [size_of(image, folder_of(image["id"]), new.um_per_px) for image in finished]
    store.keep_pixel_size(state.database, study, new.um_per_px)
    for image, size in zip(finished, sizes, strict=True):
        store.keep_summary(state.database, image["id"], remeasure(image, folder_of(image["id"]), size))
        now = store.image_of(state.database, image["id"], user)
        change_shapes(state.database, image["id"], partial(measured_again, row=now))
    counts = next(entry for entry in store.studies_of(state.database, user) if entry["id"] == study)
    return schemas.Study(**counts)


@router.delete("/studies/{study}", status_code=204)
def remove_study(study: str, user: User, state: Parts) -> None:
    """Remove a study with its uploads and results; slides in allowed folders stay."""
    store.study_of(state.database, study, user)
    store.remove_study(state.database, study, state.settings)


@router.post("/studies/{study}/uploads", status_code=201, openapi_extra=_BINARY_BODY)
async def upload(
    study: str, name: Annotated[str, Query(min_length=1, max_length=1000)], request: Request, user: User, state: Parts
) -> schemas.Arrived:
    """Upload one image, or a zip of images, as the body of the request; what it is is found from its content."""
    free = await run_in_threadpool(_require_room, study, user, state)
    if state.uploads >= state.settings.limits.uploads_at_once:
        raise overloaded(f"Expected at most {state.settings.limits.uploads_at_once} uploads at once, found more.")
    state.uploads += 1
    received = state.settings.store / "uploads" / f".arriving-{new_id()}"
    try:
        await receive(request.stream(), received, state.settings.limits)
        arrivals = await run_in_threadpool(settle, received, name, state.settings, free)
        return await run_in_threadpool(_keep, study, user, arrivals, state)
    finally:
        state.uploads -= 1
        await asyncio.to_thread(received.unlink, missing_ok=True)


@router.post("/studies/{study}/slides", status_code=201, responses=refusing())
def add_slides(study: str, asked: schemas.AllowedPath, user: User, state: Parts) -> schemas.Arrived:
    """Add an image, or all images of a folder, that lie in a folder the operator allows; nothing is copied."""
    free = _require_room(study, user, state)
    place, wanted = find_allowed(state.settings, asked.path), allowed_name(state.settings, asked.path)
    found = image_files([place])
    if len(found) > free:
        raise RefusalError(
            413, f"Expected at most {free:,} more images in this study, found {len(found):,}. Choose fewer."
        )
    arrivals = Upload()
    for path, _ in found:
        # A link inside an allowed folder may lead out of it.
        name = wanted if path == place else f"{wanted}/{path.relative_to(place).as_posix()}"
        try:
            arrivals.images.append(_describe(find_allowed(state.settings, name), name))
        except InputError as error:
            arrivals.refused.append({"name": name, "reason": str(error).replace(str(path), name)})
        except RefusalError as refusal:
            arrivals.refused.append({"name": name, "reason": refusal.detail})
    if not arrivals.images:
        raise RefusalError(422, arrivals.refused[0]["reason"])
    return _keep(study, user, arrivals, state)


def _describe(path, name: str) -> NewImage:
    if path.is_file():
        require_one_file(path)
    with open_image(path) as image:
        n_bytes = path.stat().st_size
        return NewImage(new_id(), name, path, False, n_bytes, image.height_px, image.width_px, image.um_per_px)


def _require_room(study: str, user: str, state: State) -> int:
    """How many images the study may still take, if the queue takes any."""
    store.study_of(state.database, study, user)
    limits = state.settings.limits
    require_memory(state)
    if shutil.disk_usage(state.settings.store).free < limits.free_disk_bytes:
        raise RefusalError(
            507, "Expected room on the disk of this server, found almost none. Remove studies, or tell the operator."
        )
    if queue.n_waiting(state.database) >= limits.queued:
        raise overloaded(f"Expected fewer than {limits.queued:,} images in the queue, found that it is full.")
    held = len(store.images_of(state.database, study))
    if held >= limits.images_a_study:
        raise RefusalError(
            413,
            f"Expected at most {limits.images_a_study:,} images in a study, found that it is full. Make another study, "
            "or use `organscope analyze` on the folder.",
        )
    return limits.images_a_study - held


def _keep(study: str, user: str, arrivals: Upload, state: State) -> schemas.Arrived:
    try:
        store.study_of(state.database, study, user)
        store.add_images(state.database, study, arrivals.images, state.settings)
    except RefusalError:
        for image in arrivals.images:
            store.remove_files(image.id, state.settings)
        raise
    rows = [store.image_of(state.database, image.id, user) for image in arrivals.images]
    left = queue.seconds_left(state.database)
    refused = [schemas.Rejected(**refused) for refused in arrivals.refused]
    return schemas.Arrived(images=[look_at(row, left, state) for row in rows], refused=refused)


@router.get("/queue", tags=["jobs"])
def look_at_queue(user: User, state: Parts) -> schemas.Queue:
    """The user's images that wait or are worked on, and those that ended in the last minute."""
    left = queue.seconds_left(state.database)
    rows = store.recent_images(state.database, user, time.time() - 60)
    return schemas.Queue(images=[look_at(row, left, state) for row in rows], n_waiting=queue.n_waiting(state.database))


@router.post("/queue/cancel", tags=["jobs"])
def cancel_all(user: User, state: Parts) -> schemas.Queue:
    """Take all images of the user out of the queue; finished ones stay."""
    queue.cancel_all(state.database, user)
    return look_at_queue(user, state)


@router.get("/folders", tags=["folders"])
def list_folder(user: User, state: Parts, path: Annotated[str, Query(max_length=1000)] = "") -> schemas.Places:
    """What lies in an allowed folder; without a path the allowed folders."""
    entries = [schemas.Place(**vars(entry)) for entry in list_allowed(state.settings, path)]
    return schemas.Places(path=path, entries=entries)


decisions_router = APIRouter(prefix="/api", responses=refusing(409))


@decisions_router.get("/studies/{study}/verdicts", tags=["decisions"])
def verdicts(study: str, user: User, state: Parts, asked: Asked) -> schemas.Verdicts:
    """The answers for all finished images of a study, those to look at first at the top; no network runs."""
    store.study_of(state.database, study, user)
    images = store.images_of(state.database, study)
    found = [schemas.Verdict(**entry) for entry in state.judge.verdicts(images, asked)]
    return schemas.Verdicts(
        organs=organs_known(images), promise=state.judge.promise(images, asked, is_plain=True), verdicts=found
    )


@decisions_router.get("/images/{image}/corrections", tags=["corrections"])
def look_at_corrections(image: str, user: User, state: Parts) -> schemas.Corrections:
    """Everything that experts said of an image, and what it comes to."""
    row = store.image_of(state.database, image, user)
    said = corrections.corrections_of(state.database, row["id"])
    entries = [schemas.Correction(**entry) for entry in said]
    found = corrections.corrected(state.database, row["id"])
    now = schemas.Corrected(**corrections.as_data(found, said, user))
    return schemas.Corrections(now=now, said=entries, findings=shown_findings(said_of(row, found, state)))


@decisions_router.post("/images/{image}/corrections", status_code=201, tags=["corrections"])
def correct(image: str, new: schemas.NewCorrection, user: User, state: Parts) -> schemas.Corrections:
    """Accept or override the organ of an image, or delete or mark cells; nothing that was said is ever lost."""
    row = store.finished_image_of(state.database, image, user)
    found = corrections.corrected(state.database, row["id"])
    _require_sense(new, max([row["summary"]["n_cells"], *found.edited]))
    events = [Event(new.action, cell, new.organ, new.note) for cell in new.cells or [None]]
    corrections.add_corrections(state.database, row["id"], user, events)
    return look_at_corrections(image, user, state)


@decisions_router.post("/images/{image}/edits", status_code=201, tags=["corrections"])
def edit(image: str, new: schemas.Edit, user: User, state: Parts) -> schemas.Corrections:
    """Draw a missed cell, or reshape, split or merge cells; measures, tables and exports follow at once."""
    row = store.finished_image_of(state.database, image, user)
    out = state.settings.result_folder(row["id"])
    found = corrections.corrected(state.database, row["id"])
    drawing = Drawing(new.kind, tuple(dict.fromkeys(new.cells)), tuple(new.points), new.radius_px)
    events = edit_cells(drawing, row, out / STEM, corrections.corrected_cells(cells_of(out), found), found)
    corrections.add_corrections(state.database, row["id"], user, events)
    return look_at_corrections(image, user, state)


@decisions_router.post("/images/{image}/undo", status_code=201, tags=["corrections"])
def undo(image: str, user: User, state: Parts) -> schemas.Corrections:
    """Take back what this user said last of an image, however many cells it speaks of."""
    row = store.finished_image_of(state.database, image, user)
    corrections.take_back(state.database, row["id"], user)
    return look_at_corrections(image, user, state)


@decisions_router.post("/images/{image}/redo", status_code=201, tags=["corrections"])
def redo(image: str, user: User, state: Parts) -> schemas.Corrections:
    """Say again what this user took back last."""
    row = store.finished_image_of(state.database, image, user)
    corrections.take_back(state.database, row["id"], user, again=True)
    return look_at_corrections(image, user, state)


def _require_sense(new: schemas.NewCorrection, n_cells: int) -> None:
    is_of_cells = new.action in corrections.CELL_ACTIONS
    if is_of_cells and (not new.cells or max(new.cells) > n_cells):
        raise RefusalError(
            422, f"Expected cells from 1 to {n_cells} with {new.action}, found {new.cells[:5] or 'none'}."
        )
    if not is_of_cells and new.cells:
        raise RefusalError(
            422, f"Expected no cells with {new.action}, found {len(new.cells)}. It speaks of the whole image."
        )
    if (new.action in ("accept", "override", corrections.NAME)) != (new.organ is not None):
        wanted = "a name" if new.organ is None else "no name"
        raise RefusalError(422, f"Expected {wanted} with {new.action}, found {new.organ or 'none'}.")
