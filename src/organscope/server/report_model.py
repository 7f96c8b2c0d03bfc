"""What a report of the web application says, as data.

What is said of an image: the page, the tables, the reports and the methods text all take it from here.

Counts are of three kinds, and each place says which it shows: `n_found`, the cells that the analysis found; `n_cells`,
those that are there with the corrections of experts; and, on the page alone, those that a filter shows.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy
import numpy as np
import pyarrow
from pyarrow import compute, parquet

from organscope.ops.pixel_size import PixelSize, pixel_area_um2
from organscope.pipeline.plan import CELLS_PARQUET
from organscope.reporting.overlays import display_note
from organscope.server.corrections import Corrected
from organscope.server.wording import for_page


@dataclass(frozen=True)
class Entry:
    """What a report says of one image; `cells` is the file of its table, see `areas_px` for the last two."""

    name: str
    size: str
    answer: str
    reason: str
    facts: list[tuple[str, str]]
    expert: str
    expert_organ: str
    n_cells: str
    overlay: str
    overlay_caption: str
    evidence: str
    evidence_caption: str
    cells: str
    um_per_px: PixelSize | None
    replaced: list[int]
    edited_px: list[float]


@dataclass(frozen=True)
class Report:
    """Everything a report shows."""

    title: str
    created: str
    version: str
    entries: list[Entry]
    promise: list[str] = field(default_factory=list)
    methods: list[str] = field(default_factory=list)


def areas_of(entry: Entry) -> tuple[Any, str]:
    """Areas of the cells that are there, float64, and their unit."""
    areas = _areas_px(entry.cells, entry.replaced, entry.edited_px)
    return (areas, "px²") if entry.um_per_px is None else (areas * pixel_area_um2(entry.um_per_px), "µm²")


def _areas_px(cells: str | Path, replaced: Iterable[int], edited_px: Iterable[float]) -> Any:
    """Areas of the cells that are there, float64.

    Args:
        cells: The table of the analysis, Parquet.
        replaced: Cells of it that experts deleted or changed.
        edited_px: Areas of the cells that experts drew or changed.
    """
    table = parquet.read_table(cells, columns=["id", "area_px"])
    ids = table.column("id")
    kept = table.filter(compute.invert(compute.is_in(ids, pyarrow.array(sorted(replaced), ids.type))))
    return numpy.concatenate([kept.column("area_px").to_numpy().astype(float), numpy.array(list(edited_px), float)])


#: In place of a prediction set that holds for no image like this one.
_ANY_ORGAN = "any organ"


@dataclass(frozen=True)
class Findings:
    """What is said of one image beside its verdict.

    Attributes:
        n_found: Cells that the analysis found; None where it is not finished.
        n_cells: Cells that are there, with the corrections of experts.
        n_deleted: Cells that experts called none.
        n_added: Cells that experts drew or parted from others.
        n_edited: Cells that experts drew or changed.
        n_marked: Cells whose outline experts called wrong; they count.
        median_area_px: Of the cells that are there; None where there is none.
        median_area_um2: The same where the pixel size is known.
        quality: What an expert should know before trusting the image, as `flag` and `reason`.
        notes: What was chosen, guessed or passed over when the file was read and shown.
    """

    n_found: int | None = None
    n_cells: int | None = None
    n_deleted: int = 0
    n_added: int = 0
    n_edited: int = 0
    n_marked: int = 0
    median_area_px: float | None = None
    median_area_um2: float | None = None
    quality: tuple[Mapping[str, str], ...] = ()
    notes: tuple[str, ...] = ()


def findings_of(row: dict[str, Any], found: Corrected, results: Path, max_distance: float | None) -> Findings:
    """What is said of one image.

    Args:
        row: Of the database.
        found: What experts say of it.
        results: Its result folder.
        max_distance: To the training images, from which on the bundle that answered does not know an image; None where
            the image is not finished.
    """
    summary = row["summary"]
    if summary is None:
        return Findings(quality=tuple(_quality(row, max_distance)), notes=tuple(_notes(row)))
    median_px, median_um2 = _median_areas(summary, found, results)
    n_found = summary["n_cells"]
    n_added = sum(cell > n_found for cell in found.shapes)
    n_deleted = sum(cell <= n_found for cell in found.deleted)
    return Findings(
        n_found=n_found,
        n_cells=n_found - n_deleted + n_added,
        n_deleted=n_deleted,
        n_added=n_added,
        n_edited=len(found.shapes),
        n_marked=len(found.marked),
        median_area_px=median_px,
        median_area_um2=median_um2,
        quality=tuple(_quality(row, max_distance)),
        notes=tuple(_notes(row)),
    )


def counted(said: Findings) -> str:
    """The number of cells, and of those that the analysis found where experts changed it."""
    n_cells = f"{said.n_cells:,}"
    return n_cells if said.n_cells == said.n_found else f"{n_cells} ({said.n_found:,} found, then corrected)"


def expert_word(found: Corrected) -> str:
    """The organ that an expert names, or in its place what the expert says; empty where nothing."""
    return found.organ or {"not_tissue": "not tissue", "cannot_tell": "cannot tell"}.get(found.action, "")


def not_ruled_out(verdict: dict[str, Any]) -> list[str] | None:
    """Organs that cannot be ruled out; `ANY_ORGAN` where the set holds nothing, None where the bundle has no sets."""
    if verdict["prediction_set"] is None:
        return None
    return [_ANY_ORGAN] if verdict["is_strange"] else verdict["prediction_set"]


def _median_areas(summary: dict[str, Any], found: Corrected, results: Path) -> tuple[float | None, float | None]:
    if not found.replaced:
        return summary["median_area_px"], summary["median_area_um2"]
    edited = tuple(shape.measures["area_px"] for shape in found.shapes.values())
    median = _median_area(results / CELLS_PARQUET, frozenset(found.replaced), edited)
    # A ratio of the medians is the area of a pixel.
    known = summary["median_area_um2"] is not None and median is not None
    return median, median * summary["median_area_um2"] / summary["median_area_px"] if known else None


@lru_cache(maxsize=256)
def _median_area(cells: Path, replaced: frozenset[int], edited_px: tuple[float, ...]) -> float | None:
    areas = _areas_px(cells, replaced, edited_px)
    return float(np.median(areas)) if areas.size else None


def _quality(row: dict[str, Any], max_distance: float | None) -> list[dict[str, str]]:
    """Flags of the image itself, and of how it compares with the training images."""
    flags = list(row["view"]["quality"]) if row["view"] else []
    summary = row["summary"]
    if summary is None:
        return flags
    if summary["doubt"]:
        flags.append({"flag": "doubt", "reason": for_page(summary["doubt"])})
    if max_distance is not None and summary["distance"] > max_distance:
        flags.append(
            {"flag": "unlike training", "reason": "unlike the training images in tissue, stain or magnification"}
        )
    return flags


def _notes(row: dict[str, Any]) -> list[str]:
    view = row["view"] or {}
    notes = list((row["summary"] or view).get("notes") or ())
    # Images that were analyzed by an earlier version do not say whether they are stretched.
    notes.append(display_note(tuple(view["shown"]), is_stretched=view.get("stretched", False)) if view else "")
    return [for_page(note) for note in notes if note]
