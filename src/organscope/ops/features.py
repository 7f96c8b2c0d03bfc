"""Texture, color and perceptual-hash features.

Color and fine texture of an image as a few shares of pixels.

Images that look alike: a perceptual hash, the same for mirrored and turned copies up to a known order.

Sign of the low frequencies of a cosine transform (Zauner, Implementation and Benchmarking of Perceptual Image
Hash Functions, 2010, section 3.2.1, with the sign in place of the median). A mirrored image has the same
frequencies with the sign of the odd ones changed, a transposed one the transposed frequencies, so the hashes of
all eight orientations come from one transform.
"""

from functools import lru_cache

import numpy as np
from jaxtyping import Float32, Float64, Int64, UInt8, UInt64
from scipy.fft import rfft2

from organscope.ops.intensity import Preprocessing, intensity_range, scale_intensity

BAND_EDGES = 2.0 ** np.arange(-7, -0.99, 0.5)
"""Of the power spectrum, in cycles a pixel: twelve bands of half an octave from details of 128 px to those of 2 px."""

N_FEATURES = len(BAND_EDGES) - 1 + 4
_LOW, _HIGH = 1, 99
_LEAST_SPREAD = 1e-3
_LEAST_KURTOSIS = 1e-3
_LEAST_POWER = 1e-8
"""Far below the noise of any camera, but above 0, which has no logarithm."""


def gray_contrast(field: UInt8[np.ndarray, "y x 3"]) -> float:
    """Difference between the 99th and the 1st percentile of gray, from 0 (blank) to 255."""
    low, high = np.percentile(_gray(field), (_LOW, _HIGH))
    return float(high - low)


def texture_features(field: UInt8[np.ndarray, "y x 3"]) -> Float64[np.ndarray, " 16"]:
    """Numbers that tell sharpness, magnification and kind of image, whatever its color.

    Gray levels are stretched between their 1st and 99th percentile. The power spectrum is that of levels of mean 0
    and variance 1 under a Hann window, averaged over rings of frequency.

    Args:
        field: At least 16 x 16 px.

    Returns:
        Natural logarithms of the power in 12 rings, from coarse to fine; mean and standard deviation of the stretched
        levels, their skewness, and the logarithm of their kurtosis. A ring that a small field lacks has its least
        value, so fields are compared at one size only.
    """
    gray = _gray(field)
    low, high = np.percentile(gray, (_LOW, _HIGH))
    levels = np.clip((gray - low) / max(high - low, 1.0), -0.5, 1.5)
    mean, spread = levels.mean(), max(float(levels.std()), _LEAST_SPREAD)
    unit = ((levels - mean) / spread).astype(np.float32)
    moments = [mean, spread, (unit**3).mean(), np.log((unit**4).mean() + _LEAST_KURTOSIS)]
    return np.concatenate([np.log(_ring_power(unit) + _LEAST_POWER), moments]).astype(np.float64)


def _gray(field: UInt8[np.ndarray, "y x 3"]) -> Float32[np.ndarray, "y x"]:
    return field.mean(axis=2, dtype=np.float32)


def _ring_power(unit: Float32[np.ndarray, "y x"]) -> Float64[np.ndarray, " 12"]:
    height, width = unit.shape
    rings, weights, sizes, window = _rings(height, width)
    power = np.abs(rfft2(unit * window)) ** 2
    sums = np.bincount(rings, weights=power.ravel() * weights, minlength=sizes.size)
    # The last entry holds what lies outside all rings.
    return (sums / np.maximum(sizes, 1))[:-1] / unit.size


@lru_cache(maxsize=4)
def _rings(
    height: int, width: int
) -> tuple[Int64[np.ndarray, " f"], Float32[np.ndarray, " f"], Float64[np.ndarray, " 13"], Float32[np.ndarray, "y x"]]:
    """Ring of each frequency of `rfft2`, how often it counts, the size of each ring, and the window."""
    frequency = np.hypot(np.fft.fftfreq(height)[:, None], np.fft.rfftfreq(width)[None])
    n_rings = len(BAND_EDGES) - 1
    ring = np.digitize(frequency, BAND_EDGES).ravel() - 1
    ring = np.where((ring < 0) | (ring >= n_rings), n_rings, ring)
    # Of the frequencies and their mirror images rfft2 gives one half; the columns on the fold have no mirror image.
    single = (np.arange(frequency.shape[1]) * 2) % width == 0
    weight = np.broadcast_to(np.where(single, 1.0, 2.0), frequency.shape).ravel()
    window = np.hanning(height)[:, None] * np.hanning(width)[None]
    sizes = np.bincount(ring, weights=weight, minlength=n_rings + 1)
    return ring, weight.astype(np.float32), sizes, window.astype(np.float32)


