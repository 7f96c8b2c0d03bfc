"""Colour and fine texture of a picture as a few shares of pixels."""

import numpy as np
from jaxtyping import Float32

from organscope.ops.preprocess import Preprocessing, intensity_range, scale_intensity

COLOUR_BINS = 8
GRAY_BINS = 32
N_PATTERNS = 10


def colour_histogram(rgb: Float32[np.ndarray, "y x 3"]) -> Float32[np.ndarray, " bins"]:
    """Share of the pixels in each of 8 x 8 x 8 colours; values in [0, 1]."""
    level = np.minimum((rgb * COLOUR_BINS).astype(np.int64), COLOUR_BINS - 1)
    code = (level[..., 0] * COLOUR_BINS + level[..., 1]) * COLOUR_BINS + level[..., 2]
    counts = np.bincount(code.reshape(-1), minlength=COLOUR_BINS**3)
    return (counts / code.size).astype(np.float32)


def gray_texture(rgb: Float32[np.ndarray, "y x 3"]) -> Float32[np.ndarray, " bins"]:
    """Share of the pixels in each of 32 gray levels and of 10 local binary patterns; values in [0, 1].

    Levels lie between the picture's 1st and 99.8th percentile, so that brightness and contrast say nothing.
    The patterns are the rotation-invariant uniform ones of 8 neighbours (Ojala et al., IEEE Trans. Pattern
    Anal. 24:971, 2002, equation 9).
    """
    from skimage.feature import local_binary_pattern

    gray = rgb.mean(axis=2, keepdims=True)
    scaled = scale_intensity(gray, *intensity_range(gray, Preprocessing(), (0.0, 1.0)))[:, :, 0]
    level = np.minimum((scaled * GRAY_BINS).astype(np.int64), GRAY_BINS - 1)
    pattern = local_binary_pattern((scaled * 255).astype(np.uint8), 8, 1, "uniform").astype(np.int64)
    counts = [np.bincount(level.ravel(), minlength=GRAY_BINS), np.bincount(pattern.ravel(), minlength=N_PATTERNS)]
    return (np.concatenate(counts) / level.size).astype(np.float32)
