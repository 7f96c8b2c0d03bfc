"""From the pixels of any microscope image to the numbers a network was trained on.

The same functions prepare training crops and predictions. What they do to one image is described as data
(`Preprocessing`), which travels in the bundle's manifest.
"""

from typing import Literal

import numpy as np
from jaxtyping import Float32, Float64, Num
from pydantic import BaseModel, ConfigDict, Field

from organscope.errors import ShapeError, ValueRangeError
from organscope.ops._kernels.intensity import count_values

_BITS = (8, 10, 12, 14, 16)
"""Of cameras and of the files that hold their images."""
_BRIGHTEST = 99.9
"""Percentile that has to be within them: single hot pixels do not count."""


class Preprocessing(BaseModel):
    """How pixels go into a network.

    Attributes:
        intensity: `percentile` maps the image's own low and high percentile, taken over all channels
            together so that color survives, to 0 and 1; `full_range` maps the range of the pixel type.
        low_percentile: Goes to 0, in percent.
        high_percentile: Goes to 1, in percent.
        mean: Subtracted from each color after scaling.
        std: Divides each color after the mean is subtracted.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    intensity: Literal["percentile", "full_range"] = "percentile"
    low_percentile: float = Field(1.0, ge=0, le=50)
    high_percentile: float = Field(99.8, ge=50, le=100)
    mean: tuple[float, float, float] = (0.0, 0.0, 0.0)
    std: tuple[float, float, float] = (1.0, 1.0, 1.0)


def to_rgb(pixels: Num[np.ndarray, "y x c"]) -> Num[np.ndarray, "y x 3"]:
    """Bring 1 (gray), 2 (gray and alpha), 3 (RGB) or 4 (RGB and alpha) channels to red, green and blue.

    Raises:
        ShapeError: The image has more channels, so that one has to be chosen.
    """
    n_channels = pixels.shape[2]
    if n_channels in (1, 2):
        return np.repeat(pixels[:, :, :1], 3, axis=2)
    if n_channels in (3, 4):
        return pixels[:, :, :3]
    raise ShapeError(f"Expected a gray or an RGB image, found {n_channels} channels. Choose one with --channel.")


def intensity_range(
    pixels: Num[np.ndarray, "y x c"], spec: Preprocessing, value_range: tuple[float, float]
) -> tuple[float, float]:
    """The intensities of one image that become 0 and 1.

    Computed on the whole image (or a fair sample of it) before tiling, so that every tile of an image is
    scaled alike.

    Args:
        pixels: Raw intensities; not-a-number and infinity are left out.
        spec: Says which rule to follow.
        value_range: What black and white mean in this image, as its file says; see `used_range` for the full range.

    Raises:
        ValueRangeError: No pixel is finite.
    """
    if spec.intensity == "full_range":
        return _used_range(pixels, value_range)
    values = _finite(pixels)
    wanted = [spec.low_percentile, spec.high_percentile]
    low, high = _percentiles(values, wanted) if values.dtype in (np.uint8, np.uint16) else np.percentile(values, wanted)
    return float(low), float(high)


def display_range(
    sample: Num[np.ndarray, "y x c"], value_range: tuple[float, float]
) -> tuple[tuple[float, float], bool]:
    """The intensities to show as black and white, and whether that stretches what the file holds.

    Color images of 8 bits are shown as they are, so that a stain looks as in any other viewer; all others from their
    own 1st to 99.8th percentile, without which 12 bits of fluorescence would be black.

    Args:
        sample: Pixels of the whole image or a fair sample of them, 1 to 4 channels.
        value_range: What black and white mean in this image, as its file says.

    Raises:
        ShapeError: The image has more than 4 channels.
        ValueRangeError: No pixel is finite.
    """
    if sample.dtype == np.uint8 and sample.shape[2] >= 3:
        return (0.0, 255.0), False
    return intensity_range(to_rgb(sample), Preprocessing(), value_range), True


def _used_range(pixels: Num[np.ndarray, "y x c"], value_range: tuple[float, float]) -> tuple[float, float]:
    """Black and white of an image that may use few of the bits of its pixel type, as cameras of 10 to 14 bits do.

    Args:
        pixels: The image or a fair sample of it.
        value_range: What the file or the pixel type says.

    Returns:
        `value_range`; where 99.9 % of the pixels are within fewer bits, the range of these (at least 8); of floats
        beyond 1 the range of the bits that hold them.

    Raises:
        ValueRangeError: No pixel is finite.
    """
    low, high = float(value_range[0]), float(value_range[1])
    if pixels.dtype == np.uint8:
        return low, high
    values = _finite(pixels)
    brightest = float(np.percentile(values, _BRIGHTEST))
    if values.dtype.kind == "f" and ((low, high) != (0.0, 1.0) or brightest <= 1.0):
        return low, high
    whites = [2.0**bits - 1 for bits in _BITS]
    white = next((white for white in whites if brightest <= white), max(brightest, whites[-1]))
    return low, white if values.dtype.kind == "f" else min(high, white)


def _finite(pixels: Num[np.ndarray, "..."]) -> Num[np.ndarray, " n"]:
    values = pixels.reshape(-1)
    if np.issubdtype(values.dtype, np.floating):
        values = values[np.isfinite(values)]
    if values.size == 0:
        raise ValueRangeError("Expected an image with finite pixel values, found none. Check how it was exported.")
    return values


def gray_range(rgb: Num[np.ndarray, "y x 3"]) -> tuple[float, float]:
    """What becomes black and white where an image loses its color: 1st and 99.8th percentile of its gray.

    Gray is the mean of red, green and blue.

    Raises:
        ValueRangeError: No pixel is finite.
    """
    return intensity_range(rgb.mean(axis=2, keepdims=True, dtype=np.float32), Preprocessing(), (0.0, 1.0))


def _percentiles(values: Num[np.ndarray, " n"], wanted: list[float]) -> Float64[np.ndarray, " p"]:
    """What `np.percentile` gives, of values of which few exist: counted, not sorted, which is faster."""
    place = np.asarray(wanted) / 100 * (values.size - 1)
    below = np.floor(place).astype(np.int64)
    up_to = np.cumsum(count_values(values, int(np.iinfo(values.dtype).max) + 1))
    # Of each place the value below and the value above.
    least, most = (np.searchsorted(up_to, np.minimum(n, values.size - 1), side="right") for n in (below, below + 1))
    share = place - below
    # In the order in which NumPy rounds, so that not even the last bit differs.
    return np.where(share < 0.5, least + (most - least) * share, most - (most - least) * (1 - share))


def scale_intensity(pixels: Num[np.ndarray, "y x c"], low: float, high: float) -> Float32[np.ndarray, "y x c"]:
    """Map `low` to 0 and `high` to 1 and clip; a flat image becomes 0, not-a-number becomes 0."""
    span = high - low
    scaled = (pixels.astype(np.float32) - np.float32(low)) * np.float32(1.0 / span if span > 0 else 0.0)
    return np.clip(np.nan_to_num(scaled, nan=0.0, posinf=1.0, neginf=0.0), 0.0, 1.0)


def standardize(scaled: Float32[np.ndarray, "y x 3"], spec: Preprocessing) -> Float32[np.ndarray, "y x 3"]:
    """Subtract the mean and divide by the standard deviation of each color."""
    return (scaled - np.array(spec.mean, np.float32)) / np.array(spec.std, np.float32)
