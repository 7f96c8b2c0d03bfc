"""What is said of an image: the page, the tables, the reports and the methods text all take it from here.

Counts are of three kinds, and each place says which it shows: `n_found`, the cells that the analysis found; `n_cells`,
those that are there with the corrections of experts; and, on the page alone, those that a filter shows.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow
from pyarrow import compute, parquet

from organscope.jobs.files import CELLS_PARQUET
from organscope.report.overlay import display_note
from organscope.web.corrections import Corrected

#: In place of a prediction set that holds for no image like this one.
ANY_ORGAN = "any organ"


@dataclass(frozen=True)
class Findings:
    """What is said of one image beside its verdict.

    Attributes:
        n_found: Cells that the analysis found; None where it is not finished.
        n_cells: Cells that are there, with the corrections of experts.
        n_deleted: Cells that experts called none.
        n_marked: Cells whose outline experts called wrong; they count.
        median_area_px: Of the cells that are there; None where there is none.
        median_area_um2: The same where the pixel size is known.
        quality: What an expert should know before trusting the image, as `flag` and `reason`.
        notes: What was chosen, guessed or passed over when the file was read and shown.
    """

    n_found: int | None = None
    n_cells: int | None = None
    n_deleted: int = 0
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
    return Findings(
        n_found=summary["n_cells"],
        n_cells=summary["n_cells"] - len(found.deleted),
        n_deleted=len(found.deleted),
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


def not_ruled_out(verdict: dict[str, Any]) -> list[str] | None:
    """Organs that cannot be ruled out; `ANY_ORGAN` where the set holds nothing, None where the bundle has no sets."""
    if verdict["prediction_set"] is None:
        return None
    return [ANY_ORGAN] if verdict["is_strange"] else verdict["prediction_set"]


def _median_areas(summary: dict[str, Any], found: Corrected, results: Path) -> tuple[float | None, float | None]:
    if not found.deleted:
        return summary["median_area_px"], summary["median_area_um2"]
    median = _median_without(results / CELLS_PARQUET, frozenset(found.deleted))
    # A ratio of the medians is that of the pixel's area, and exact for the cells that were found.
    known = summary["median_area_um2"] is not None and median is not None
    return median, median * summary["median_area_um2"] / summary["median_area_px"] if known else None


@lru_cache(maxsize=256)
def _median_without(cells: Path, deleted: frozenset[int]) -> float | None:
    table = parquet.read_table(cells, columns=["id", "area_px"])
    ids = table.column("id")
    kept = table.filter(compute.invert(compute.is_in(ids, pyarrow.array(sorted(deleted), ids.type))))
    return float(np.median(kept.column("area_px").to_numpy())) if len(kept) else None


def _quality(row: dict[str, Any], max_distance: float | None) -> list[dict[str, str]]:
    """Flags of the image itself, and of how it compares with the training images."""
    flags = list(row["view"]["quality"]) if row["view"] else []
    summary = row["summary"]
    if summary is None:
        return flags
    if summary["doubt"]:
        flags.append({"flag": "doubt", "reason": summary["doubt"]})
    if max_distance is not None and summary["distance"] > max_distance:
        reason = f"far from the training images (distance {summary['distance']:.2f}, limit {max_distance:.2f})"
        flags.append({"flag": "unlike training", "reason": reason})
    return flags


def _notes(row: dict[str, Any]) -> list[str]:
    view = row["view"] or {}
    notes = list((row["summary"] or view).get("notes") or ())
    # Images that were analyzed by an earlier version do not say whether they are stretched.
    notes.append(display_note(tuple(view["shown"]), is_stretched=view.get("stretched", False)) if view else "")
    return [note for note in notes if note]
