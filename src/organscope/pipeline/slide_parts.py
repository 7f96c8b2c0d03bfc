"""Part files: what one region of a slide said, kept until all are there.

A part is a safetensors file. Labels lie in it strip by strip, as the label image is written, compressed; the features
of GeoJSON are ready but for the numbers of the cells, which are known only when all regions are.
"""

import json
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, fields
from pathlib import Path

import imagecodecs
import numpy as np
import pandas as pd
import safetensors.numpy
from jaxtyping import Int32, UInt8
from safetensors import SafetensorError, safe_open

from organscope.decision.aggregation import score_total
from organscope.inference import Scale
from organscope.inference.cell_kinds import KIND_COLUMNS
from organscope.inference.classify import FieldAnswers
from organscope.inference.regions import RegionCells, SlideSettings, WindowFindings, column_order
from organscope.inference.stitching import OpenEdges, OpenPieces
from organscope.inference.trust import MapSums
from organscope.io.geojson import SEPARATOR, geojson_features
from organscope.io.labels import TILE_PX
from organscope.io.paths import atomic_path
from organscope.models import Bundle
from organscope.ops.regionprops import MEASURES_IN_UM
from organscope.pipeline.plan import Target

_ID_PLACE = "\0"
"""Stands in the features where the number of the cell will be."""

_MEASUREMENT_IN_UM = re.compile(rf',"(?:{"|".join(MEASURES_IN_UM)})":[^,}}]*')
"""In the text of a feature; others always come before it."""

_LEVEL = 1

_Arrays = dict[str, np.ndarray]


def write_window(path: Path, found: WindowFindings, cell_organs: Bundle | None, result: str) -> int:
    """Write what a window said.

    Args:
        path: The part file.
        found: What it said.
        cell_organs: The bundle that named the cells.
        result: Name of the slide, for the ids of its cells.

    Returns:
        The number of cells in it.

    Raises:
        OutputError: The folder is not writable or the disk is full.
    """
    arrays: _Arrays = {}
    if found.fields is not None:
        arrays |= {f"fields/{field.name}": getattr(found.fields, field.name) for field in fields(FieldAnswers)}
    if found.cells is None:
        return _write(path, arrays, [], cell_organs, result)
    arrays |= {f"open/{field.name}": getattr(found.open, field.name) for field in fields(OpenPieces)}
    arrays["others"] = _packed(found.others)
    if found.sums is not None:
        arrays["sums"] = found.sums.as_array()
    top = found.cells.corner_px[0]
    for strip in _strips(top, len(found.cells.labels)):
        rows = found.cells.labels[max(0, strip * TILE_PX - top) : (strip + 1) * TILE_PX - top]
        if rows.any():
            arrays[f"labels/{strip}"] = _packed(np.ascontiguousarray(rows))
    return _write(path, arrays, [found.cells], cell_organs, result)


def write_seams(path: Path, found: Sequence[RegionCells], cell_organs: Bundle | None, result: str) -> int:
    """Write the cells of several batches of pieces; see `write_window`."""
    pixels, n_cells = [np.zeros((3, 0), np.int32)], 0
    for cells in found:
        y, x = np.nonzero(cells.labels)
        values = cells.labels[y, x] + n_cells
        pixels.append(np.stack([y + cells.corner_px[0], x + cells.corner_px[1], values]).astype(np.int32))
        n_cells += len(cells.outlines)
    joined = np.concatenate(pixels, axis=1)
    strip_of = joined[0] // TILE_PX
    arrays = {f"pixels/{strip}": _packed(joined[:, strip_of == strip]) for strip in np.unique(strip_of).tolist()}
    return _write(path, arrays, found, cell_organs, result)


def is_whole(path: Path) -> bool:
    """Whether a part file has its head, and is as long as that says."""
    try:
        with safe_open(path, "np"):
            return True
    except (SafetensorError, OSError):
        return False


