"""Overlays: an image with the outline of every cell on it.

A cell map: every cell has the color of its organ.

What speaks for an organ, as color over the tissue.

A slide at a glance: its cells as outlines or as density, and the organ of each of its fields.
"""

import math
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from jaxtyping import Bool, Float, Float32, Int32, Int64, Num, UInt8
from PIL import Image as PillowImage
from PIL.PngImagePlugin import PngInfo
from scipy import ndimage

from organscope.ops.intensity import display_range, scale_intensity, to_rgb

_OVERLAY_SIDE_PX = 4096
_SAMPLE_PX = 1 << 22
BAND_PX = 1 << 20
# Yellow is told from the blues, purples and browns of stains with any color vision (it is close to the one of
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
    max_side_px: int = _OVERLAY_SIDE_PX,
) -> UInt8[np.ndarray, "v u 3"]:
    """An 8-bit color copy of the image with cell outlines, at most `max_side_px` on its longer side.

    Large images are shrunk before the outlines are drawn, so that a line stays 1 px wide inside the cell plus
    1 px of halo around it. For the display range see `organscope.ops.intensity.display_range`.

    Args:
        pixels: Raw intensities with 1 to 4 channels.
        labels: 0 for background, one id a cell.
        value_range: What black and white mean in this image.
        max_side_px: Longest side of the image.

    Raises:
        ShapeError: The image has more than 4 channels.
    """
    return draw_outlines(*shrunk_to_bytes(pixels, labels, value_range, max_side_px=max_side_px))


def draw_outlines(image: UInt8[np.ndarray, "y x 3"], labels: Int32[np.ndarray, "y x"]) -> UInt8[np.ndarray, "y x 3"]:
    """A copy of an image with the outlines of cells."""
    line, halo = outline_pixels(labels)
    drawn = image.copy()
    drawn[halo] = HALO
    drawn[line] = LINE
    return drawn


def shrunk_to_bytes(
    pixels: Num[np.ndarray, "y x c"],
    labels: Int32[np.ndarray, "y x"],
    value_range: tuple[float, float],
    *,
    max_side_px: int = _OVERLAY_SIDE_PX,
) -> tuple[UInt8[np.ndarray, "v u 3"], Int32[np.ndarray, "v u"]]:
    """An image in its display range, and its labels, at most `max_side_px` on the longer side.

    Raises:
        ShapeError: The image has more than 4 channels.
    """
    factor = max(1.0, max(labels.shape) / max_side_px)
    height, width = (max(1, round(side / factor)) for side in labels.shape)
    image = _eight_bit(pixels, value_range, height, width)
    return image, _resize_labels(labels, height, width) if factor > 1.0 else labels


def outline_pixels(
    labels: Int32[np.ndarray, "y x"],
) -> tuple[Bool[np.ndarray, "y x"], Bool[np.ndarray, "y x"]]:
    """Pixels of cells beside another cell or the background, and pixels of background beside a cell."""
    framed = np.pad(labels, 1, mode="edge")
    inner = framed[1:-1, 1:-1]
    differs = np.zeros(labels.shape, bool)
    for neighbor in (framed[:-2, 1:-1], framed[2:, 1:-1], framed[1:-1, :-2], framed[1:-1, 2:]):
        differs |= inner != neighbor
    return differs & (labels > 0), differs & (labels == 0)


def display_note(shown: tuple[float, float], *, is_stretched: bool) -> str:
    """How intensities were stretched, as a sentence to stand beside the image; empty where they were not."""
    return _STRETCHED.format(low=shown[0], high=shown[1]) if is_stretched else ""


def overlay_note(pixels: Num[np.ndarray, "y x c"], value_range: tuple[float, float]) -> str:
    """The `display_note` of an image that is drawn from these pixels."""
    shown, is_stretched = display_range(_sample(pixels), value_range)
    return display_note(shown, is_stretched=is_stretched)


def write_overlay(path: Path, image: UInt8[np.ndarray, "y x 3"], note: str = "") -> None:
    """Write the image as PNG, lightly compressed: noise hardly packs, and more effort doubles the time.

    Args:
        path: The file.
        image: With outlines.
        note: A sentence that belongs beside the image; see `read_note`.
    """
    kept = PngInfo()
    if note:
        kept.add_text(_NOTE, note)
    PillowImage.fromarray(image).save(path, format="PNG", compress_level=3, pnginfo=kept)


def read_note(path: Path) -> str:
    """The note of an image that `write_overlay` wrote; empty where there is none."""
    with PillowImage.open(path) as image:
        return str(image.info.get(_NOTE, ""))


