"""Regions among cells: outlines that a person or a tool drew around many cells, or around the tissue.

A region that was painted as a cell would teach a network that the background between its cells is a cell.
"""

import re
from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from organscope.dataset.annotations.cells import CellMask, Cells, overlap_px

#: Names of classes that say that an outline is no cell. QuPath ignores every class that ends in `*`.
_REGION_NAME = re.compile(
    r"(\*|(^|[\s_-])(roi|rois|region|regions|tissue|background|ignore|ignored|exclude|exclusion|tma[\s_-]?core))[\s_-]*\d*$",
    re.IGNORECASE,
)
#: A cell that covers more than this share of the image and holds another one is a region.
_COVERS = 0.5
#: An outline that covers so much of the image is a region in any case.
_FILLS = 0.95
#: A cell with this many others in it is a region: one may be its nucleus, two those of a cell that divides.
_HOLDS = 3
#: One with two others in it is a region where it is so many times as large as they are.
_TIMES_AS_LARGE = 10
#: A cell is held by another one if so much of it lies inside.
_INSIDE = 0.95
_N_NAMED = 3


def is_region_class(name: str) -> bool:
    """Whether the name of a class says that its outlines are no cells (`Region*`, `Ignore*`, `tissue region`)."""
    return bool(_REGION_NAME.search(name.strip()))


def leave_out_regions(cells: Cells, height_px: int, width_px: int) -> Cells:
    """The cells without outlines that are regions; every doubtful one is named.

    An outline is a region if its class says so, if it covers 95 % of the image, if it covers half of it and holds
    another cell, or if it holds three others (two, where it is ten times as large as they are).

    Args:
        cells: What an annotation says.
        height_px: Rows of the image.
        width_px: Columns of the image.
    """
    masks, left_out = _without_region_classes(cells.masks)
    areas = np.array([cell.area_px for cell in masks], np.int64)
    held = _held_cells(masks, areas)
    kept, regions, doubtful = [], [], []
    for number, cell in enumerate(masks):
        share = float(areas[number]) / (height_px * width_px)
        if _is_region(int(areas[number]), areas[held[number]], share):
            regions.append(f"{_named(cell)}, {_reason(len(held[number]), share)}")
            continue
        kept.append(cell)
        is_large = areas[number] > _TIMES_AS_LARGE * np.median(areas)
        if share > _COVERS or held[number] or is_large:
            doubtful.append(f"{_named(cell)}, {_reason(len(held[number]), share) or 'far larger than the others'}")
    if regions:
        left_out.append(f"{len(regions)} outlines were left out as regions, not cells: {_some(regions)}")
    notes = list(cells.notes)
    if doubtful:
        notes.append(
            f"{len(doubtful)} outlines were kept as cells that may be regions (they hold others, cover half the image "
            f"or are ten times as large as the median): {_some(doubtful)}"
        )
    return replace(cells, masks=kept, left_out=[*cells.left_out, *left_out], notes=notes)


def _without_region_classes(masks: Sequence[CellMask]) -> tuple[list[CellMask], list[str]]:
    kept = [cell for cell in masks if not is_region_class(cell.class_name)]
    counts: dict[str, int] = {}
    for cell in masks:
        if is_region_class(cell.class_name):
            counts[cell.class_name] = counts.get(cell.class_name, 0) + 1
    sentences = [f"{n} outlines of class {name!r} were left out as regions, not cells" for name, n in counts.items()]
    return kept, sentences


def _is_region(area: int, held_areas: np.ndarray, share: float) -> bool:
    if share >= _FILLS or len(held_areas) >= _HOLDS:
        return True
    if len(held_areas) and share > _COVERS:
        return True
    return len(held_areas) == _HOLDS - 1 and area > _TIMES_AS_LARGE * float(np.median(held_areas))


def _held_cells(masks: Sequence[CellMask], areas: np.ndarray) -> list[list[int]]:
    """For each cell the numbers of the smaller ones inside it."""
    tops = np.array([cell.top_px for cell in masks], np.int64)
    lefts = np.array([cell.left_px for cell in masks], np.int64)
    order = np.argsort(tops, kind="stable")
    sorted_tops = tops[order]
    held: list[list[int]] = []
    for number, cell in enumerate(masks):
        first, last = np.searchsorted(sorted_tops, [tops[number] - 1, tops[number] + cell.mask.shape[0]])
        near = order[first:last]
        right = lefts[number] + cell.mask.shape[1]
        near = near[(lefts[near] >= lefts[number] - 1) & (lefts[near] < right) & (areas[near] < areas[number])]
        held.append([int(n) for n in near if overlap_px(cell, masks[n]) >= _INSIDE * areas[n]])
    return held


def _named(cell: CellMask) -> str:
    named = f" of class {cell.class_name!r}" if cell.class_name else ""
    return f"the one{named} at row {cell.top_px}, column {cell.left_px} ({cell.area_px} px)"


def _reason(n_held: int, share: float) -> str:
    holds = f"holds {n_held} other{'s' if n_held > 1 else ''}" if n_held else ""
    covers = f"covers {share:.0%} of the image" if share > _COVERS else ""
    return " and ".join(part for part in (holds, covers) if part)


def _some(texts: list[str]) -> str:
    return "; ".join(texts[:_N_NAMED]) + ("; ..." if len(texts) > _N_NAMED else "")
