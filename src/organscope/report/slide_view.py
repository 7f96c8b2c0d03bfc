"""A slide at a glance: its cells as outlines or as density, and the organ of each of its fields."""

from collections.abc import Sequence

import numpy as np
from jaxtyping import Float, Float32, Int32, Int64, UInt8
from PIL import Image as Picture
from scipy import ndimage

from organscope.report.cell_map import COLOURS, OTHER, rank_organs
from organscope.report.overlay import LINE, draw_outlines

SIDE_PX = 3072
"""Longest side of the picture of a slide."""

MOST_SHRUNK = 3.0
"""Outlines of cells are told apart up to here; beyond, the density of cells is shown."""

SMOOTHED_PX = 9
MAP_SIDE_PX = 2048
FADED = 0.4
WEAKEST, STRONGEST = 0.25, 0.75
"""How strong a colour is where the network is unsure, and where it is sure."""


class LabelView:
    """The labels of a slide in the size of its picture, collected from strips: the nearest pixel of each."""

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
    picture: UInt8[np.ndarray, "y x 3"], labels: Int32[np.ndarray, "y x"], shrunk: float
) -> UInt8[np.ndarray, "y x 3"]:
    """A copy of a picture with the cells on it.

    Args:
        picture: Of the slide.
        labels: In the size of the picture; 0 for background.
        shrunk: How many pixels of the slide one of the picture stands for, along each axis.
    """
    if shrunk <= MOST_SHRUNK:
        return draw_outlines(picture, labels)
    density = ndimage.uniform_filter((labels > 0).astype(np.float32), SMOOTHED_PX, mode="constant")
    drawn = np.empty_like(picture)
    for channel, colour in enumerate(LINE):
        drawn[:, :, channel] = np.rint(picture[:, :, channel] * (1 - density) + colour * density)
    return drawn


def draw_organ_map(
    picture: UInt8[np.ndarray, "y x 3"],
    probabilities: Float32[np.ndarray, "organ v u"],
    centres: tuple[Sequence[float], Sequence[float]],
) -> Picture.Image:
    """The tissue in faded gray, each place in the colour of the most probable organ of the field around it.

    The surer the network is, the stronger the colour; all organs but the six most frequent are dark gray. Fields that
    were not looked at stay pale.

    Args:
        picture: Of the slide.
        probabilities: Of each organ in each field; not-a-number where it was not looked at.
        centres: Of the rows and of the columns of fields, as shares of the slide's height and width.
    """
    step = -(-max(picture.shape[:2]) // MAP_SIDE_PX)
    gray = np.asarray(Picture.fromarray(np.ascontiguousarray(picture[::step, ::step])).convert("L"), np.float32)
    gray = (1 - FADED) * gray + FADED * 255
    known = np.isfinite(probabilities[0])
    organ, surest = probabilities.argmax(axis=0), probabilities.max(axis=0)
    colours = _colours(organ, known, len(probabilities))
    strength = np.where(known, WEAKEST + (STRONGEST - WEAKEST) * np.nan_to_num(surest), 0.0)
    rows, columns = (_nearest(length, place) for length, place in zip(gray.shape, centres, strict=True))
    strength = strength.astype(np.float32)[np.ix_(rows, columns)]
    drawn = np.empty((*gray.shape, 3), np.uint8)
    for channel in range(3):
        of_place = colours[:, :, channel].astype(np.float32)[np.ix_(rows, columns)]
        drawn[:, :, channel] = np.rint(gray * (1 - strength) + of_place * strength)
    return Picture.fromarray(drawn)


def count_fields(probabilities: Float32[np.ndarray, "organ v u"]) -> Int64[np.ndarray, " organ"]:
    """In how many fields each organ is the most probable one."""
    known = np.isfinite(probabilities[0])
    return np.bincount(probabilities.argmax(axis=0)[known], minlength=len(probabilities)).astype(np.int64)


def _colours(organ: Int64[np.ndarray, "v u"], known: np.ndarray, n_organs: int) -> UInt8[np.ndarray, "v u 3"]:
    of_organ = np.tile(np.array(OTHER, np.uint8), (n_organs, 1))
    for colour, ranked in zip(COLOURS, rank_organs(np.bincount(organ[known], minlength=n_organs)), strict=False):
        of_organ[ranked] = colour
    return of_organ[organ]


def _nearest(length: int, places: Sequence[float] | Float[np.ndarray, " n"]) -> Int64[np.ndarray, " length"]:
    """For every pixel of an axis the nearest of some places on it."""
    at = np.asarray(places, np.float64) * length
    return np.searchsorted((at[1:] + at[:-1]) / 2, np.arange(length) + 0.5).astype(np.int64)
