"""One mask file a cell: a folder of images, all of the image's size, as BBBC038 delivers them.

Label images: 0 is background, every other value is one cell.
"""

from pathlib import Path

import numpy as np
from jaxtyping import Int32
from scipy import ndimage

from organscope.errors import AnnotationError, ImageReadError
from organscope.io.labels import read_labels
from organscope.io.open import open_image
from organscope.io.paths import walk_images
from organscope.ops.polygons import Cells, crop_to_cell


def read_label_image(path: Path, height_px: int, width_px: int) -> Int32[np.ndarray, "y x"]:
    """Read a label image that belongs to an image of a known size.

    Raises:
        AnnotationError: It cannot be read, or has another size than its image.
    """
    labels = read_labels(path)
    if labels.shape != (height_px, width_px):
        raise AnnotationError(
            f"{path}: expected labels of {height_px} x {width_px} px as the image, "
            f"found {labels.shape[0]} x {labels.shape[1]} px. Check that the file belongs to this image."
        )
    return labels


def label_interiors(membranes: Int32[np.ndarray, "y x"]) -> Int32[np.ndarray, "y x"]:
    """Cells of an image of membranes, which are 0: the pieces between them, 4-connected, 1..n.

    A diagonal line of single pixels is a membrane too; 8-connected pieces would meet across it.
    """
    pieces, _ = ndimage.label(membranes > 0)
    return pieces.astype(np.int32)


def read_masks(folder: Path, height_px: int, width_px: int) -> Cells:
    """Every pixel that is not 0 belongs to the cell of the file; files in order of name.

    Raises:
        AnnotationError: The folder holds no image, or none that can be used.
    """
    cells = Cells()
    paths = [path for path, _ in walk_images(folder)]
    for path in paths:
        try:
            cell = crop_to_cell(_read_mask(path, height_px, width_px))
        except (ImageReadError, AnnotationError) as error:
            cells.problems.append(str(error))
            continue
        if cell is None:
            cells.problems.append(f"{path.name}: the mask is empty")
        else:
            cells.masks.append(cell)
    if not cells.masks:
        reason = cells.problems[0] if cells.problems else "there is no image"
        raise AnnotationError(f"{folder}: expected one mask image a cell, found none to use ({reason}).")
    return cells


def _read_mask(path: Path, height_px: int, width_px: int) -> np.ndarray:
    with open_image(path) as image:
        if (image.height_px, image.width_px) != (height_px, width_px):
            raise AnnotationError(
                f"{path.name}: expected a mask of {height_px} x {width_px} px as its image, "
                f"found {image.height_px} x {image.width_px} px"
            )
        # Of 2 or 4 channels the last is opacity, which is set outside of the cell too.
        n_colors = image.n_channels - (image.n_channels in (2, 4))
        return image.read_whole()[:, :, :n_colors].any(axis=2)
