"""ImageJ selections: a zip of .roi files as the ROI manager saves them, or one .roi file.

Which plane of its file an image is, for annotations that name planes.
"""

import zipfile
import zlib
from collections.abc import Iterator
from dataclasses import dataclass, replace
from itertools import pairwise
from pathlib import Path

import numpy as np
from roifile import ROI_SUBTYPE, ROI_TYPE, ImagejRoi

from organscope.errors import AnnotationError
from organscope.ops.polygons import CellMask, Cells, ellipse_ring, polygon_cell


@dataclass(frozen=True)
class Plane:
    """The plane of a stack that was read as the image; numbers count from 1.

    Attributes:
        channel: Channel that was read, None where all were.
        z: Slice that was read, None where all were (a projection).
        t: Frame that was read, None where all were.
        n_channels: Channels of the file, n_z its slices, n_t its frames.
    """

    channel: int | None = None
    z: int | None = 1
    t: int | None = 1
    n_channels: int = 1
    n_z: int = 1
    n_t: int = 1

    @property
    def is_stack(self) -> bool:
        """Whether the file has several planes to choose from."""
        return self.n_channels * self.n_z * self.n_t > 1

    def __str__(self) -> str:
        axes = (("channel", self.channel, self.n_channels), ("z", self.z, self.n_z), ("t", self.t, self.n_t))
        named = [f"{name} {value} of {n}" for name, value, n in axes if value is not None and n > 1]
        return ", ".join(named) or "the only plane"


#: An image whose file holds nothing else.
ONLY_PLANE = Plane()


_SUFFIXES = (".zip", ".roi")
_AREA_TYPES = (ROI_TYPE.POLYGON, ROI_TYPE.RECT, ROI_TYPE.OVAL, ROI_TYPE.FREEHAND, ROI_TYPE.TRACED)
#: Text, arrows and images are rectangles to ImageJ.
_NO_AREA_SUBTYPES = (ROI_SUBTYPE.TEXT, ROI_SUBTYPE.ARROW, ROI_SUBTYPE.IMAGE)
#: Steps of a path: operation -> number of points behind it.
_PATH_POINTS = {0: 1, 1: 1, 2: 2, 3: 3, 4: 0}
_CLOSE = 4
_N_CURVE_POINTS = 16
#: One selection is some kilobytes; larger entries are no selections.
_MAX_ROI_BYTES = 2**26


def read_imagej(path: Path, height_px: int, width_px: int, plane: Plane = ONLY_PLANE) -> Cells:
    """Read every selection that has an area and lies on the plane that is the image.

    A selection without a position lies on every plane. The file of a single plane may be one plane of a stack that
    selections were drawn on: then all must name the same plane. Points and lines are named and left out. The group
    of a selection, where it has one, is the class of its cell.

    Args:
        path: A `.roi` file, or a zip of them.
        height_px: Rows of the image.
        width_px: Columns of the image.
        plane: Which plane of its file the image is.

    Raises:
        AnnotationError: The file is no ImageJ selection or zip of them, or selections of several planes belong to
            an image of one.
    """
    cells = Cells()
    rois: list[tuple[str, ImagejRoi]] = []
    n_entries = 0
    for name, content in _entries(path):
        n_entries += 1
        try:
            rois.append((name, _parse(content)))
        except AnnotationError as error:
            cells.problems.append(f"{name}: {error}")
    if not n_entries:
        raise AnnotationError(f"{path}: expected ImageJ selections (.roi) in the zip, found none.")
    for name, roi in _on_plane(path, rois, plane, cells):
        _add_cell(cells, name, roi, height_px, width_px)
    return cells


def _add_cell(cells: Cells, name: str, roi: ImagejRoi, height_px: int, width_px: int) -> None:
    try:
        cell = _roi_cell(roi, height_px, width_px)
    except AnnotationError as error:
        cells.problems.append(f"{name}: {error}")
        return
    if cell is None:
        cells.problems.append(f"{name}: no pixel center of the image lies inside")
    else:
        cells.masks.append(replace(cell, class_name=f"group {roi.group}" if roi.group else ""))


