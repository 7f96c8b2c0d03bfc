"""Rows of the database as the interface gives them."""

from typing import Any

from organscope.jobs.files import CELL_MAP, EVIDENCE
from organscope.web import corrections, messages, queue
from organscope.web.analysis import STEM
from organscope.web.corrections import Corrected
from organscope.web.findings import Findings, findings_of
from organscope.web.pyramid import TILE_PX, highest_power
from organscope.web.state import State
from organscope.web.studies import images_of
from organscope.web.verdicts import organs_known


def said_of(row: dict[str, Any], found: Corrected, state: State) -> Findings:
    """What is said of an image, with the corrections of experts."""
    is_done = row["summary"] is not None
    max_distance = state.judge.policy_of(row).policy.max_distance if is_done else None
    return findings_of(row, found, state.settings.result_folder(row["id"]) / STEM, max_distance)


def shown_image(row: dict[str, Any], left: dict[str, float], said: Findings) -> messages.Image:
    """An image with its latest job; `left` are the seconds until each image of the queue is done."""
    known = {name: row[name] for name in messages.Image.model_fields if name in row}
    is_waiting = row["state"] in (queue.QUEUED, queue.RUNNING)
    return messages.Image(
        **known,
        seconds_left=left.get(row["id"]) if is_waiting else None,
        is_shown=row["view"] is not None,
        n_cells=said.n_cells,
        n_found=said.n_found,
    )


def look_at(row: dict[str, Any], left: dict[str, float], state: State) -> messages.Image:
    """`shown_image` of a row alone, with what experts said of it so far."""
    found = Corrected() if row["summary"] is None else corrections.corrected(state.database, row["id"])
    return shown_image(row, left, said_of(row, found, state))


def shown_details(row: dict[str, Any], user: str, state: State) -> messages.Details:
    """All that the page of one image starts from."""
    results = state.settings.result_folder(row["id"]) / STEM
    before, after = _neighbours(row, state)
    found = corrections.corrected(state.database, row["id"])
    now = corrections.as_data(found, corrections.corrections_of(state.database, row["id"]), user)
    said = said_of(row, found, state)
    return messages.Details(
        image=shown_image(row, queue.seconds_left(state.database), said),
        study_name=row["study_name"],
        options=messages.Options(
            um_per_px=row["given_um_per_px"], channel=row["given_channel"], choice=row["given_choice"]
        ),
        tile_px=TILE_PX,
        highest_power=highest_power(row["height_px"], row["width_px"]),
        has_evidence=(results / EVIDENCE).is_file(),
        evidence_organ=_likeliest(row["summary"]),
        has_cell_map=(results / CELL_MAP).is_file(),
        organs=organs_known([row]),
        summary=row["summary"],
        findings=shown_findings(said),
        corrections=messages.Corrected(**now),
        previous=before,
        next=after,
    )


def shown_findings(said: Findings) -> messages.Findings:
    """What is said of an image, as the interface gives it."""
    return messages.Findings(**{name: getattr(said, name) for name in messages.Findings.model_fields})


def _likeliest(summary: dict[str, Any] | None) -> str | None:
    """The organ that an analysis explains: the most probable one, whatever a miss costs."""
    return None if summary is None else max(summary["probabilities"], key=summary["probabilities"].get)


def _neighbours(row: dict[str, Any], state: State) -> tuple[str | None, str | None]:
    ids = [image["id"] for image in images_of(state.database, row["study"])]
    place = ids.index(row["id"])
    return (ids[place - 1] if place else None), (ids[place + 1] if place + 1 < len(ids) else None)
