"""Studies: make, list, look at, fill, remove."""

import asyncio
import shutil
import time
from functools import partial
from typing import Annotated

from fastapi import APIRouter, Query, Request
from starlette.concurrency import run_in_threadpool

from organscope.errors import InputError
from organscope.images import image_files, open_image
from organscope.web import messages, queue, studies
from organscope.web.corrections import Corrected, as_data, change_shapes, corrected_in_study
from organscope.web.edits import measured_again
from organscope.web.folders import find_allowed, list_allowed
from organscope.web.one_file import require_one_file
from organscope.web.refusals import RefusalError, overloaded, refusing
from organscope.web.remeasure import remeasure, size_of
from organscope.web.routes.questions import Asked
from organscope.web.routes.shown import look_at, said_of, shown_findings, shown_image
from organscope.web.state import Parts, State, User, require_memory
from organscope.web.studies import NewImage, new_id
from organscope.web.uploads import Arrivals, receive, settle
from organscope.web.verdicts import organs_known

router = APIRouter(prefix="/api", tags=["studies"], responses=refusing(507))
BINARY_BODY = {
    "requestBody": {
        "required": True,
        "content": {"application/octet-stream": {"schema": {"type": "string", "format": "binary"}}},
    }
}


@router.get("/studies")
def list_studies(user: User, state: Parts) -> list[messages.Study]:
    """All studies of the user, the newest first."""
    return [messages.Study(**row) for row in studies.studies_of(state.database, user)]


@router.post("/studies", status_code=201)
def make_study(new: messages.NewStudy, user: User, state: Parts) -> messages.Study:
    """Make an empty study."""
    study = studies.add_study(state.database, user, new.name, new.um_per_px, new.channel, new.choice)
    return messages.Study(**studies.study_of(state.database, study, user))


@router.get("/studies/{study}")
def look_at_study(study: str, user: User, state: Parts, asked: Asked) -> messages.Overview:
    """All images of a study with their verdicts, those to look at first at the top."""
    row = studies.study_of(state.database, study, user)
    images = studies.images_of(state.database, study)
    found = state.judge.verdicts(images, asked)
    said = corrected_in_study(state.database, study)
    left = queue.seconds_left(state.database)
    by_id = {image["id"]: image for image in images}
    order = [*(verdict["image"] for verdict in found), *(image["id"] for image in images if image["summary"] is None)]
    verdict_of = {verdict["image"]: verdict for verdict in found}
    rows = [_row(by_id[i], verdict_of.get(i), said.get(i, Corrected()), left, state) for i in order]
    counts = next(entry for entry in studies.studies_of(state.database, user) if entry["id"] == study)
    return messages.Overview(
        study=messages.Study(**row | counts),
        organs=organs_known(images),
        promise=state.judge.promise(images, asked, is_plain=True),
        rows=rows,
    )


def _row(image: dict, verdict: dict | None, found: Corrected, left: dict[str, float], state: State) -> messages.Row:
    summary = image["summary"] or {}
    said = said_of(image, found, state)
    return messages.Row(
        image=shown_image(image, left, said),
        verdict=None if verdict is None else messages.Verdict(**verdict),
        findings=shown_findings(said),
        corrections=messages.Corrected(**as_data(found)),
        cells_organ=summary.get("cells_organ"),
        agreement=summary.get("agreement"),
    )


@router.post("/studies/{study}/pixel-size", responses=refusing(409))
def change_pixel_size(study: str, new: messages.NewPixelSize, user: User, state: Parts) -> messages.Study:
    """Give all images of a study another pixel size; areas and lengths follow, cells stay as they were found."""
    studies.study_of(state.database, study, user)
    images = studies.images_of(state.database, study)
    waiting = sum(image["state"] in (queue.QUEUED, queue.RUNNING) for image in images)
    if waiting:
        raise RefusalError(409, f"Expected a study whose images are done, found {waiting} that wait. Try again then.")
    finished = [image for image in images if image["summary"] is not None]
    folder_of = state.settings.result_folder
    sizes = [size_of(image, folder_of(image["id"]), new.um_per_px) for image in finished]
    studies.keep_pixel_size(state.database, study, new.um_per_px)
    for image, size in zip(finished, sizes, strict=True):
        studies.keep_summary(state.database, image["id"], remeasure(image, folder_of(image["id"]), size))
        now = studies.image_of(state.database, image["id"], user)
        change_shapes(state.database, image["id"], partial(measured_again, row=now))
    counts = next(entry for entry in studies.studies_of(state.database, user) if entry["id"] == study)
    return messages.Study(**counts)


