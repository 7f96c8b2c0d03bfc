"""Annotations of many tools in, one file a format; all become cells, and cells become label images.

Coordinates everywhere: (0, 0) is the top left corner of the top left pixel; a pixel belongs to a cell if its
centre lies inside the outline.
"""

from pathlib import Path

from organscope.dataset.annotations.aperio import read_aperio
from organscope.dataset.annotations.cells import Cells
from organscope.dataset.annotations.geojson import read_geojson
from organscope.dataset.annotations.imagej import read_imagej
from organscope.dataset.annotations.masks import read_masks
from organscope.errors import AnnotationError

#: Suffix -> reader of an annotation file that belongs to one image. Pictures are label images.
READERS = {
    ".geojson": read_geojson,
    ".json": read_geojson,
    ".xml": read_aperio,
    ".zip": read_imagej,
    ".roi": read_imagej,
}


def is_outline_file(path: Path) -> bool:
    """Whether the annotation has to be converted: an outline file, or a folder with one mask a cell."""
    return path.suffix.lower() in READERS or path.is_dir()


def read_cells(path: Path, height_px: int, width_px: int) -> Cells:
    """The cells of one image from its annotation file, or from its folder of one mask a cell.

    Raises:
        AnnotationError: The file is of no known format, or damaged.
    """
    if path.is_dir():
        return read_masks(path, height_px, width_px)
    reader = READERS.get(path.suffix.lower())
    if reader is None:
        raise AnnotationError(
            f"{path}: expected annotations as {', '.join(READERS)}, a label image or a folder of masks."
        )
    return reader(path, height_px, width_px)