def _eight_bit(
    pixels: Num[np.ndarray, "y x c"], value_range: tuple[float, float], height: int, width: int
) -> UInt8[np.ndarray, "height width 3"]:
    """The display range as 0 to 255, shrunk to the size; band by band, so that memory stays that of the result."""
    (low, high), is_stretched = display_range(_sample(pixels), value_range)
    image = np.empty((height, width, 3), np.uint8)
    scale = pixels.shape[0] / height
    rows = max(1, int(BAND_PX / pixels.shape[1] / scale))
    for top in range(0, height, rows):
        bottom = min(top + rows, height)
        first, last = math.floor(top * scale), min(math.ceil(bottom * scale), pixels.shape[0])
        rows_of_band = np.ascontiguousarray(to_rgb(pixels[first:last]))
        if is_stretched:
            rows_of_band = np.rint(scale_intensity(rows_of_band, low, high) * 255).astype(np.uint8)
        band = PillowImage.fromarray(rows_of_band)
        # Bands meet inside a pixel where the factor is no whole number.
        box = (0, top * scale - first, pixels.shape[1], min(bottom * scale - first, last - first))
        image[top:bottom] = band.resize((width, bottom - top), PillowImage.Resampling.BOX, box=box)
    return image


def _sample(pixels: Num[np.ndarray, "y x c"]) -> Num[np.ndarray, "v u c"]:
    step = math.ceil(math.sqrt(pixels.shape[0] * pixels.shape[1] / _SAMPLE_PX))
    return pixels[::step, ::step]


def _resize_labels(labels: Int32[np.ndarray, "y x"], height: int, width: int) -> Int32[np.ndarray, "v u"]:
    rows = ((np.arange(height) + 0.5) * labels.shape[0] / height).astype(int)
    columns = ((np.arange(width) + 0.5) * labels.shape[1] / width).astype(int)
    return labels[np.ix_(rows, columns)]


_CELL_MAP_SIDE_PX = 2048
#: Told apart with any color vision (Okabe and Ito 2008), the most frequent organ first; then one for all others.
COLORS = ((0, 114, 178), (230, 159, 0), (0, 158, 115), (204, 121, 167), (86, 180, 233), (213, 94, 0))
OTHER = (128, 128, 128)
_EDGE = (255, 255, 255)
#: How strongly the tissue is faded to white, and how much of it shows through a cell.
_CELL_MAP_FADED, _SHOWN_THROUGH = 0.55, 0.25
#: Levels of gray that tissue and cells have in the image: few, so that it is written fast and small.
_TISSUE_LEVELS, _CELL_LEVELS = 32, 8


def rank_organs(counts: Int64[np.ndarray, " organ"]) -> Int64[np.ndarray, " m"]:
    """The organs with a color of their own: the most frequent first, at most 6, none without a cell."""
    order = np.argsort(-counts, kind="stable")[: len(COLORS)]
    return order[counts[order] > 0]


def cell_colors(organ_index: Int64[np.ndarray, " n"], n_organs: int) -> UInt8[np.ndarray, " n"]:
    """Which of `COLOURS` each cell has; `len(COLORS)` is `OTHER`."""
    of_organ = np.full(n_organs, len(COLORS), np.uint8)
    ranked = rank_organs(np.bincount(organ_index, minlength=n_organs).astype(np.int64))
    of_organ[ranked] = np.arange(len(ranked))
    return of_organ[organ_index]


