"""How a picture looks apart from its colour and brightness: contrast, gray levels and power spectrum."""

from functools import lru_cache

import numpy as np
from jaxtyping import Float32, Float64, Int64, UInt8
from scipy.fft import rfft2

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
    """Numbers that tell sharpness, magnification and kind of picture, whatever its colour.

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
