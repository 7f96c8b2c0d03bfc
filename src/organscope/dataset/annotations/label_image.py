"""Label images: 0 is background, every other value is one cell."""

from pathlib import Path

import numpy as np
from jaxtyping import Int32
from scipy import ndimage

from organscope.errors import AnnotationError
from organscope.images import read_labels


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
    """Cells of a picture of membranes, which are 0: the pieces between them, 4-connected, 1..n.

    A diagonal line of single pixels is a membrane too; 8-connected pieces would meet across it.
    """
    pieces, _ = ndimage.label(membranes > 0)
    return pieces.astype(np.int32)
