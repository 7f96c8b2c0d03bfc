"""The one way in which a field of an image is brought to the size that a network takes.

Training and prediction both call it, so that a network meets the same sharpness that it was trained on.
"""

import numpy as np
from jaxtyping import Float32, UInt8
from PIL import Image as PillowImage


def resize_field(
    field: UInt8[np.ndarray, "y x c"] | Float32[np.ndarray, "y x c"], height_px: int, width_px: int
) -> UInt8[np.ndarray, "y2 x2 c"] | Float32[np.ndarray, "y2 x2 c"]:
    """Resize with a triangle filter that widens when it shrinks the image, so that nothing aliases.

    Args:
        field: Any number of channels; uint8 stays uint8 (rounded), float32 stays float32.
        height_px: Rows of the result.
        width_px: Columns of the result.

    Returns:
        The field in the new size; the very same array when it has that size already.
    """
    if field.shape[:2] == (height_px, width_px):
        return field
    size = (width_px, height_px)
    if field.dtype == np.uint8 and field.shape[2] == 3:
        return np.asarray(PillowImage.fromarray(field).resize(size, PillowImage.Resampling.BILINEAR))
    channels = [
        np.asarray(PillowImage.fromarray(np.ascontiguousarray(channel)).resize(size, PillowImage.Resampling.BILINEAR))
        for channel in np.moveaxis(field, 2, 0)
    ]
    return np.stack(channels, axis=2)
