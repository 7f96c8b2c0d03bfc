"""The picture of an image with the outline of every cell on it."""

import math
from pathlib import Path

import numpy as np
from jaxtyping import Bool, Int32, Num, UInt8
from PIL import Image as Picture
from PIL.PngImagePlugin import PngInfo

from organscope.ops.preprocess import display_range, scale_intensity, to_rgb

MAX_SIDE_PX = 4096
SAMPLE_PX = 1 << 22
BAND_PX = 1 << 20
# Yellow is told from the blues, purples and browns of stains with any colour vision (it is close to the one of
# Okabe and Ito 2008) and shows on the dark ground of fluorescence; the black around it keeps it on white glass.
LINE = (255, 230, 0)
HALO = (0, 0, 0)
_STRETCHED = "Brightness is stretched for display: {low:.6g} is shown as black, {high:.6g} as white."
_NOTE = "Comment"


def draw_overlay(
    pixels: Num[np.ndarray, "y x c"],
    labels: Int32[np.ndarray, "y x"],
    value_range: tuple[float, float],
    *,
    max_side_px: int = MAX_SIDE_PX,
) -> UInt8[np.ndarray, "v u 3"]:
    """An 8-bit colour picture of the image with cell outlines, at most `max_side_px` on its longer side.

    Large images are shrunk before the outlines are drawn, so that a line stays 1 px wide inside the cell plus
    1 px of halo around it. For the display range see `organscope.ops.preprocess.display_range`.

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


def display_note(shown: tuple[float, float], *, is_stretched: bool) -> str:
    """How intensities were stretched, as a sentence to stand beside the image; empty where they were not."""
    return _STRETCHED.format(low=shown[0], high=shown[1]) if is_stretched else ""


def overlay_note(pixels: Num[np.ndarray, "y x c"], value_range: tuple[float, float]) -> str:
    """The `display_note` of an image that is drawn from these pixels."""
    shown, is_stretched = display_range(_sample(pixels), value_range)
    return display_note(shown, is_stretched=is_stretched)


def write_overlay(path: Path, picture: UInt8[np.ndarray, "y x 3"], note: str = "") -> None:
    """Write the image as PNG, lightly compressed: noise hardly packs, and more effort doubles the time.

    Args:
        path: The file.
        picture: With outlines.
        note: A sentence that belongs beside the image; see `read_note`.
    """
    kept = PngInfo()
    if note:
        kept.add_text(_NOTE, note)
    Picture.fromarray(picture).save(path, format="PNG", compress_level=3, pnginfo=kept)


def read_note(path: Path) -> str:
    """The note of an image that `write_overlay` wrote; empty where there is none."""
    with Picture.open(path) as picture:
        return str(picture.info.get(_NOTE, ""))


def _eight_bit(
    pixels: Num[np.ndarray, "y x c"], value_range: tuple[float, float], height: int, width: int
) -> UInt8[np.ndarray, "height width 3"]:
    """The display range as 0 to 255, shrunk to the size; band by band, so that memory stays that of the result."""
    (low, high), is_stretched = display_range(_sample(pixels), value_range)
    picture = np.empty((height, width, 3), np.uint8)
    scale = pixels.shape[0] / height
    rows = max(1, int(BAND_PX / pixels.shape[1] / scale))
    for top in range(0, height, rows):
        bottom = min(top + rows, height)
        first, last = math.floor(top * scale), min(math.ceil(bottom * scale), pixels.shape[0])
        rows_of_band = np.ascontiguousarray(to_rgb(pixels[first:last]))
        if is_stretched:
            rows_of_band = np.rint(scale_intensity(rows_of_band, low, high) * 255).astype(np.uint8)
        band = Picture.fromarray(rows_of_band)
        # Bands meet inside a pixel where the factor is no whole number.
        box = (0, top * scale - first, pixels.shape[1], min(bottom * scale - first, last - first))
        picture[top:bottom] = band.resize((width, bottom - top), Picture.Resampling.BOX, box=box)
    return picture


def _sample(pixels: Num[np.ndarray, "y x c"]) -> Num[np.ndarray, "v u c"]:
    step = math.ceil(math.sqrt(pixels.shape[0] * pixels.shape[1] / SAMPLE_PX))
    return pixels[::step, ::step]


def _nearest(labels: Int32[np.ndarray, "y x"], height: int, width: int) -> Int32[np.ndarray, "v u"]:
    rows = ((np.arange(height) + 0.5) * labels.shape[0] / height).astype(int)
    columns = ((np.arange(width) + 0.5) * labels.shape[1] / width).astype(int)
    return labels[np.ix_(rows, columns)]
