"""What a report shows, however it is drawn; light, because the process that draws the PDF starts with it."""

from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy
import pyarrow
from pyarrow import compute, parquet

from organscope.ops.pixel_size import PixelSize, pixel_area_um2


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
    areas = areas_px(entry.cells, entry.replaced, entry.edited_px)
    return (areas, "px²") if entry.um_per_px is None else (areas * pixel_area_um2(entry.um_per_px), "µm²")


def areas_px(cells: str | Path, replaced: Iterable[int], edited_px: Iterable[float]) -> Any:
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
