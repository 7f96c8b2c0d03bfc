"""What the analysis of an image left, whether it was worked on whole or, as a slide, by region.

Cells as the page draws them: columns of numbers, and outlines by place, in files that are sent as they are.

Both files begin with the length of a JSON header (uint32, little endian), the header, and zeros up to a multiple of 4;
arrays follow, little endian. A hundred thousand cells are some megabytes that the page reads without parsing.
"""

import gzip
import io
import json
import math
import struct
from array import array
from collections.abc import Iterable, Iterator
from contextlib import closing
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
import pandas as pd
import shapely
from jaxtyping import Float32, Int32
from shapely.geometry.base import BaseGeometry

from organscope.io import atomic_path, read_labels
from organscope.io.labels import TILE_PX, read_label_region
from organscope.io.selection import Choice
from organscope.io.tiff.reader import TiffSource
from organscope.pipeline.plan import CELLS_GEOJSON, LABELS, SLIDE_GEOJSON, SLIDE_LABELS
from organscope.server.corrections import Corrected, corrected_labels

_FEATURE = '{"type":"Feature",'


def is_slide(folder: Path) -> bool:
    """Whether the results are those of an image that was worked on by region."""
    return (folder / SLIDE_LABELS).is_file()


def features(folder: Path) -> Iterator[str]:
    """GeoJSON features of all cells in the order of the table; one a line, so memory stays flat."""
    if (folder / CELLS_GEOJSON).is_file():
        with (folder / CELLS_GEOJSON).open(encoding="utf-8") as file:
            yield from _features_of(file)
        return
    for part in sorted(path for path in folder.iterdir() if SLIDE_GEOJSON.fullmatch(path.name)):
        with gzip.open(part, "rt", encoding="utf-8") as file:
            yield from _features_of(file)


def polygons(folder: Path) -> Iterator[BaseGeometry]:
    """The outlines of all cells with holes and parts, in the order of the table."""
    for feature in features(folder):
        yield shapely.from_geojson(json.dumps(json.loads(feature)["geometry"]))


def outlines(folder: Path) -> Iterator[Int32[np.ndarray, "m 2"]]:
    """Outer outlines of all cells, x and y, in the order of the table; of a cell in parts that of the largest."""
    for feature in features(folder):
        geometry = json.loads(feature)["geometry"]
        ring = geometry["coordinates"][0] if geometry["type"] == "Polygon" else geometry["coordinates"][0][0]
        yield np.array(ring[:-1], np.int32)


def labels_of(folder: Path, found: Corrected, *, ignores: bool = False) -> Int32[np.ndarray, "y x"]:
    """The corrected label image of an image that was worked on whole; see `corrected_labels`."""
    return corrected_labels(read_labels(folder / LABELS), found, ignores=ignores)


def label_region(
    folder: Path, found: Corrected, top: int, left: int, height: int, width: int
) -> Int32[np.ndarray, "y x"]:
    """The corrected labels of a region that lies in the image."""
    if is_slide(folder):
        with closing(_slide_labels(folder)) as source:
            labels = source.read(0, top, left, height, width)[:, :, 0].astype(np.int32)
    else:
        labels = read_label_region(folder / LABELS, top, left, height, width).copy()
    return corrected_labels(labels, found, origin_px=(top, left))


def label_shape(folder: Path) -> tuple[int, int]:
    """Height and width of the labels of a slide."""
    with closing(_slide_labels(folder)) as source:
        return source.levels[0].height_px, source.levels[0].width_px


def label_strips(folder: Path, found: Corrected, *, ignores: bool = False) -> Iterator[Int32[np.ndarray, "strip x"]]:
    """The corrected labels of a slide from top to bottom; see `corrected_labels`."""
    with closing(_slide_labels(folder)) as source:
        height, width = source.levels[0].height_px, source.levels[0].width_px
        for y in range(0, height, TILE_PX):
            strip = source.read(0, y, 0, min(TILE_PX, height - y), width)[:, :, 0]
            yield corrected_labels(strip.astype(np.int32), found, origin_px=(y, 0), ignores=ignores)