class Part:
    """A part file, opened for as long as one thing is read: mapped files would count as memory."""

    def __init__(self, path: Path) -> None:
        self._path = path
        with safe_open(path, "np") as file:
            self._names = frozenset(file.keys())
            stated = file.metadata()
        self.n_cells = int(stated["n_cells"])
        self.columns: list[str] = json.loads(stated["columns"])

    def table(self, first_id: int, organs: Sequence[str], *, in_um: bool, kinds: Sequence[str] = ()) -> pd.DataFrame:
        """One row a cell, numbered from `first_id`.

        Args:
            first_id: Number of the first cell.
            organs: Names of the organs of cells; empty where they were not named.
            in_um: With the measures in micrometers, where there are any.
            kinds: Names of the kinds of cells; empty where they were not named.
        """
        given = {"organ": organs, "kind": kinds}
        named = {name: np.array(given[name], object)[self._get(f"cells/{name}")] for name in given if given[name]}
        values = {name: named[name] if name in named else self._get(f"cells/{name}") for name in self.columns}
        if not in_um:
            values = {name: column for name, column in values.items() if name not in MEASURES_IN_UM}
        return pd.DataFrame({"id": np.arange(first_id, first_id + self.n_cells), **values})

    def features(self, first_id: int, *, in_um: bool) -> str:
        """The features of GeoJSON of its cells, numbered from `first_id`, with what stands between them."""
        text = imagecodecs.zstd_decode(self._get("features").tobytes()).decode()
        pieces = (text if in_um else _MEASUREMENT_IN_UM.sub("", text)).split(_ID_PLACE)
        numbers = map(str, range(first_id, first_id + self.n_cells))
        return pieces[0] + "".join(number + following for number, following in zip(numbers, pieces[1:], strict=True))

    def column(self, name: str) -> np.ndarray:
        """One column of its table; `organ` and `kind` as numbers."""
        return self._get(f"cells/{name}")

    def organ_evidence(self) -> tuple[np.ndarray, np.ndarray]:
        """Sum over its cells of what `decision.aggregation.score_total` adds up, and the distance of each cell."""
        return self._get("organs/total"), self._get("organs/distance")

    def label_rows(self, strip: int, width_px: int) -> Int32[np.ndarray, "y x"] | None:
        """Labels of a window in one strip of the slide; None where there are none."""
        name = f"labels/{strip}"
        return _unpacked(self._get(name), np.int32).reshape(-1, width_px) if name in self._names else None

    def pixels(self, strip: int) -> Int32[np.ndarray, "3 n"] | None:
        """Row, column and label of the pixels of seam cells in one strip of the slide; None where there are none."""
        name = f"pixels/{strip}"
        return _unpacked(self._get(name), np.int32).reshape(3, -1) if name in self._names else None

    def edges(self) -> OpenEdges | None:
        """What joining over seams needs; None where nothing is open."""
        if "open/boxes" not in self._names:
            return None
        return OpenEdges(**{field.name: self._get(f"open/{field.name}") for field in fields(OpenEdges)})

    def open_pieces(self) -> OpenPieces:
        """The pieces that go on beside the window."""
        return OpenPieces(**{field.name: self._get(f"open/{field.name}") for field in fields(OpenPieces)})

    def others(self) -> UInt8[np.ndarray, " _"]:
        """See `WindowFindings.others`."""
        return _unpacked(self._get("others"), np.uint8) if "others" in self._names else np.zeros(0, np.uint8)

    def sums(self) -> MapSums | None:
        """What the maps of the window add up to; None where there are none."""
        return MapSums.from_array(self._get("sums")) if "sums" in self._names else None

    def fields(self) -> FieldAnswers | None:
        """What the classifier said of the fields that begin in the window; None where it was not asked."""
        if "fields/number" not in self._names:
            return None
        return FieldAnswers(**{field.name: self._get(f"fields/{field.name}") for field in fields(FieldAnswers)})

    def _get(self, name: str) -> np.ndarray:
        with safe_open(self._path, "np") as file:
            return file.get_tensor(name)


