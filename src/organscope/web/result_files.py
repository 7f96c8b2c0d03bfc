"""What the analysis of an image left, whether it was worked on whole or, as a slide, by region."""

import gzip
import json
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import numpy as np
from jaxtyping import Int32

from organscope.images import read_labels
from organscope.images.label_pyramid import TILE_PX
from organscope.images.labels import read_label_region
from organscope.images.selection import Choice
from organscope.images.tiff import TiffSource
from organscope.jobs.files import CELLS_GEOJSON, LABELS, SLIDE_GEOJSON, SLIDE_LABELS
from organscope.web.corrections import Corrected, corrected_labels

FEATURE = '{"type":"Feature",'


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


def outlines(folder: Path) -> Iterator[Int32[np.ndarray, "m 2"]]:
    """Outer outlines of all cells, x and y, in the order of the table."""
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
        if text.startswith(FEATURE):
            yield text
