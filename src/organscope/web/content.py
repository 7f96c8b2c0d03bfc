"""What a report shows, however it is drawn; light, because the process that draws the PDF starts with it."""

from dataclasses import dataclass, field
from typing import Any

import pyarrow
from pyarrow import compute, parquet

from organscope.ops.pixel_size import PixelSize, pixel_area_um2


@dataclass(frozen=True)
class Entry:
    """What a report says of one image; `cells` is the file of its table, `deleted` the cells that experts took out."""

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
    deleted: list[int]


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
    """Areas of the cells that experts left, float64, and their unit."""
    table = parquet.read_table(entry.cells, columns=["id", "area_px"])
    ids = table.column("id")
    kept = table.filter(compute.invert(compute.is_in(ids, pyarrow.array(entry.deleted, ids.type))))
    areas = kept.column("area_px").to_numpy().astype(float)
    return (areas, "px²") if entry.um_per_px is None else (areas * pixel_area_um2(entry.um_per_px), "µm²")
