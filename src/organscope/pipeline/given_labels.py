"""Label images that another tool or a person made, in place of cells that a network finds.

In a folder the labels of `images/a/b.png` are `a/b` with one of the endings below, or `a/b/labels.tif` as organscope
writes them. Label images are read as they are; outlines (GeoJSON, ImageJ, XML) are filled.
"""

from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Int32

from organscope.errors import AnnotationError, ShapeError, UsageError, ValueRangeError
from organscope.io import Image
from organscope.io.annotations import READERS, read_cells
from organscope.io.masks import read_label_image
from organscope.ops.polygons import paint_cells
from organscope.pipeline.plan import LABELS

_ENDINGS = ("", "_cp_masks", "_masks", "_mask", "_labels", "_label", ".labels", "_stardist")
"""After the name of the image: as Cellpose, StarDist and people write them."""

_LABEL_SUFFIXES = (".tif", ".tiff", ".png", ".npy")

MAX_LABELED_PX = 250_000_000
"""Image and labels are held in memory."""


def find_labels(place: Path, stem: Path, image: Image) -> tuple[Int32[np.ndarray, "y x"], str]:
    """The labels of one image of a run, and a sentence that says where they are from.

    Args:
        place: Folder of label images, or the file of a single image.
        stem: Path of the image below its folder, without suffix.
        image: It, open.

    Raises:
        AnnotationError: There are none, or several; they cannot be read, or do not fit the image.
        UsageError: The image is too large to hold.
    """
    n_px = image.height_px * image.width_px
    if n_px > MAX_LABELED_PX:
        raise UsageError(
            f"Expected an image of at most {MAX_LABELED_PX / 1e6:.0f} megapixels to measure given labels in, found "
            f"{n_px / 1e6:,.0f} in {image.path}. Cut image and labels into parts."
        )
    path = place if place.is_file() else _the_one(place, stem)
    note = f"The cells are those of {path.name}; none was searched for."
    if path.suffix.lower() not in READERS:
        return read_label_image(path, image.height_px, image.width_px), note
    cells = read_cells(path, image.height_px, image.width_px)
    if not cells.masks:
        reason = (*cells.problems, *cells.left_out, "there is none")[0]
        raise AnnotationError(f"{path}: expected outlines of cells, found none to use ({reason}).")
    return paint_cells(cells.masks, image.height_px, image.width_px).labels, note


def _the_one(folder: Path, stem: Path) -> Path:
    names = [f"{stem.name}{ending}{suffix}" for ending in _ENDINGS for suffix in (*_LABEL_SUFFIXES, *READERS)]
    beside = folder / stem.parent
    there = {path.name.lower(): path for path in beside.iterdir()} if beside.is_dir() else {}
    found = [there[name.lower()] for name in names if name.lower() in there]
    if (folder / stem / LABELS).is_file():
        found.append(folder / stem / LABELS)
    if not found:
        raise AnnotationError(
            f"Expected labels of {stem} in {folder}, found none. Name them as the image, such as {stem}.tif, "
            f"{stem}_cp_masks.png or {stem}.geojson."
        )
    if len(found) > 1:
        raise AnnotationError(
            f"Expected one file with labels of {stem}, found {', '.join(path.name for path in found)} in {beside}. "
            "Keep the one that counts."
        )
    return found[0]


def require_labels(place: Path, n_images: int) -> Path:
    """The folder or file of labels, as a full path.

    Raises:
        UsageError: There is nothing, or a single file for several images.
    """
    if not place.exists():
        raise UsageError(f"Expected a folder with label images, found nothing at {place}. Check the name.")
    if place.is_file() and n_images > 1:
        raise UsageError(f"Expected a folder with the labels of {n_images} images, found the single file {place}.")
    return place.absolute()


def labels_from_array(given: Any, image: Image) -> Int32[np.ndarray, "y x"]:
    """Labels of an image from an array of whole numbers (y, x) of any type.

    Raises:
        UsageError: It is no array of whole numbers, or one of truth values.
        ShapeError: It has another height or width than the image.
        ValueRangeError: A number is negative, or above 2,147,483,647.
    """
    values = np.asarray(given)
    if values.dtype.kind == "b":
        raise UsageError(
            "Expected labels, a number for each cell, found a mask of true and false, which does not tell cells apart. "
            "Number them first: skimage.measure.label(mask)."
        )
    if values.dtype.kind not in "uif":
        raise UsageError(
            f"Expected labels as an array of whole numbers, found {type(given).__name__} ({values.dtype})."
        )
    if values.ndim == 3 and values.shape[2] == 1:
        values = values[:, :, 0]
    if values.shape != (image.height_px, image.width_px):
        raise ShapeError(
            f"Expected labels (y, x) of {image.height_px} x {image.width_px} px as the image, found {values.shape}. "
            "Give the labels that were made from this image, at its full resolution."
        )
    if values.dtype.kind == "f" and not (np.isfinite(values).all() and (values == np.rint(values)).all()):
        raise ValueRangeError(
            "Expected whole numbers as labels, found fractions or not-a-number. Give the cell numbers."
        )
    if values.size and (values.min() < 0 or values.max() > np.iinfo(np.int32).max):
        raise ValueRangeError(
            f"Expected labels from 0 to {np.iinfo(np.int32).max:,}, found {values.min():,.0f} to {values.max():,.0f}. "
            "Set what is no cell to 0."
        )
    return np.ascontiguousarray(values, dtype=np.int32)