_COLOR_BINS = 8
_GRAY_BINS = 32
_N_PATTERNS = 10


def color_histogram(rgb: Float32[np.ndarray, "y x 3"]) -> Float32[np.ndarray, " bins"]:
    """Share of the pixels in each of 8 x 8 x 8 colors; values in [0, 1]."""
    level = np.minimum((rgb * _COLOR_BINS).astype(np.int64), _COLOR_BINS - 1)
    code = (level[..., 0] * _COLOR_BINS + level[..., 1]) * _COLOR_BINS + level[..., 2]
    counts = np.bincount(code.reshape(-1), minlength=_COLOR_BINS**3)
    return (counts / code.size).astype(np.float32)


def gray_texture(rgb: Float32[np.ndarray, "y x 3"]) -> Float32[np.ndarray, " bins"]:
    """Share of the pixels in each of 32 gray levels and of 10 local binary patterns; values in [0, 1].

    Levels lie between the image's 1st and 99.8th percentile, so that brightness and contrast say nothing.
    The patterns are the rotation-invariant uniform ones of 8 neighbors (Ojala et al., IEEE Trans. Pattern
    Anal. 24:971, 2002, equation 9).
    """
    from skimage.feature import local_binary_pattern

    gray = rgb.mean(axis=2, keepdims=True)
    scaled = scale_intensity(gray, *intensity_range(gray, Preprocessing(), (0.0, 1.0)))[:, :, 0]
    level = np.minimum((scaled * _GRAY_BINS).astype(np.int64), _GRAY_BINS - 1)
    pattern = local_binary_pattern((scaled * 255).astype(np.uint8), 8, 1, "uniform").astype(np.int64)
    counts = [np.bincount(level.ravel(), minlength=_GRAY_BINS), np.bincount(pattern.ravel(), minlength=_N_PATTERNS)]
    return (np.concatenate(counts) / level.size).astype(np.float32)


#: Side of the small gray view that is hashed, and of the square of frequencies that is kept.
VIEW_PX = 32
_N_FREQUENCIES = 8
_N_ORIENTATIONS = 8
#: The mean brightness is no bit, so a hash has 63.
N_BITS = _N_FREQUENCIES**2 - 1


def perceptual_hashes(view: Float32[np.ndarray, "32 32"]) -> UInt64[np.ndarray, " 8"]:
    """Hashes of a small gray view in its eight orientations, the one in which it lies first.

    Args:
        view: Any range; brightness and contrast do not change the hash. A flat view has hash 0.
    """
    from scipy.fft import dctn

    # Rounding leaves a flat view with frequencies that are not exactly 0.
    frequencies = dctn(view.astype(np.float64) - view.mean())[:_N_FREQUENCIES, :_N_FREQUENCIES]
    frequencies[np.abs(frequencies) < 1e-6 * max(1.0, np.abs(view).max())] = 0.0
    mirrored = (-1.0) ** np.arange(_N_FREQUENCIES)
    turned = [
        grid * down[:, None] * across
        for grid in (frequencies, frequencies.T)
        for down in (np.ones(_N_FREQUENCIES), mirrored)
        for across in (np.ones(_N_FREQUENCIES), mirrored)
    ]
    bits = np.stack(turned).reshape(_N_ORIENTATIONS, -1)[:, 1:] > 0
    return bits.astype(np.uint64) @ (np.uint64(1) << np.arange(N_BITS, dtype=np.uint64))


def hash_distances(one: UInt64[np.ndarray, " n"], other: UInt64[np.ndarray, "m 8"]) -> UInt8[np.ndarray, "n m"]:
    """Number of bits that differ, in the orientation that fits best; 0 to 63, about 31 for unlike images."""
    least = np.full((len(one), len(other)), N_BITS, np.uint8)
    for orientation in other.T:
        np.minimum(least, np.bitwise_count(one[:, None] ^ orientation[None, :]), out=least)
    return least
