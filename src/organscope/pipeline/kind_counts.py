"""Kinds of the cells of one image, counted: how many of each, which share, how far that share is to be trusted."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
from jaxtyping import Bool, Int, UInt8

from organscope.inference import CellKinds
from organscope.inference.cell_kinds import NOT_SURE
from organscope.io.geojson import class_color
from organscope.models import Bundle
from organscope.ops.pixel_size import PixelSize, pixel_area_um2

_COLUMNS = ("image", "kind", "n_cells", "n_sure", "share", "share_low", "share_high", "per_mm2")
_UM2_PER_MM2 = 1e6


@dataclass(frozen=True)
class KindCounts:
    """Cells of each kind in one image.

    Attributes:
        kinds: The bundle's classes.
        n_cells: Of each, by the most probable kind, sure or not.
        n_sure: Of these, the sure ones.
        margins: Largest difference between a counted and a true share in `coverage` of the bundle's patients that were
            left out; 1 where that was not measured.
        coverage: See `margins`; 0 where not measured.
        n_groups: Patients or slides it was measured on.
    """

    kinds: tuple[str, ...]
    n_cells: tuple[int, ...]
    n_sure: tuple[int, ...]
    margins: tuple[float, ...]
    coverage: float = 0.0
    n_groups: int = 0

    @property
    def shares(self) -> tuple[float, ...]:
        """Share of each kind among all cells; not-a-number without cells."""
        total = sum(self.n_cells)
        return tuple(n / total if total else float("nan") for n in self.n_cells)

    @property
    def not_sure(self) -> int:
        """Cells whose kind is not to be relied on."""
        return sum(self.n_cells) - sum(self.n_sure)

    @property
    def sentence(self) -> str:
        """What the intervals of the shares mean."""
        if self.coverage == 0 or min(self.margins) >= 1:
            return "Too few patients or slides taught these kinds to say how near counted shares are to true ones."
        return (
            f"Intervals: counted shares were this near to the true ones in {self.coverage:.0%} of {self.n_groups} "
            "patients or slides that were left out, given their cells."
        )

    def rows(self, shape_px: tuple[int, int], um_per_px: PixelSize | None) -> list[dict[str, str | float | None]]:
        """One row a kind: count, share with its interval, cells a square millimeter where the pixel size is known."""
        area = None if um_per_px is None else shape_px[0] * shape_px[1] * pixel_area_um2(um_per_px) / _UM2_PER_MM2
        return [
            {
                "kind": kind,
                "n_cells": n,
                "n_sure": sure,
                "share": share,
                "share_low": max(0.0, share - margin),
                "share_high": min(1.0, share + margin),
                "per_mm2": None if area is None else n / area,
            }
            for kind, n, sure, share, margin in zip(
                self.kinds, self.n_cells, self.n_sure, self.shares, self.margins, strict=True
            )
            if sum(self.n_cells)
        ]


def count_kinds(index: Int[np.ndarray, " n"], sure: Bool[np.ndarray, " n"], bundle: Bundle) -> KindCounts:
    """Count the kinds of the cells of one image.

    Args:
        index: Most probable kind of each cell.
        sure: Whether to rely on it.
        bundle: That named them.
    """
    kinds, shares = tuple(bundle.manifest.classes), bundle.manifest.cell_kinds.shares
    n_kinds = len(kinds)
    counts = np.bincount(index, minlength=n_kinds), np.bincount(index[sure], minlength=n_kinds)
    return KindCounts(
        kinds,
        *(tuple(count.tolist()) for count in counts),
        margins=(1.0,) * n_kinds if shares is None else tuple(shares.margins),
        coverage=0.0 if shares is None else shares.coverage,
        n_groups=0 if shares is None else shares.n_groups,
    )


def with_kinds(table: pd.DataFrame, found: CellKinds) -> pd.DataFrame:
    """The table of cells with `kind` (the most probable one), `kind_probability` and `kind_sure`."""
    place = table.columns.get_loc("touches_border")
    named = table.copy()
    named.insert(place, "kind", np.array(found.kinds, object)[found.kind_index])
    named.insert(place + 1, "kind_probability", found.confidence)
    named.insert(place + 2, "kind_sure", found.sure)
    return named


def kind_palette(
    index: Int[np.ndarray, " n"], sure: Bool[np.ndarray, " n"], kinds: Sequence[str]
) -> tuple[UInt8[np.ndarray, " n"], tuple[tuple[int, int, int], ...]]:
    """Place in a palette of each cell, and the palette: a color a kind, which it has in GeoJSON too, last not sure."""
    palette = tuple(class_color(kind) for kind in (*kinds, NOT_SURE))
    return np.where(sure, index, len(kinds)).astype(np.uint8), palette


def kinds_table(rows: Iterable[dict[str, str | float | None]]) -> pd.DataFrame:
    """The rows of all images of a run, as `cell_kinds.csv` holds them."""
    return pd.DataFrame(list(rows), columns=list(_COLUMNS))
