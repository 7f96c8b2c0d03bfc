"""Annotations of many tools in, one file a format; all become cells, and cells become label images.

Coordinates everywhere: (0, 0) is the top left corner of the top left pixel; a pixel belongs to a cell if its
center lies inside the outline.
"""

import zipfile
from collections.abc import Callable
from pathlib import Path

from organscope.errors import AnnotationError
from organscope.io.aperio import read_xml
from organscope.io.coco import JSON_SUFFIXES, json_members
from organscope.io.geojson import read_geojson
from organscope.io.imagej import ONLY_PLANE, Plane, read_imagej
from organscope.io.masks import read_masks
from organscope.io.points import read_points
from organscope.ops.polygons import Cells

#: Suffix -> reader of an annotation file that belongs to one image. Other images are label images.
READERS: dict[str, Callable[[Path, int, int], Cells]] = {
    **dict.fromkeys(JSON_SUFFIXES, read_geojson),
    ".gz": read_geojson,
    ".xml": read_xml,
    ".annotations": read_xml,
    ".zip": read_imagej,
    ".roi": read_imagej,
}
#: Of tables of points. Beside an image a table may be anything; it has to be named as the annotation.
POINTS_SUFFIX = ".csv"


def is_outline_file(path: Path) -> bool:
    """Whether the annotation has to be converted: outlines, points, or a folder with one mask a cell."""
    return path.suffix.lower() in (*READERS, POINTS_SUFFIX) or path.is_dir()


def read_cells(path: Path, height_px: int, width_px: int, plane: Plane = ONLY_PLANE) -> Cells:
    """The cells of one image from its annotation file, or from its folder of one mask a cell.

    Args:
        path: The annotation.
        height_px: Rows of the image.
        width_px: Columns of the image.
        plane: Which plane of its file the image is.

    Raises:
        AnnotationError: The file is of no known format, or damaged.
    """
    if path.is_dir():
        return read_masks(path, height_px, width_px)
    suffix = path.suffix.lower()
    reader = read_points if suffix == POINTS_SUFFIX else READERS.get(suffix)
    if reader is None:
        raise AnnotationError(
            f"{path}: expected annotations as {', '.join(READERS)}, a label image or a folder of masks."
        )
    if reader is read_imagej and not _holds_json(path):
        return read_imagej(path, height_px, width_px, plane)
    return (read_geojson if reader is read_imagej else reader)(path, height_px, width_px)


def _holds_json(path: Path) -> bool:
    """Whether a zip holds GeoJSON and no ImageJ selection; one that is damaged is the affair of its reader."""
    try:
        with zipfile.ZipFile(path) as archive:
            has_rois = any(name.lower().endswith(".roi") for name in archive.namelist())
            return not has_rois and bool(json_members(archive))
    except (OSError, zipfile.BadZipFile):
        return False