def _slide_labels(folder: Path) -> TiffSource:
    return TiffSource(folder / SLIDE_LABELS, 2 * TILE_PX * TILE_PX, Choice(), as_stored=True)


def _features_of(lines: Iterator[str]) -> Iterator[str]:
    for line in lines:
        text = line.strip().rstrip(",")
        if text.startswith(_FEATURE):
            yield text


_BLOCK_PX = 512
#: Words of a measure for people, and its unit.
_MEASURES = {
    "area_px": ("Area", "px²"),
    "area_um2": ("Area", "µm²"),
    "perimeter_px": ("Perimeter", "px"),
    "perimeter_um": ("Perimeter", "µm"),
    "eccentricity": ("Eccentricity", ""),
    "solidity": ("Solidity", ""),
    "probability": ("Cell probability", ""),
    "organ_probability": ("Organ probability", ""),
    "centroid_x_px": ("Center x", "px"),
    "centroid_y_px": ("Center y", "px"),
    "centroid_x_um": ("Center x", "µm"),
    "centroid_y_um": ("Center y", "µm"),
    "id": ("Cell", ""),
    "organ": ("Organ", ""),
    "touches_border": ("At the edge", ""),
    "kind": ("Kind", ""),
    "kind_probability": ("Kind probability", ""),
}
_INTENSITY = "mean_intensity_"
_COLORS = ("red", "green", "blue")


def write_columns(path: Path, table: pd.DataFrame, n_all: int) -> None:
    """Write a table of cells as float32 columns; text becomes the number of its category.

    Args:
        path: The file.
        table: One row a cell that the page shows.
        n_all: Cells of the image, which may be more.

    Raises:
        OutputError: The folder is not writable or the disk is full.
    """
    with atomic_path(path) as temporary, temporary.open("wb") as file:
        _write_columns(file, table, {"n_all": n_all})


def packed_columns(table: pd.DataFrame, more: dict[str, Any]) -> bytes:
    """The same as bytes, with more in the header."""
    stream = io.BytesIO()
    _write_columns(stream, table, more)
    return stream.getvalue()


def _write_columns(file: BinaryIO, table: pd.DataFrame, more: dict[str, Any]) -> None:
    described, arrays = [], []
    n_channels = sum(name.startswith(_INTENSITY) for name in table.columns)
    for name in table.columns:
        column, entry = _column(table[name])
        label, unit = _words(name, n_channels)
        described.append({"name": name, "label": label, "unit": unit, **entry})
        arrays.append(column)
    _write_header(file, {"n": len(table), "columns": described, **more})
    for column in arrays:
        file.write(column.tobytes())


def _words(name: str, n_channels: int) -> tuple[str, str]:
    """What a column is called for people, and its unit."""
    if name.startswith(_INTENSITY):
        channel = name.removeprefix(_INTENSITY)
        if n_channels == len(_COLORS):
            return f"Mean {_COLORS[int(channel)]}", ""
        return ("Mean intensity", "") if n_channels == 1 else (f"Mean of channel {channel}", "")
    return _MEASURES.get(name, (name.replace("_", " ").capitalize(), ""))


def _column(values: pd.Series) -> tuple[Float32[np.ndarray, " n"], dict[str, Any]]:
    if pd.api.types.is_bool_dtype(values):
        return values.to_numpy("<f4"), {"kind": "flag"}
    if pd.api.types.is_numeric_dtype(values):
        return values.to_numpy("<f4", na_value=np.nan), {"kind": "number"}
    codes, categories = pd.factorize(values, sort=True)
    return codes.astype("<f4"), {"kind": "category", "categories": [str(value) for value in categories]}


