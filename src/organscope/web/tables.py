"""Tables of a whole study: one row an image, or one row a cell."""

from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pandas as pd
from pyarrow import parquet

from organscope.images import atomic_path
from organscope.jobs.files import CELLS_PARQUET
from organscope.jobs.tables import um_per_px_columns
from organscope.web.analysis import STEM, cells_of
from organscope.web.corrections import Corrected, corrected_cells
from organscope.web.findings import Findings, expert_word, not_ruled_out
from organscope.web.settings import Settings

#: With these a spreadsheet would take a text for a formula.
FORMULA_SIGNS = ("=", "+", "-", "@", "\t", "\r")


def write_images_table(
    path: Path,
    images: Sequence[dict[str, Any]],
    verdicts: dict[str, dict[str, Any]],
    corrected: dict[str, Corrected],
    said: dict[str, Findings],
) -> None:
    """Write one row an image: what was found, what is answered at the price that was named, what experts say.

    Args:
        path: CSV file to write.
        images: Rows of the database, those to look at first at the top.
        verdicts: By image; none for one that is not finished.
        corrected: By image; none where nobody said anything.
        said: By image, as the page says it.

    Raises:
        OutputError: The disk is full.
    """
    rows = [
        _row(image, verdicts.get(image["id"]), corrected.get(image["id"], Corrected()), said[image["id"]])
        for image in images
    ]
    with atomic_path(path) as temporary:
        pd.DataFrame(rows).to_csv(temporary, index=False)


def write_cells_table(
    path: Path, images: Sequence[dict[str, Any]], said: dict[str, Corrected], settings: Settings
) -> None:
    """Write the cells of all finished images one below the other, name and `file_stem` of their image in front.

    One image is in memory at a time.

    Raises:
        OutputError: The disk is full.
    """
    finished = [image for image in images if image["summary"]]
    columns: dict[str, None] = {}
    for image in finished:
        schema = parquet.read_schema(settings.result_folder(image["id"]) / STEM / CELLS_PARQUET)
        columns |= dict.fromkeys(name for name in schema.names if not name.startswith("__"))
    wanted = ["image", "file_stem", *columns, "marked", "edited"]
    with atomic_path(path) as temporary, temporary.open("w", encoding="utf-8", newline="") as file:
        pd.DataFrame(columns=wanted).to_csv(file, index=False)
        for image in finished:
            found = said.get(image["id"], Corrected())
            table = corrected_cells(cells_of(settings.result_folder(image["id"])), found)
            names = {"image": harmless(image["name"]), "file_stem": harmless(image["file_stem"])}
            table = table.assign(**names, marked=table["id"].isin(found.marked), edited=table["id"].isin(found.shapes))
            table.reindex(columns=wanted).to_csv(file, index=False, header=False)


def harmless(text: str) -> str:
    """The text, with a quote in front where a spreadsheet would run it as a formula."""
    return f"'{text}" if text.startswith(FORMULA_SIGNS) else text


def _row(image: dict[str, Any], verdict: dict[str, Any] | None, found: Corrected, said: Findings) -> dict[str, Any]:
    summary, answer = image["summary"] or {}, verdict or {}
    at = "" if found.at is None else datetime.fromtimestamp(found.at, UTC).isoformat(timespec="seconds")
    return {
        "image": harmless(image["name"]),
        "file_stem": harmless(image["file_stem"]),
        "state": image["state"],
        "width_px": image["width_px"],
        "height_px": image["height_px"],
        **um_per_px_columns(image["um_per_px"]),
        "organ": answer.get("organ"),
        "probability": answer.get("confidence"),
        "decision": answer.get("decision"),
        "why": " ".join(answer.get("why", ())),
        "cannot_be_ruled_out": "; ".join((verdict and not_ruled_out(verdict)) or ()),
        "flagged": answer.get("flagged"),
        "expected_cost": answer.get("cost"),
        "expert_organ": expert_word(found),
        "expert_note": harmless(found.note),
        "expert": found.who,
        "expert_at": at,
        "n_cells": said.n_cells,
        "n_found": said.n_found,
        "n_deleted": said.n_deleted,
        "n_added": said.n_added,
        "n_edited": said.n_edited,
        "n_marked": said.n_marked,
        "median_area_px": said.median_area_px,
        "median_area_um2": said.median_area_um2,
        "cells_organ": summary.get("cells_organ"),
        "quality": "; ".join(flag["reason"] for flag in said.quality),
        "notes": " ".join(said.notes),
    }
