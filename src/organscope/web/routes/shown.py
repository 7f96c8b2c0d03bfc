"""Rows of the database as the interface gives them."""

from typing import Any

from organscope.jobs.files import CELL_MAP, EVIDENCE
from organscope.web import corrections, messages, queue
from organscope.web.analysis import STEM
from organscope.web.pyramid import TILE_PX, highest_power
from organscope.web.state import State
from organscope.web.studies import images_of
from organscope.web.verdicts import organs_known


def shown_image(row: dict[str, Any], left: dict[str, float]) -> messages.Image:
    """An image with its latest job; `left` are the seconds until each image of the queue is done."""
    known = {name: row[name] for name in messages.Image.model_fields if name in row}
    is_waiting = row["state"] in (queue.QUEUED, queue.RUNNING)
    return messages.Image(
        **known,
        seconds_left=left.get(row["id"]) if is_waiting else None,
        is_shown=row["view"] is not None,
        n_cells=None if row["summary"] is None else row["summary"]["n_cells"],
    )


def shown_details(row: dict[str, Any], state: State) -> messages.Details:
    """All that the page of one image starts from."""
    results = state.settings.result_folder(row["id"]) / STEM
    before, after = _neighbours(row, state)
    return messages.Details(
        image=shown_image(row, queue.seconds_left(state.database)),
        study_name=row["study_name"],
        tile_px=TILE_PX,
        highest_power=highest_power(row["height_px"], row["width_px"]),
        has_evidence=(results / EVIDENCE).is_file(),
        evidence_organ=_likeliest(row["summary"]),
        has_cell_map=(results / CELL_MAP).is_file(),
        quality=quality_of(row, state),
        organs=organs_known([row]),
        summary=row["summary"],
        corrections=messages.Corrected(**corrections.as_data(corrections.corrected(state.database, row["id"]))),
        previous=before,
        next=after,
    )


def quality_of(row: dict[str, Any], state: State) -> list[dict[str, str]]:
    """Flags of the picture itself, and of how it compares with the training pictures."""
    flags = list(row["view"]["quality"]) if row["view"] else []
    if row["summary"] is None:
        return flags
    if row["summary"]["doubt"]:
        flags.append({"flag": "doubt", "reason": row["summary"]["doubt"]})
    limit = state.judge.policy_of(row).policy.max_distance
    if row["summary"]["distance"] > limit:
        reason = f"far from the training pictures (distance {row['summary']['distance']:.2f}, limit {limit:.2f})"
        flags.append({"flag": "unlike training", "reason": reason})
    return flags


def _likeliest(summary: dict[str, Any] | None) -> str | None:
    """The organ that an analysis explains: the most probable one, whatever a miss costs."""
    return None if summary is None else max(summary["probabilities"], key=summary["probabilities"].get)


def _neighbours(row: dict[str, Any], state: State) -> tuple[str | None, str | None]:
    ids = [image["id"] for image in images_of(state.database, row["study"])]
    place = ids.index(row["id"])
    return (ids[place - 1] if place else None), (ids[place + 1] if place + 1 < len(ids) else None)
