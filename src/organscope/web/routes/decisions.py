"""Verdicts of a study, and what experts say of them."""

from fastapi import APIRouter

from organscope.web import corrections, messages, studies
from organscope.web.analysis import STEM, cells_of
from organscope.web.corrections import Event
from organscope.web.edits import Drawing, edit_cells
from organscope.web.refusals import RefusalError, refusing
from organscope.web.routes.questions import Asked
from organscope.web.routes.shown import said_of, shown_findings
from organscope.web.state import Parts, User
from organscope.web.verdicts import organs_known

router = APIRouter(prefix="/api", responses=refusing(409))


@router.get("/studies/{study}/verdicts", tags=["decisions"])
def verdicts(study: str, user: User, state: Parts, asked: Asked) -> messages.Verdicts:
    """The answers for all finished images of a study, those to look at first at the top; no network runs."""
    studies.study_of(state.database, study, user)
    images = studies.images_of(state.database, study)
    found = [messages.Verdict(**entry) for entry in state.judge.verdicts(images, asked)]
    return messages.Verdicts(
        organs=organs_known(images), promise=state.judge.promise(images, asked, is_plain=True), verdicts=found
    )


@router.get("/images/{image}/corrections", tags=["corrections"])
def look_at_corrections(image: str, user: User, state: Parts) -> messages.Corrections:
    """Everything that experts said of an image, and what it comes to."""
    row = studies.image_of(state.database, image, user)
    said = corrections.corrections_of(state.database, row["id"])
    entries = [messages.Correction(**entry) for entry in said]
    found = corrections.corrected(state.database, row["id"])
    now = messages.Corrected(**corrections.as_data(found, said, user))
    return messages.Corrections(now=now, said=entries, findings=shown_findings(said_of(row, found, state)))


@router.post("/images/{image}/corrections", status_code=201, tags=["corrections"])
def correct(image: str, new: messages.NewCorrection, user: User, state: Parts) -> messages.Corrections:
    """Accept or override the organ of an image, or delete or mark cells; nothing that was said is ever lost."""
    row = studies.finished_image_of(state.database, image, user)
    found = corrections.corrected(state.database, row["id"])
    _require_sense(new, max([row["summary"]["n_cells"], *found.edited]))
    events = [Event(new.action, cell, new.organ, new.note) for cell in new.cells or [None]]
    corrections.add_corrections(state.database, row["id"], user, events)
    return look_at_corrections(image, user, state)


@router.post("/images/{image}/edits", status_code=201, tags=["corrections"])
def edit(image: str, new: messages.Edit, user: User, state: Parts) -> messages.Corrections:
    """Draw a missed cell, or reshape, split or merge cells; measures, tables and exports follow at once."""
    row = studies.finished_image_of(state.database, image, user)
    out = state.settings.result_folder(row["id"])
    found = corrections.corrected(state.database, row["id"])
    drawing = Drawing(new.kind, tuple(dict.fromkeys(new.cells)), tuple(new.points), new.radius_px)
    events = edit_cells(drawing, row, out / STEM, corrections.corrected_cells(cells_of(out), found), found)
    corrections.add_corrections(state.database, row["id"], user, events)
    return look_at_corrections(image, user, state)


@router.post("/images/{image}/undo", status_code=201, tags=["corrections"])
def undo(image: str, user: User, state: Parts) -> messages.Corrections:
    """Take back what this user said last of an image, however many cells it speaks of."""
    row = studies.finished_image_of(state.database, image, user)
    corrections.take_back(state.database, row["id"], user)
    return look_at_corrections(image, user, state)


@router.post("/images/{image}/redo", status_code=201, tags=["corrections"])
def redo(image: str, user: User, state: Parts) -> messages.Corrections:
    """Say again what this user took back last."""
    row = studies.finished_image_of(state.database, image, user)
    corrections.take_back(state.database, row["id"], user, again=True)
    return look_at_corrections(image, user, state)


def _require_sense(new: messages.NewCorrection, n_cells: int) -> None:
    is_of_cells = new.action in corrections.CELL_ACTIONS
    if is_of_cells and (not new.cells or max(new.cells) > n_cells):
        raise RefusalError(
            422, f"Expected cells from 1 to {n_cells} with {new.action}, found {new.cells[:5] or 'none'}."
        )
    if not is_of_cells and new.cells:
        raise RefusalError(
            422, f"Expected no cells with {new.action}, found {len(new.cells)}. It speaks of the whole image."
        )
    if (new.action in ("accept", "override")) != (new.organ is not None):
        wanted = "an organ" if new.organ is None else "no organ"
        raise RefusalError(422, f"Expected {wanted} with {new.action}, found {new.organ or 'none'}.")
