"""One mask file a cell: a folder of pictures, all of the image's size, as BBBC038 delivers them."""

from pathlib import Path

import numpy as np

from organscope.dataset.annotations.cells import Cells, crop_to_cell
from organscope.errors import AnnotationError, ImageReadError
from organscope.images import open_image
from organscope.images.files import walk_images


def read_masks(folder: Path, height_px: int, width_px: int) -> Cells:
    """Every pixel that is not 0 belongs to the cell of the file; files in order of name.

    Raises:
        AnnotationError: The folder holds no picture, or none that can be used.
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
        reason = cells.problems[0] if cells.problems else "there is no picture"
        raise AnnotationError(f"{folder}: expected one mask picture a cell, found none to use ({reason}).")
    return cells


def _read_mask(path: Path, height_px: int, width_px: int) -> np.ndarray:
    with open_image(path) as image:
        if (image.height_px, image.width_px) != (height_px, width_px):
            raise AnnotationError(
                f"{path.name}: expected a mask of {height_px} x {width_px} px as its image, "
                f"found {image.height_px} x {image.width_px} px"
            )
        # Of 2 or 4 channels the last is opacity, which is set outside of the cell too.
        n_colours = image.n_channels - (image.n_channels in (2, 4))
        return image.read_whole()[:, :, :n_colours].any(axis=2)
