"""The small U-Net in eight-bit integers, as training quantizes it, on real pixels."""

from functools import cache

import numpy as np

from organscope.training.quantize import quantize
from small_unet import small_unet_graph

OPERATORS = ("Conv", "Relu", "MaxPool")


@cache
def colon_tiles() -> tuple[np.ndarray, ...]:
    """Stained tissue, each 1 x 64 x 64 x 3 from 0 to 1."""
    from skimage.data import immunohistochemistry

    image = immunohistochemistry().astype(np.float32) / 255
    return tuple(np.ascontiguousarray(image[None, y : y + 64, x : x + 64]) for y in (0, 200, 400) for x in (100, 300))


@cache
def quantized_unet_graph() -> bytes:
    """n y x 3 -> maps n y x 2; every ReLU after a convolution became the range of its integers."""
    plain = small_unet_graph().SerializeToString()
    return quantize(plain, colon_tiles(), operators=OPERATORS, left_out=lambda model: [])
