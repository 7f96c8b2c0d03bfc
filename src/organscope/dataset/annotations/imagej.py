"""ImageJ selections: a zip of .roi files as the ROI manager saves them, or one .roi file."""

import zipfile
import zlib
from collections.abc import Iterator
from pathlib import Path

import numpy as np
from roifile import ROI_TYPE, ImagejRoi

from organscope.dataset.annotations.cells import CellMask, Cells
from organscope.dataset.annotations.polygons import ellipse_ring, polygon_cell
from organscope.errors import AnnotationError

SUFFIXES = (".zip", ".roi")
AREA_TYPES = (ROI_TYPE.POLYGON, ROI_TYPE.RECT, ROI_TYPE.OVAL, ROI_TYPE.FREEHAND, ROI_TYPE.TRACED)
#: One selection is some kilobytes; larger entries are no selections.
MAX_ROI_BYTES = 2**26


def read_imagej(path: Path, height_px: int, width_px: int) -> Cells:
    """Read every selection that has an area; points and lines are named and left out.

    Raises:
        AnnotationError: The file is no ImageJ selection or zip of them.
    """
    cells = Cells()
    n_entries = 0
    for name, content in _entries(path):
        n_entries += 1
        try:
            cell = _roi_cell(_parse(content), height_px, width_px)
        except AnnotationError as error:
            cells.problems.append(f"{name}: {error}")
            continue
        if cell is None:
            cells.problems.append(f"{name}: no pixel centre of the image lies inside")
        else:
            cells.masks.append(cell)
    if not n_entries:
        raise AnnotationError(f"{path}: expected ImageJ selections (.roi) in the zip, found none.")
    return cells


def _entries(path: Path) -> Iterator[tuple[str, bytes]]:
    try:
        if path.suffix.lower() == ".roi":
            yield path.name, path.read_bytes()
            return
        with zipfile.ZipFile(path) as archive:
            for entry in archive.infolist():
                if entry.filename.lower().endswith(".roi"):
                    yield entry.filename, _read_entry(archive, entry)
    except (OSError, zipfile.BadZipFile, zlib.error, EOFError, RuntimeError) as error:
        raise AnnotationError(f"{path}: expected ImageJ selections, found something else ({error}).") from error


def _read_entry(archive: zipfile.ZipFile, entry: zipfile.ZipInfo) -> bytes:
    if entry.file_size > MAX_ROI_BYTES:
        raise AnnotationError(f"{entry.filename}: {entry.file_size} bytes are too many for one selection.")
    return archive.read(entry)


def _parse(content: bytes) -> ImagejRoi:
    try:
        return ImagejRoi.frombytes(content)
    except Exception as error:
        # The parser reports a damaged selection with whatever its reading ran into.
        raise AnnotationError(f"expected an ImageJ selection, found something else ({error})") from error


def _roi_cell(roi: ImagejRoi, height_px: int, width_px: int) -> CellMask | None:
    if roi.composite:
        return polygon_cell(roi.coordinates(multi=True), height_px, width_px, rule="even_odd")
    if roi.roitype not in AREA_TYPES:
        raise AnnotationError(f"expected a selection with an area, found {roi.roitype.name.lower()} (left out)")
    if roi.roitype == ROI_TYPE.OVAL:
        low, high = np.array([roi.left, roi.top]), np.array([roi.right, roi.bottom])
        return polygon_cell([ellipse_ring(low, high)], height_px, width_px)
    return polygon_cell([np.asarray(roi.coordinates(), np.float64)], height_px, width_px)