def _write(path: Path, arrays: _Arrays, found: Sequence[RegionCells], cell_organs: Bundle | None, result: str) -> int:
    n_cells = sum(len(cells.outlines) for cells in found)
    names: list[str] = []
    if n_cells:
        tables = [_table(cells, cell_organs) for cells in found if cells.outlines]
        names = tables[0].columns.tolist()
        pairs = zip(_with_any(found), tables, strict=True)
        features = [_features(cells, table, cell_organs, result) for cells, table in pairs]
        arrays["features"] = _packed(np.frombuffer(SEPARATOR.join(features).encode(), np.uint8))
        table = pd.concat(tables, ignore_index=True)
        arrays |= {f"cells/{name}": table[name].to_numpy() for name in names}
        if cell_organs is not None:
            rule = cell_organs.manifest.classification.pooling.rule
            named = [cells.organs for cells in _with_any(found)]
            arrays["organs/total"] = np.sum([score_total(organs.probabilities, rule) for organs in named], axis=0)
            arrays["organs/distance"] = np.concatenate([organs.distance for organs in named])
    stated = {"n_cells": str(n_cells), "columns": json.dumps(names)}
    arrays = {name: np.ascontiguousarray(values) for name, values in arrays.items()}
    with atomic_path(path) as temporary:
        safetensors.numpy.save_file(arrays, temporary, stated)
    return n_cells


def _with_any(found: Sequence[RegionCells]) -> Iterator[RegionCells]:
    return (cells for cells in found if cells.outlines)


def _table(cells: RegionCells, cell_organs: Bundle | None) -> pd.DataFrame:
    columns = dict(cells.columns)
    order = column_order(list(columns), cell_organs is not None, cells.kinds is not None)
    if cells.organs is not None:
        columns |= {"organ": cells.organs.organ_index, "organ_probability": cells.organs.confidence}
    if cells.kinds is not None:
        columns |= zip(KIND_COLUMNS, (cells.kinds.kind_index, cells.kinds.confidence, cells.kinds.sure), strict=True)
    return pd.DataFrame({name: columns[name] for name in order})


def _features(cells: RegionCells, table: pd.DataFrame, cell_organs: Bundle | None, result: str) -> str:
    shown = table.assign(id=_ID_PLACE)
    if cell_organs is not None:
        shown["organ"] = np.array(cell_organs.manifest.classes, object)[table["organ"].to_numpy()]
    if cells.kinds is not None:
        shown["kind"] = np.array(cells.kinds.kinds, object)[table["kind"].to_numpy()]
    return SEPARATOR.join(geojson_features(cells.outlines, shown, result))


def _strips(top: int, height: int) -> range:
    return range(top // TILE_PX, -(-(top + height) // TILE_PX))


def _packed(values: np.ndarray) -> UInt8[np.ndarray, " n"]:
    return np.frombuffer(imagecodecs.zstd_encode(values.tobytes(), level=_LEVEL), np.uint8)


def _unpacked(packed: UInt8[np.ndarray, " n"], dtype: type) -> np.ndarray:
    return np.frombuffer(imagecodecs.zstd_decode(packed.tobytes()), dtype)


@dataclass(frozen=True)
class Slide:
    """One slide of a run.

    Attributes:
        target: The image and its place below `out`.
        out: The output folder.
        parts: Folder of its part files.
        size_px: Height and width.
        settings: How it is looked at.
        scale: How the network for cells sees it; None where cells are not asked for.
        zarr_labels: Also write the labels as OME-Zarr.
        size_is_given: A person gave the pixel size.
    """

    target: Target
    out: Path
    parts: Path
    size_px: tuple[int, int]
    settings: SlideSettings
    scale: Scale | None
    zarr_labels: bool
    size_is_given: bool = False

    def part(self, stage: str, number: int) -> Path:
        """The part file of a region."""
        return self.parts / f"{stage}-{number:06d}.safetensors"


@dataclass(frozen=True)
class FinishTask:
    """Everything that a slide's parts say, put together.

    Attributes:
        slide: All its regions are done.
        windows: Those that have a part file, rising.
        seams: As `windows`.
        n_cut: Pieces of foreground that were too large to be decoded at once.
        seconds: What the regions took.
    """

    slide: Slide
    windows: tuple[int, ...]
    seams: tuple[int, ...]
    n_cut: int
    seconds: float
