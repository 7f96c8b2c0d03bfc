"""One pass over the pixels of an image, band by band: every pixel is decoded once, none is kept."""

import math
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float32, Num, UInt64

from organscope.images import Image
from organscope.images.sampling import block_mean
from organscope.ops.colour import colour_histogram, gray_texture
from organscope.ops.likeness import VIEW_PX, perceptual_hashes
from organscope.ops.pixel_size import PixelSize
from organscope.ops.preprocess import scale_intensity, to_rgb
from organscope.ops.resize import resize_field

#: Of larger images the largest resolution below this size is read, where there is one.
MAX_DECODED_PIXELS = 400_000_000
BAND_PIXELS = 2**21
#: Whole tiles or strips lie in a band, and whole blocks of the small picture.
BAND_ALIGNMENT_PX = 512
SAMPLE_PIXELS = 250_000
SMALL_SIDE_PX = 256
PERCENTILES = (1, 5, 25, 50, 75, 95, 99)


@dataclass(frozen=True)
class PixelFacts:
    """What is known of an image after its pixels were seen.

    Attributes:
        height_px: At full resolution; so is `width_px`.
        dtype: Pixel type.
        um_per_px: As the index or the file says it.
        value_range: What black and white are.
        read_whole: False where only a smaller resolution was read.
        n_nan: Values that are not-a-number.
        n_inf: Infinite values.
        low: Smallest finite value, None where there is none; `high` the largest.
        percentiles: Of every colour (a gray image has three equal ones) at `PERCENTILES`, where `value_range` is 0..1.
        colours: Share of pixels in 512 colours, `ops.colour.colour_histogram`.
        texture: `ops.colour.gray_texture` of the small picture.
        hashes: `ops.likeness.perceptual_hashes` of a gray view of 32 x 32 px.
    """

    height_px: int
    width_px: int
    n_channels: int
    dtype: str
    um_per_px: PixelSize | None
    value_range: tuple[float, float]
    read_whole: bool
    n_nan: int
    n_inf: int
    low: float | None
    high: float | None
    percentiles: Float32[np.ndarray, "3 q"]
    colours: Float32[np.ndarray, " bins"]
    texture: Float32[np.ndarray, " bins"]
    hashes: UInt64[np.ndarray, " 8"]

    @property
    def is_constant(self) -> bool:
        """Whether all finite values are one, or there is none."""
        return self.low is None or self.low == self.high


def look_at(image: Image) -> PixelFacts:
    """Read an image once and say what is in it.

    Raises:
        ImageReadError: The file is damaged.
    """
    level = _readable_level(image)
    tally, samples, blocks = _Tally(), [], []
    size = image.levels[level]
    stride = math.ceil(math.sqrt(size.height_px * size.width_px / SAMPLE_PIXELS))
    # A power of two divides the height of a band, so blocks of two bands never mix.
    step = 2 ** math.ceil(math.log2(max(1.0, max(size.height_px, size.width_px) / SMALL_SIDE_PX)))
    for top, band in _bands(image, level):
        tally.add(band)
        samples.append(band[-top % stride :: stride, ::stride].reshape(-1, 1, band.shape[2]))
        blocks.append(block_mean(band, step) if step > 1 else band)
    sample, small = (_colours(image, np.concatenate(parts)) for parts in (samples, blocks))
    return PixelFacts(
        height_px=image.height_px,
        width_px=image.width_px,
        n_channels=image.n_channels,
        dtype=str(image.dtype),
        um_per_px=image.um_per_px,
        value_range=image.value_range,
        read_whole=level == 0,
        n_nan=tally.n_nan,
        n_inf=tally.n_inf,
        low=tally.low,
        high=tally.high,
        percentiles=_percentiles(sample, image.value_range),
        colours=colour_histogram(scale_intensity(sample, *image.value_range)),
        texture=gray_texture(scale_intensity(small, *image.value_range)),
        hashes=perceptual_hashes(_gray_view(small)),
    )


class _Tally:
    """Counts and extremes over all bands."""

    def __init__(self) -> None:
        self.n_nan = 0
        self.n_inf = 0
        self.low: float | None = None
        self.high: float | None = None

    def add(self, band: Num[np.ndarray, "y x c"]) -> None:
        if band.dtype.kind == "f":
            finite = np.isfinite(band)
            n_nan = int(np.isnan(band).sum())
            self.n_nan += n_nan
            self.n_inf += band.size - int(finite.sum()) - n_nan
            band = band[finite]
        if band.size:
            low, high = float(band.min()), float(band.max())
            self.low = low if self.low is None else min(low, self.low)
            self.high = high if self.high is None else max(high, self.high)


def _readable_level(image: Image) -> int:
    sizes = [level.height_px * level.width_px for level in image.levels]
    return next((number for number, size in enumerate(sizes) if size <= MAX_DECODED_PIXELS), len(sizes) - 1)


def _bands(image: Image, level: int) -> Iterator[tuple[int, Num[np.ndarray, "y x c"]]]:
    height, width = image.levels[level].height_px, image.levels[level].width_px
    rows = max(1, BAND_PIXELS // width // BAND_ALIGNMENT_PX) * BAND_ALIGNMENT_PX
    for top in range(0, height, rows):
        yield top, image.read(top, 0, min(rows, height - top), width, level=level)


def _colours(image: Image, pixels: Num[np.ndarray, "y x c"]) -> Num[np.ndarray, "y x 3"]:
    """Three colours of any number of channels: the first three where it is not known which is looked at."""
    return to_rgb(image.visible(pixels) if image.channels.shown else pixels[:, :, :3])


def _percentiles(sample: Num[np.ndarray, "n 1 3"], value_range: tuple[float, float]) -> Float32[np.ndarray, "3 q"]:
    colours = [values[np.isfinite(values)] for values in np.moveaxis(sample, 2, 0)]
    if not all(values.size for values in colours):
        return np.zeros((3, len(PERCENTILES)), np.float32)
    low, high = value_range
    found = (np.stack([np.percentile(values, PERCENTILES) for values in colours]) - low) / (high - low)
    limits = np.finfo(np.float32)
    return np.clip(found, limits.min, limits.max).astype(np.float32)


def _gray_view(small: Num[np.ndarray, "y x 3"]) -> Float32[np.ndarray, "32 32"]:
    gray = small.mean(axis=2, keepdims=True, dtype=np.float64)
    finite = gray[np.isfinite(gray)]
    low, high = (finite.min(), finite.max()) if finite.size else (0.0, 0.0)
    scaled = scale_intensity(np.where(np.isfinite(gray), gray, low) - low, 0.0, high - low)
    return resize_field(scaled, VIEW_PX, VIEW_PX)[:, :, 0]
