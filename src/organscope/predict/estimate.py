"""Estimate at which scale a network should see an image, from what it finds in it.

The first look is at the image as it is. Only where its cells are clearly larger or smaller than in training is the
image looked at again at half or twice the size, and only where the network is then clearly surer of what it finds is
that scale taken. An image like those of the training is therefore left alone, and costs nothing more. Where next to
nothing is found in the image as it is, the scale is taken at which there are many cells, if there is one.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from jaxtyping import Float32, Int32

from organscope.bundle import Bundle
from organscope.images import Image
from organscope.ops.instances import cell_probability, decode_cells
from organscope.ops.pixel_size import squaring_factors
from organscope.ops.tiles import Span, padded_length, read_tile
from organscope.predict.cell_size import Scale, estimated_scale, unscaled
from organscope.predict.maps import run_tile
from organscope.predict.prepare import Preparation
from organscope.predict.scaled import scale_image

LARGER, SMALLER = 1.6, 0.72
"""Clearly larger or smaller than in training; less is borne by a network that was trained with crops of 2/3 to 3/2 of
their size. It is about the median of cells by area, some 1.1 times that by number, which bundles state."""

AREA_MEDIAN = 1.1
SURER = 0.03
"""How much the mean probability of cells must rise; between two scales that are equally good it differs by less."""

MIN_CELLS = 5
FEW_CELLS = 3
"""With fewer in the image as it is, other scales are tried."""

SOME_CELLS, MANY_CELLS = 2, 12
"""At half or double scale, where an image is better seen so: in some fields, before more are looked at, and in all."""

FACTORS = (0.125, 4.0)
FIELD_PX = 256
N_FIELDS = 4
N_CANDIDATES = 4
"""Candidates for fields along each axis."""

FIRST, SPREAD, ALL = slice(N_FIELDS), slice(None, None, N_CANDIDATES), slice(None)
"""Which of them are looked at, ordered by contrast, the greatest first."""


@dataclass(frozen=True)
class Look:
    """What a network finds in an image at one scale.

    Attributes:
        n_cells: Number of cells.
        diameter_px: Half of the cells' area is in cells of at most this equivalent diameter; pixels of the image.
        confidence: Mean probability of the cells.
    """

    n_cells: int
    diameter_px: float
    confidence: float


def look_of(labels: Int32[np.ndarray, "y x"], probability: Float32[np.ndarray, " n"]) -> Look:
    """What labelled cells at the resolution of the image amount to."""
    return _look(np.bincount(labels.ravel(), minlength=1)[1:], probability)


def estimate_scale(image: Image, bundle: Bundle, first: Look | None = None) -> Scale:
    """Find the scale at which the network is surest of cells of the size that it was trained on.

    Args:
        image: Any size.
        bundle: For segmentation, with `typical_diameter_px`.
        first: What it finds in the image as it is, where that is known already.

    Returns:
        A scale with factor 1 where the image is best seen as it is.
    """
    trained_px = bundle.manifest.spec.typical_diameter_px
    glance = _Glance(image, bundle)
    factor, look = _begin(glance, first or glance.at(1.0))
    while look.n_cells >= MIN_CELLS:
        ratio = look.diameter_px * factor / trained_px
        wanted = factor / 2 if ratio > LARGER else factor * 2 if ratio < SMALLER else factor
        if wanted == factor or not FACTORS[0] <= wanted <= FACTORS[1]:
            break
        other = glance.at(wanted)
        if other.n_cells < MIN_CELLS or other.confidence < look.confidence + SURER:
            break
        factor, look = wanted, other
    if factor == 1.0:
        return unscaled(image)
    diameter_px = look.diameter_px / AREA_MEDIAN
    # The last octave is only refined, never left.
    refined = float(np.clip(trained_px / diameter_px, factor / np.sqrt(2), factor * np.sqrt(2)))
    return estimated_scale(image, refined, diameter_px, trained_px)


def _begin(glance: "_Glance", as_it_is: Look) -> tuple[float, Look]:
    """The scale to begin with, and what is found there."""
    if as_it_is.n_cells < FEW_CELLS:
        for factor in (2.0, 0.5):
            if glance.at(factor, SPREAD).n_cells >= SOME_CELLS:
                look = glance.at(factor, ALL)
                if look.n_cells >= MANY_CELLS:
                    return factor, look
    return 1.0, as_it_is


class _Glance:
    """The few fields of an image that are looked at; the same places at every scale."""

    def __init__(self, image: Image, bundle: Bundle) -> None:
        self._image = image
        self._bundle = bundle
        self._stretch = squaring_factors(image.um_per_px)

    @cached_property
    def _preparation(self) -> Preparation:
        """Most images are not looked at again, and need none."""
        return Preparation(self._image, self._bundle.manifest.preprocessing)

    @cached_property
    def _centres(self) -> list[tuple[int, int]]:
        return _places_of_contrast(self._image)

    def at(self, factor: float, places: slice = FIRST) -> Look:
        spec = self._bundle.manifest.spec
        factors = factor * self._stretch[0], factor * self._stretch[1]
        scaled = self._image if factors == (1.0, 1.0) else scale_image(self._image, factors)
        areas, probabilities = [np.zeros(0)], [np.zeros(0, np.float32)]
        for row, column in self._fields(scaled, factors, places):
            pixels = read_tile(scaled.read, (scaled.height_px, scaled.width_px), row, column)
            maps = run_tile(self._bundle, self._preparation.network_input(pixels))[row.inner, column.inner]
            labels = decode_cells(np.ascontiguousarray(maps), spec.decoder)
            areas.append(np.bincount(labels.ravel(), minlength=1)[1:] / factor**2)
            probabilities.append(cell_probability(labels, np.ascontiguousarray(maps[:, :, 0])))
        probability = np.concatenate(probabilities)
        if spec.cell_calibration is not None:
            probability = spec.cell_calibration.apply(probability)
        return _look(np.concatenate(areas), probability)

    def _fields(self, scaled: Image, factors: tuple[float, float], places: slice) -> Iterator[tuple[Span, Span]]:
        """Squares of the scaled image around the chosen places, or all of it where it is small."""
        stride_px = self._bundle.manifest.spec.stride_px
        lengths = scaled.height_px, scaled.width_px
        if lengths[0] * lengths[1] <= len(range(N_CANDIDATES**2)[places]) * FIELD_PX**2:
            yield tuple(Span(0, padded_length(length, stride_px), 0, length) for length in lengths)
            return
        side = padded_length(FIELD_PX, stride_px)
        for centre in self._centres[places]:
            places_and_sizes = zip(centre, factors, lengths, strict=True)
            yield tuple(_span(round(c * along), side, n, stride_px) for c, along, n in places_and_sizes)


def _span(centre: int, side: int, length: int, stride_px: int) -> Span:
    start = max(0, min(centre - side // 2, length - side)) // stride_px * stride_px
    return Span(start, start + side, start, min(start + side, length))


def _places_of_contrast(image: Image) -> list[tuple[int, int]]:
    """Centres of the squares of an even grid, those of greatest standard deviation first: tissue, not glass."""
    sides = [min(FIELD_PX, length) for length in (image.height_px, image.width_px)]
    starts = [
        np.unique(np.linspace(0, length - side, N_CANDIDATES, dtype=int)).tolist()
        for length, side in zip((image.height_px, image.width_px), sides, strict=True)
    ]
    found = []
    for y in starts[0]:
        for x in starts[1]:
            contrast = float(image.visible(image.read(y, x, *sides)).mean(axis=2, dtype=np.float64).std())
            found.append((contrast, (y + sides[0] // 2, x + sides[1] // 2)))
    return [centre for _, centre in sorted(found, key=lambda entry: -entry[0])]


def _look(area_px: np.ndarray, probability: Float32[np.ndarray, " n"]) -> Look:
    if area_px.size == 0:
        return Look(0, 0.0, 0.0)
    area = np.sort(area_px)
    middle = area[np.searchsorted(np.cumsum(area), area.sum() / 2)]
    return Look(int(area.size), float(np.sqrt(4 * middle / np.pi)), float(probability.mean()))