def _on_plane(path: Path, rois: list[tuple[str, ImagejRoi]], plane: Plane, cells: Cells) -> list[tuple[str, ImagejRoi]]:
    positions = [_position(roi) for _, roi in rois]
    if plane.is_stack:
        kept = [pair for pair, position in zip(rois, positions, strict=True) if _lies_on(position, plane)]
        if len(kept) < len(rois):
            cells.left_out.append(
                f"{len(rois) - len(kept)} of {len(rois)} selections left out: they lie on other planes than the one "
                f"that was read ({plane})"
            )
        return kept
    named = sorted({position for position in positions if any(position)})
    if len(named) > 1:
        raise AnnotationError(
            f"{path}: expected selections of one plane for an image of one plane, found those of {len(named)} planes. "
            "Import the stack, or save the selections of this plane alone."
        )
    return rois


#: Position in the stack, then channel, slice and frame; 0 = every one.
_Position = tuple[int, int, int, int]


def _position(roi: ImagejRoi) -> _Position:
    axes = tuple(max(0, int(value or 0)) for value in (roi.c_position, roi.z_position, roi.t_position))
    # ImageJ writes a hyperstack's position by axes; the number in the stack then says the same, or nothing.
    return (0, *axes) if any(axes) else (max(0, int(roi.position or 0)), *axes)


def _lies_on(position: _Position, plane: Plane) -> bool:
    number, *axes = position
    if number:
        rest, channel = divmod(number - 1, plane.n_channels)
        frame, piece = divmod(rest, plane.n_z)
        axes = [channel + 1, piece + 1, frame + 1]
    wanted = (plane.channel, plane.z, plane.t)
    sizes = (plane.n_channels, plane.n_z, plane.n_t)
    return all(
        not found or want is None or size == 1 or found == want
        for found, want, size in zip(axes, wanted, sizes, strict=True)
    )


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
    if entry.file_size > _MAX_ROI_BYTES:
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
        return polygon_cell(_path_rings(roi.multi_coordinates), height_px, width_px, rule="even_odd")
    if roi.roitype not in _AREA_TYPES or roi.subtype in _NO_AREA_SUBTYPES:
        kind = roi.subtype if roi.subtype in _NO_AREA_SUBTYPES else roi.roitype
        raise AnnotationError(f"expected a selection with an area, found {kind.name.lower()} (left out)")
    if roi.roitype in (ROI_TYPE.OVAL, ROI_TYPE.RECT):
        low, high = _box(roi)
        if roi.roitype == ROI_TYPE.OVAL:
            return polygon_cell([ellipse_ring(low, high)], height_px, width_px)
        return polygon_cell([[low, (high[0], low[1]), high, (low[0], high[1])]], height_px, width_px)
    return polygon_cell([np.asarray(roi.coordinates(), np.float64)], height_px, width_px)


def _box(roi: ImagejRoi) -> tuple[np.ndarray, np.ndarray]:
    if roi.subpixelrect and roi.widthd > 0 and roi.heightd > 0:
        low = np.array([roi.xd, roi.yd], np.float64)
        return low, low + np.array([roi.widthd, roi.heightd])
    return np.array([roi.left, roi.top], np.float64), np.array([roi.right, roi.bottom], np.float64)


def _path_rings(path: np.ndarray | None) -> list[np.ndarray]:
    """Rings of a path as java.awt.geom writes it: moves, lines, curves (as short lines), closings."""
    values = [] if path is None else np.asarray(path, np.float64).tolist()
    rings: list[list[np.ndarray]] = []
    at = 0
    while at < len(values):
        operation = int(values[at])
        n_points = _PATH_POINTS.get(operation)
        if n_points is None or at + 1 + 2 * n_points > len(values) or (operation and not rings):
            raise AnnotationError("expected a path of moves, lines and curves, found a damaged one")
        points = np.array(values[at + 1 : at + 1 + 2 * n_points], np.float64).reshape(-1, 2)
        at += 1 + 2 * n_points
        if operation == 0:
            rings.append([points[0]])
        elif operation != _CLOSE:
            rings[-1] += _curve(np.vstack([rings[-1][-1], points]))
    found = [np.array(ring) for ring in rings if len(ring) > 2]
    if not found:
        raise AnnotationError("expected a selection with an area, found a path without one (left out)")
    return found


def _curve(points: np.ndarray) -> list[np.ndarray]:
    """Points of a Bezier curve of degree 1 (its end), 2 or 3, without its start."""
    if len(points) == 2:
        return [points[1]]
    along = np.linspace(0, 1, _N_CURVE_POINTS + 1)[1:, None]
    # De Casteljau's algorithm.
    layers = list(points)
    while len(layers) > 1:
        layers = [(1 - along) * first + along * second for first, second in pairwise(layers)]
    return list(layers[0])