def write_outlines(
    path: Path, rings: Iterable[Int32[np.ndarray, "m 2"]], table: pd.DataFrame, height_px: int, width_px: int
) -> None:
    """Write the outlines of all cells, those of one square of the image beside each other.

    The header says for each square, by `x,y`, where its bytes begin and how many they are. Of n cells with m corners
    these are: n, rows of the table (uint32 n), where the corners of each begin (uint32 n + 1), and the corners x, y
    relative to the square (int16 m 2).

    Args:
        path: The file.
        rings: One outline a row, corners x and y in pixels.
        table: One row a cell.
        height_px: Of the image.
        width_px: Of the image.

    Raises:
        OutputError: The folder is not writable or the disk is full.
    """
    corners, ends = _flat(rings)
    n_across = math.ceil(width_px / _BLOCK_PX)
    square = (table["centroid_y_px"] // _BLOCK_PX * n_across + table["centroid_x_px"] // _BLOCK_PX).to_numpy(np.int64)
    order = np.argsort(square, kind="stable")
    starts = np.flatnonzero(np.diff(square[order], prepend=-1))
    groups = np.split(order, starts[1:]) if len(order) else []
    places, offset = {}, 0
    for rows in groups:
        y, x = divmod(int(square[rows[0]]), n_across)
        n_bytes = 4 + 4 * len(rows) + 4 * (len(rows) + 1) + 4 * int((ends[rows + 1] - ends[rows]).sum())
        places[f"{x},{y}"] = [offset, n_bytes]
        offset += n_bytes
    with atomic_path(path) as temporary, temporary.open("wb") as file:
        _write_header(file, {"block_px": _BLOCK_PX, "blocks": places})
        for rows in groups:
            y, x = divmod(int(square[rows[0]]), n_across)
            corner = np.array([x * _BLOCK_PX, y * _BLOCK_PX], np.int32)
            file.write(_pack(rows, [corners[ends[row] : ends[row + 1]] - corner for row in rows]))


def _flat(rings: Iterable[Int32[np.ndarray, "m 2"]]) -> tuple[Int32[np.ndarray, "corner 2"], np.ndarray]:
    """All corners one behind the other, and where those of each ring begin: millions of cells in little memory."""
    corners, lengths = array("i"), [0]
    for ring in rings:
        corners.frombytes(np.ascontiguousarray(ring, np.int32).tobytes())
        lengths.append(len(ring))
    return np.frombuffer(corners, np.int32).reshape(-1, 2), np.cumsum(lengths)


def read_header(path: Path) -> tuple[dict[str, Any], int]:
    """The header of a packed file, and where its arrays begin."""
    with path.open("rb") as file:
        (length,) = struct.unpack("<I", file.read(4))
        return json.loads(file.read(length)), _aligned(4 + length)


def read_block(path: Path, x: int, y: int) -> bytes:
    """The outlines of one square; empty where it has no cell."""
    header, begin = read_header(path)
    place = header["blocks"].get(f"{x},{y}")
    if place is None:
        return struct.pack("<II", 0, 0)
    with path.open("rb") as file:
        file.seek(begin + place[0])
        return file.read(place[1])


def _pack(rows: np.ndarray, rings: list[Int32[np.ndarray, "m 2"]]) -> bytes:
    lengths = np.array([len(ring) for ring in rings])
    starts = np.concatenate([[0], np.cumsum(lengths)]).astype("<u4")
    corners = np.clip(np.concatenate(rings), -32768, 32767).astype("<i2")
    return struct.pack("<I", len(rows)) + rows.astype("<u4").tobytes() + starts.tobytes() + corners.tobytes()


def _write_header(file: BinaryIO, header: dict[str, Any]) -> None:
    text = json.dumps(header).encode()
    file.write(struct.pack("<I", len(text)) + text)
    file.write(b"\0" * (_aligned(4 + len(text)) - 4 - len(text)))


def _aligned(n_bytes: int) -> int:
    return (n_bytes + 3) // 4 * 4