@router.delete("/studies/{study}", status_code=204)
def remove_study(study: str, user: User, state: Parts) -> None:
    """Remove a study with its uploads and results; slides in allowed folders stay."""
    studies.study_of(state.database, study, user)
    studies.remove_study(state.database, study, state.settings)


@router.post("/studies/{study}/uploads", status_code=201, openapi_extra=BINARY_BODY)
async def upload(
    study: str, name: Annotated[str, Query(min_length=1, max_length=1000)], request: Request, user: User, state: Parts
) -> messages.Arrived:
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
def add_slides(study: str, asked: messages.AllowedPath, user: User, state: Parts) -> messages.Arrived:
    """Add an image, or all images of a folder, that lie in a folder the operator allows; nothing is copied."""
    free = _require_room(study, user, state)
    place = find_allowed(state.settings, asked.path)
    found = image_files([place])
    if len(found) > free:
        raise RefusalError(
            413, f"Expected at most {free:,} more images in this study, found {len(found):,}. Choose fewer."
        )
    arrivals = Arrivals()
    for path, _ in found:
        # A link inside an allowed folder may lead out of it.
        name = asked.path if path == place else f"{asked.path}/{path.relative_to(place).as_posix()}"
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
    studies.study_of(state.database, study, user)
    limits = state.settings.limits
    require_memory(state)
    if shutil.disk_usage(state.settings.store).free < limits.free_disk_bytes:
        raise RefusalError(
            507, "Expected room on the disk of this server, found almost none. Remove studies, or tell the operator."
        )
    if queue.n_waiting(state.database) >= limits.queued:
        raise overloaded(f"Expected fewer than {limits.queued:,} images in the queue, found that it is full.")
    held = len(studies.images_of(state.database, study))
    if held >= limits.images_a_study:
        raise RefusalError(
            413,
            f"Expected at most {limits.images_a_study:,} images in a study, found that it is full. Make another study, "
            "or use `organscope analyze` on the folder.",
        )
    return limits.images_a_study - held


def _keep(study: str, user: str, arrivals: Arrivals, state: State) -> messages.Arrived:
    try:
        studies.study_of(state.database, study, user)
        studies.add_images(state.database, study, arrivals.images, state.settings)
    except RefusalError:
        for image in arrivals.images:
            studies.remove_files(image.id, state.settings)
        raise
    rows = [studies.image_of(state.database, image.id, user) for image in arrivals.images]
    left = queue.seconds_left(state.database)
    refused = [messages.Refused(**refused) for refused in arrivals.refused]
    return messages.Arrived(images=[look_at(row, left, state) for row in rows], refused=refused)


@router.get("/queue", tags=["jobs"])
def look_at_queue(user: User, state: Parts) -> messages.Queue:
    """The user's images that wait or are worked on, and those that ended in the last minute."""
    left = queue.seconds_left(state.database)
    rows = studies.recent_images(state.database, user, time.time() - 60)
    return messages.Queue(images=[look_at(row, left, state) for row in rows], n_waiting=queue.n_waiting(state.database))


@router.post("/queue/cancel", tags=["jobs"])
def cancel_all(user: User, state: Parts) -> messages.Queue:
    """Take all images of the user out of the queue; finished ones stay."""
    queue.cancel_all(state.database, user)
    return look_at_queue(user, state)


@router.get("/folders", tags=["folders"])
def list_folder(user: User, state: Parts, path: Annotated[str, Query(max_length=1000)] = "") -> messages.Places:
    """What lies in an allowed folder; without a path the allowed folders."""
    entries = [messages.Place(**vars(entry)) for entry in list_allowed(state.settings, path)]
    return messages.Places(path=path, entries=entries)
