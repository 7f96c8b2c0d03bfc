"""The picture of an image with the outline of every cell on it."""

import math
from pathlib import Path

import numpy as np
from jaxtyping import Bool, Int32, Num, UInt8
from PIL import Image as Picture

from organscope.ops.preprocess import Preprocessing, intensity_range, scale_intensity, to_rgb

MAX_SIDE_PX = 4096
SAMPLE_PX = 1 << 22
BAND_PX = 1 << 20
# Yellow is told from the blues, purples and browns of stains with any colour vision (it is close to the one of
# Okabe and Ito 2008) and shows on the dark ground of fluorescence; the black around it keeps it on white glass.
LINE = (255, 230, 0)
HALO = (0, 0, 0)


def draw_overlay(
    pixels: Num[np.ndarray, "y x c"],
    labels: Int32[np.ndarray, "y x"],
    value_range: tuple[float, float],
    *,
    max_side_px: int = MAX_SIDE_PX,
) -> UInt8[np.ndarray, "v u 3"]:
    """An 8-bit colour picture of the image with cell outlines, at most `max_side_px` on its longer side.

    Large images are shrunk before the outlines are drawn, so that a line stays 1 px wide inside the cell plus
    1 px of halo around it. The display range is the image's own 1st to 99.8th percentile, whatever the pixel type.

    Args:
        pixels: Raw intensities with 1 to 4 channels.
        labels: 0 for background, one id a cell.
        value_range: What black and white mean in this image.
        max_side_px: Longest side of the picture.

    Raises:
        ShapeError: The image has more than 4 channels.
    """
    return draw_outlines(*shrunk_to_bytes(pixels, labels, value_range, max_side_px=max_side_px))


def draw_outlines(picture: UInt8[np.ndarray, "y x 3"], labels: Int32[np.ndarray, "y x"]) -> UInt8[np.ndarray, "y x 3"]:
    """A copy of a picture with the outlines of cells."""
    line, halo = outline_pixels(labels)
    drawn = picture.copy()
    drawn[halo] = HALO
    drawn[line] = LINE
    return drawn


def shrunk_to_bytes(
    pixels: Num[np.ndarray, "y x c"],
    labels: Int32[np.ndarray, "y x"],
    value_range: tuple[float, float],
    *,
    max_side_px: int = MAX_SIDE_PX,
) -> tuple[UInt8[np.ndarray, "v u 3"], Int32[np.ndarray, "v u"]]:
    """An image in its display range, and its labels, at most `max_side_px` on the longer side.

    Raises:
        ShapeError: The image has more than 4 channels.
    """
    factor = max(1.0, max(labels.shape) / max_side_px)
    height, width = (max(1, round(side / factor)) for side in labels.shape)
    picture = _eight_bit(pixels, value_range, height, width)
    return picture, _nearest(labels, height, width) if factor > 1.0 else labels


def outline_pixels(
    labels: Int32[np.ndarray, "y x"],
) -> tuple[Bool[np.ndarray, "y x"], Bool[np.ndarray, "y x"]]:
    """Pixels of cells beside another cell or the background, and pixels of background beside a cell."""
    framed = np.pad(labels, 1, mode="edge")
    inner = framed[1:-1, 1:-1]
    differs = np.zeros(labels.shape, bool)
    for neighbour in (framed[:-2, 1:-1], framed[2:, 1:-1], framed[1:-1, :-2], framed[1:-1, 2:]):
        differs |= inner != neighbour
    return differs & (labels > 0), differs & (labels == 0)


def write_overlay(path: Path, picture: UInt8[np.ndarray, "y x 3"]) -> None:
    """Write the picture as PNG, lightly compressed: noise hardly packs, and more effort doubles the time."""
    Picture.fromarray(picture).save(path, format="PNG", compress_level=3)


def _eight_bit(
    pixels: Num[np.ndarray, "y x c"], value_range: tuple[float, float], height: int, width: int
) -> UInt8[np.ndarray, "height width 3"]:
    """The display range as 0 to 255, shrunk to the size; band by band, so that memory stays that of the result."""
    step = math.ceil(math.sqrt(pixels.shape[0] * pixels.shape[1] / SAMPLE_PX))
    low, high = intensity_range(to_rgb(pixels[::step, ::step]), Preprocessing(), value_range)
    picture = np.empty((height, width, 3), np.uint8)
    scale = pixels.shape[0] / height
    rows = max(1, int(BAND_PX / pixels.shape[1] / scale))
    for top in range(0, height, rows):
        bottom = min(top + rows, height)
        first, last = math.floor(top * scale), min(math.ceil(bottom * scale), pixels.shape[0])
        scaled = scale_intensity(to_rgb(pixels[first:last]), low, high)
        band = Picture.fromarray(np.rint(scaled * 255).astype(np.uint8))
        # Bands meet inside a pixel where the factor is no whole number.
        box = (0, top * scale - first, pixels.shape[1], min(bottom * scale - first, last - first))
        picture[top:bottom] = band.resize((width, bottom - top), Picture.Resampling.BOX, box=box)
    return picture


def _nearest(labels: Int32[np.ndarray, "y x"], height: int, width: int) -> Int32[np.ndarray, "v u"]:
    rows = ((np.arange(height) + 0.5) * labels.shape[0] / height).astype(int)
    columns = ((np.arange(width) + 0.5) * labels.shape[1] / width).astype(int)
    return labels[np.ix_(rows, columns)]