def draw_cell_map(
    image: UInt8[np.ndarray, "y x 3"],
    labels: Int32[np.ndarray, "y x"],
    colors: UInt8[np.ndarray, " n"],
    palette: Sequence[tuple[int, int, int]] = (*COLORS, OTHER),
    *,
    max_side_px: int = _CELL_MAP_SIDE_PX,
) -> PillowImage.Image:
    """The tissue in faded gray, every cell filled with its color and edged in white.

    Args:
        image: In its display range, see `overlay.shrunk_to_bytes`.
        labels: 0 for background, then 1..n.
        colors: Place in the palette of the cells 1..n, as from `cell_colors`.
        palette: Colors that cells have, at most 26.
        max_side_px: About the longest side of the result; a larger image is thinned by a whole number.

    Returns:
        An image with a palette.
    """
    step = -(-max(labels.shape) // max_side_px)
    image, labels = np.ascontiguousarray(image[::step, ::step]), labels[::step, ::step]
    gray = np.asarray(PillowImage.fromarray(image).convert("L"))
    first_entry = _TISSUE_LEVELS + _CELL_LEVELS * np.concatenate([[0], colors]).astype(np.int64)
    entries = gray // (256 // _TISSUE_LEVELS)
    cell = labels > 0
    entries[cell] = first_entry[labels[cell]] + gray[cell] // (256 // _CELL_LEVELS)
    shades = _cell_map_palette(palette)
    line, _ = outline_pixels(labels)
    entries[line] = len(shades) - 1
    drawn = PillowImage.fromarray(entries)
    drawn.putpalette(shades.tobytes())
    return drawn


def write_cell_map(path: Path, drawn: PillowImage.Image) -> None:
    """Write the image as PNG, lightly compressed."""
    drawn.save(path, format="PNG", compress_level=3)


def _cell_map_palette(colors: Sequence[tuple[int, int, int]]) -> UInt8[np.ndarray, "entry 3"]:
    """Shades of the tissue, shades of every color, the edge."""
    tissue = (np.arange(_TISSUE_LEVELS) + 0.5) * 256 / _TISSUE_LEVELS
    within = (np.arange(_CELL_LEVELS) + 0.5) * 256 / _CELL_LEVELS
    filled = [(1 - _SHOWN_THROUGH) * np.array(color) + _SHOWN_THROUGH * within[:, None] for color in colors]
    faded = np.repeat((1 - _CELL_MAP_FADED) * tissue[:, None] + _CELL_MAP_FADED * 255, 3, axis=1)
    return np.rint(np.concatenate([faded, *filled, [_EDGE]])).astype(np.uint8)


EVIDENCE_SIDE_PX = 1024
#: Orange speaks for the organ, blue against it (Okabe and Ito 2008: told apart with any color vision).
_FOR, _AGAINST = (213, 94, 0), (0, 114, 178)
#: How strong the strongest color is, and how much the tissue is faded below it.
_EVIDENCE_STRONGEST, _EVIDENCE_FADED = 0.75, 0.35
#: A value up to which evidence lies in all but one of this many pixels has the strongest color.
_ONE_IN = 200
#: In units of the logit: where all evidence is weaker than this, it stays pale.
_WEAK = 1.0
_GRAY_LEVELS, _STRENGTHS = 16, 7


def draw_evidence(image: UInt8[np.ndarray, "y x 3"], evidence: Float32[np.ndarray, "v u"]) -> PillowImage.Image:
    """Evidence over the tissue in gray.

    Args:
        image: The image in its display range, of the proportions of the evidence and at least of its size.
        evidence: In units of the logit; above 0 speaks for the organ, below 0 against it.

    Returns:
        An image with a palette, of the size of the evidence.
    """
    size = (evidence.shape[1], evidence.shape[0])
    gray = np.asarray(PillowImage.fromarray(image).convert("L").resize(size, PillowImage.Resampling.BOX))
    largest = max(float(np.quantile(np.abs(evidence), 1 - 1 / _ONE_IN)), _WEAK)
    strength = np.rint(np.clip(evidence / largest, -1, 1) * _STRENGTHS).astype(np.int64) + _STRENGTHS
    drawn = PillowImage.fromarray((strength * _GRAY_LEVELS + gray // (256 // _GRAY_LEVELS)).astype(np.uint8))
    drawn.putpalette(_evidence_palette().tobytes())
    return drawn


def write_evidence(path: Path, drawn: PillowImage.Image) -> None:
    """Write the image as PNG, lightly compressed."""
    drawn.save(path, format="PNG", compress_level=3)


def _evidence_palette() -> UInt8[np.ndarray, "entry 3"]:
    """All shades of the tissue for each strength, from the strongest against to the strongest for."""
    gray = (np.arange(_GRAY_LEVELS) + 0.5) * 256 / _GRAY_LEVELS
    tissue = np.repeat((1 - _EVIDENCE_FADED) * gray[:, None] + _EVIDENCE_FADED * 255, 3, axis=1)
    steps = np.arange(-_STRENGTHS, _STRENGTHS + 1) / _STRENGTHS
    mixed = [
        (1 - _EVIDENCE_STRONGEST * abs(step)) * tissue
        + _EVIDENCE_STRONGEST * abs(step) * np.array(_FOR if step > 0 else _AGAINST)
        for step in steps
    ]
    return np.rint(np.concatenate(mixed)).astype(np.uint8)


SIDE_PX = 3072
"""Longest side of the image of a slide."""

_MOST_SHRUNK = 3.0
"""Outlines of cells are told apart up to here; beyond, the density of cells is shown."""

_SMOOTHED_PX = 9
_MAP_SIDE_PX = 2048
_ORGAN_MAP_FADED = 0.4
_WEAKEST, _ORGAN_MAP_STRONGEST = 0.25, 0.75
"""How strong a color is where the network is unsure, and where it is sure."""


class LabelView:
    """The labels of a slide in the size of its image, collected from strips: the nearest pixel of each."""

    def __init__(self, slide_px: tuple[int, int], view_px: tuple[int, int]) -> None:
        self._rows, self._columns = (
            ((np.arange(small) + 0.5) * large / small).astype(np.int64)
            for large, small in zip(slide_px, view_px, strict=True)
        )
        self.labels: Int32[np.ndarray, "y x"] = np.zeros(view_px, np.int32)
        self._top = 0

    def take(self, strip: Int32[np.ndarray, "y x"]) -> None:
        """The next rows of the slide."""
        first, last = np.searchsorted(self._rows, [self._top, self._top + len(strip)])
        self.labels[first:last] = strip[self._rows[first:last, None] - self._top, self._columns]
        self._top += len(strip)


def draw_cells(
    image: UInt8[np.ndarray, "y x 3"], labels: Int32[np.ndarray, "y x"], shrunk: float
) -> UInt8[np.ndarray, "y x 3"]:
    """A copy of an image with the cells on it.

    Args:
        image: Of the slide.
        labels: In the size of the image; 0 for background.
        shrunk: How many pixels of the slide one of the image stands for, along each axis.
    """
    if shrunk <= _MOST_SHRUNK:
        return draw_outlines(image, labels)
    density = ndimage.uniform_filter((labels > 0).astype(np.float32), _SMOOTHED_PX, mode="constant")
    drawn = np.empty_like(image)
    for channel, color in enumerate(LINE):
        drawn[:, :, channel] = np.rint(image[:, :, channel] * (1 - density) + color * density)
    return drawn


def draw_organ_map(
    image: UInt8[np.ndarray, "y x 3"],
    probabilities: Float32[np.ndarray, "organ v u"],
    centers: tuple[Sequence[float], Sequence[float]],
) -> PillowImage.Image:
    """The tissue in faded gray, each place in the color of the most probable organ of the field around it.

    The surer the network is, the stronger the color; all organs but the six most frequent are dark gray. Fields that
    were not looked at stay pale.

    Args:
        image: Of the slide.
        probabilities: Of each organ in each field; not-a-number where it was not looked at.
        centers: Of the rows and of the columns of fields, as shares of the slide's height and width.
    """
    step = -(-max(image.shape[:2]) // _MAP_SIDE_PX)
    gray = np.asarray(PillowImage.fromarray(np.ascontiguousarray(image[::step, ::step])).convert("L"), np.float32)
    gray = (1 - _ORGAN_MAP_FADED) * gray + _ORGAN_MAP_FADED * 255
    known = np.isfinite(probabilities[0])
    organ, surest = probabilities.argmax(axis=0), probabilities.max(axis=0)
    colors = _colors(organ, known, len(probabilities))
    strength = np.where(known, _WEAKEST + (_ORGAN_MAP_STRONGEST - _WEAKEST) * np.nan_to_num(surest), 0.0)
    rows, columns = (_nearest_place(length, place) for length, place in zip(gray.shape, centers, strict=True))
    strength = strength.astype(np.float32)[np.ix_(rows, columns)]
    drawn = np.empty((*gray.shape, 3), np.uint8)
    for channel in range(3):
        of_place = colors[:, :, channel].astype(np.float32)[np.ix_(rows, columns)]
        drawn[:, :, channel] = np.rint(gray * (1 - strength) + of_place * strength)
    return PillowImage.fromarray(drawn)


def count_fields(probabilities: Float32[np.ndarray, "organ v u"]) -> Int64[np.ndarray, " organ"]:
    """In how many fields each organ is the most probable one."""
    known = np.isfinite(probabilities[0])
    return np.bincount(probabilities.argmax(axis=0)[known], minlength=len(probabilities)).astype(np.int64)


def _colors(organ: Int64[np.ndarray, "v u"], known: np.ndarray, n_organs: int) -> UInt8[np.ndarray, "v u 3"]:
    of_organ = np.tile(np.array(OTHER, np.uint8), (n_organs, 1))
    for color, ranked in zip(COLORS, rank_organs(np.bincount(organ[known], minlength=n_organs)), strict=False):
        of_organ[ranked] = color
    return of_organ[organ]


def _nearest_place(length: int, places: Sequence[float] | Float[np.ndarray, " n"]) -> Int64[np.ndarray, " length"]:
    """For every pixel of an axis the nearest of some places on it."""
    at = np.asarray(places, np.float64) * length
    return np.searchsorted((at[1:] + at[:-1]) / 2, np.arange(length) + 0.5).astype(np.int64)
