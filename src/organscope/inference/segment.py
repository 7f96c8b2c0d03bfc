"""The cells of one image.

Estimate at which scale a network should see an image, from what it finds in it.

The first look is at the image as it is. Only where its cells are clearly larger or smaller than in training is the
image looked at again at half or twice the size, and only where the network is then clearly surer of what it finds is
that scale taken. An image like those of the training is therefore left alone, and costs nothing more. Where next to
nothing is found in the image as it is, the scale is taken at which there are many cells, if there is one.
"""

import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np
from jaxtyping import Float32, Int32

from organscope.decision.trust import CellsTrust
from organscope.inference.maps import MAX_TILE_PX, map_bands, run_tile, scale_image
from organscope.inference.prefetch import run_ahead
from organscope.inference.preprocess import ImageNormalizer, require_task
from organscope.inference.scale import Scale, Sizing, estimated_scale, known_scale, require_diameter, unscaled
from organscope.inference.stitching import decode_bands
from organscope.inference.trust import MapSums, trust_figures
from organscope.io import Image
from organscope.models import Bundle
from organscope.ops.instances import Decoder, cell_probability, decode_cells
from organscope.ops.pixel_size import squaring_factors
from organscope.ops.tiling import Span, padded_length, read_tile

_LARGER, _SMALLER = 1.6, 0.72
"""Clearly larger or smaller than in training; less is borne by a network that was trained with crops of 2/3 to 3/2 of
their size. It is about the median of cells by area, some 1.1 times that by number, which bundles state."""

_AREA_MEDIAN = 1.1
_SURER = 0.03
"""How much the mean probability of cells must rise; between two scales that are equally good it differs by less."""

_MIN_CELLS = 5
_FEW_CELLS = 3
"""With fewer in the image as it is, other scales are tried."""

_SOME_CELLS, _MANY_CELLS = 2, 12
"""At half or double scale, where an image is better seen so: in some fields, before more are looked at, and in all."""

_FACTORS = (0.125, 4.0)
_FIELD_PX = 256
_N_FIELDS = 4
_N_CANDIDATES = 4
"""Candidates for fields along each axis."""

_FIRST, _SPREAD, _ALL = slice(_N_FIELDS), slice(None, None, _N_CANDIDATES), slice(None)
"""Which of them are looked at, ordered by contrast, the greatest first."""


@dataclass(frozen=True)
class _Look:
    """What a network finds in an image at one scale.

    Attributes:
        n_cells: Number of cells.
        diameter_px: Half of the cells' area is in cells of at most this equivalent diameter; pixels of the image.
        confidence: Mean probability of the cells.
    """

    n_cells: int
    diameter_px: float
    confidence: float


def look_of(labels: Int32[np.ndarray, "y x"], probability: Float32[np.ndarray, " n"]) -> _Look:
    """What labeled cells at the resolution of the image amount to."""
    return _look(np.bincount(labels.ravel(), minlength=1)[1:], probability)


def estimate_scale(image: Image, bundle: Bundle, first: _Look | None = None) -> Scale:
    """Find the scale at which the network is surest of cells of the size that it was trained on.

    Args:
        image: Any size.
        bundle: For segmentation, with `typical_diameter_px`.
        first: What it finds in the image as it is, where that is known already.

    Returns:
        A scale with factor 1 where the image is best seen as it is.
    """
    trained_px = require_diameter(bundle)
    glance = _Glance(image, bundle)
    factor, look = _begin(glance, first or glance.at(1.0))
    while look.n_cells >= _MIN_CELLS:
        ratio = look.diameter_px * factor / trained_px
        wanted = factor / 2 if ratio > _LARGER else factor * 2 if ratio < _SMALLER else factor
        if wanted == factor or not _FACTORS[0] <= wanted <= _FACTORS[1]:
            break
        other = glance.at(wanted)
        if other.n_cells < _MIN_CELLS or other.confidence < look.confidence + _SURER:
            break
        factor, look = wanted, other
    if factor == 1.0:
        return unscaled(image)
    diameter_px = look.diameter_px / _AREA_MEDIAN
    # The last octave is only refined, never left.
    refined = float(np.clip(trained_px / diameter_px, factor / np.sqrt(2), factor * np.sqrt(2)))
    return estimated_scale(image, refined, diameter_px, trained_px)


def _begin(glance: "_Glance", as_it_is: _Look) -> tuple[float, _Look]:
    """The scale to begin with, and what is found there."""
    if as_it_is.n_cells < _FEW_CELLS:
        for factor in (2.0, 0.5):
            if glance.at(factor, _SPREAD).n_cells >= _SOME_CELLS:
                look = glance.at(factor, _ALL)
                if look.n_cells >= _MANY_CELLS:
                    return factor, look
    return 1.0, as_it_is


class _Glance:
    """The few fields of an image that are looked at; the same places at every scale."""

    def __init__(self, image: Image, bundle: Bundle) -> None:
        self._image = image
        self._bundle = bundle
        self._stretch = squaring_factors(image.um_per_px)

    @cached_property
    def _preparation(self) -> ImageNormalizer:
        """Most images are not looked at again, and need none."""
        return ImageNormalizer(self._image, self._bundle.manifest.preprocessing)

    @cached_property
    def _centres(self) -> list[tuple[int, int]]:
        return _places_of_contrast(self._image)

    def at(self, factor: float, places: slice = _FIRST) -> _Look:
        spec = self._bundle.manifest.segmentation
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
        stride_px = self._bundle.manifest.segmentation.stride_px
        lengths = scaled.height_px, scaled.width_px
        if lengths[0] * lengths[1] <= len(range(_N_CANDIDATES**2)[places]) * _FIELD_PX**2:
            down, across = (Span(0, padded_length(length, stride_px), 0, length) for length in lengths)
            yield down, across
            return
        side = padded_length(_FIELD_PX, stride_px)
        for center in self._centres[places]:
            places_and_sizes = zip(center, factors, lengths, strict=True)
            down, across = (_span(round(c * along), side, n, stride_px) for c, along, n in places_and_sizes)
            yield down, across


def _span(center: int, side: int, length: int, stride_px: int) -> Span:
    start = max(0, min(center - side // 2, length - side)) // stride_px * stride_px
    return Span(start, start + side, start, min(start + side, length))


def _places_of_contrast(image: Image) -> list[tuple[int, int]]:
    """Centers of the squares of an even grid, those of greatest standard deviation first: tissue, not glass."""
    sides = [min(_FIELD_PX, length) for length in (image.height_px, image.width_px)]
    starts = [
        np.unique(np.linspace(0, length - side, _N_CANDIDATES, dtype=int)).tolist()
        for length, side in zip((image.height_px, image.width_px), sides, strict=True)
    ]
    found = []
    for y in starts[0]:
        for x in starts[1]:
            contrast = float(image.visible(image.read(y, x, *sides)).mean(axis=2, dtype=np.float64).std())
            found.append((contrast, (y + sides[0] // 2, x + sides[1] // 2)))
    return [center for _, center in sorted(found, key=lambda entry: -entry[0])]


def _look(area_px: np.ndarray, probability: Float32[np.ndarray, " n"]) -> _Look:
    if area_px.size == 0:
        return _Look(0, 0.0, 0.0)
    area = np.sort(area_px)
    middle = area[np.searchsorted(np.cumsum(area), area.sum() / 2)]
    return _Look(int(area.size), float(np.sqrt(4 * middle / np.pi)), float(probability.mean()))


_WHOLE_LOOK_PX = 1 << 21
"""The size of the cells of a smaller image is judged by all of them, which are needed anyway."""

_AS_IT_IS = Scale()
_UNKNOWN = Sizing()


@dataclass(frozen=True)
class Segmentation:
    """The cells of one image.

    Attributes:
        labels: int32 y x; 0 for background, then 1..n without gaps, in raster order.
        probability: float32 n, in [0, 1]: that cell i + 1 is real, where the bundle has a calibration, else
            its mean foreground probability.
        seconds: From the first pixel read to the last label.
        scale: How the network saw the image.
        figures: How surely the network answered, see `organscope.inference.trust`; None where it found nothing.
        trust: What the cells are worth; None where the bundle cannot tell.
    """

    labels: Int32[np.ndarray, "y x"]
    probability: Float32[np.ndarray, " n"]
    seconds: float
    scale: Scale = _AS_IT_IS
    figures: dict[str, float] | None = None
    trust: CellsTrust | None = None


def segment_image(
    image: Image,
    bundle: Bundle,
    *,
    sizing: Sizing = _UNKNOWN,
    faint_threshold: float | None = None,
    max_tile_px: int | None = MAX_TILE_PX,
    progress: Callable[[float], None] | None = None,
) -> Segmentation:
    """Find every cell.

    The image is read, predicted and decoded in bands; only the labels are held whole. The result does not
    depend on the size of the tiles.

    Args:
        image: Any size from 1 x 1 px; gray, RGB, or one chosen channel.
        bundle: For segmentation.
        sizing: What is known about the size of the cells.
        faint_threshold: Also give the cells that only this lower threshold of the foreground shows; see
            `organscope.ops.instances` and `organscope.inference.operating_points`.
        max_tile_px: Most pixels that go through the network at a time; `None` for all at once.
        progress: Told the fraction of the work that is done, in [0, 1], from whichever thread did it.

    Raises:
        UsageError: The bundle is not for segmentation, or does not say how large its cells were where that is asked.
        InputError: The image is damaged, has no finite pixel, or has channels of which one must be chosen.
    """
    require_task(bundle, "segmentation")
    started = time.perf_counter()

    def segmented(scale: Scale) -> Segmentation:
        found = _segment(image, bundle, scale, faint_threshold, max_tile_px, progress)
        return replace(found, seconds=time.perf_counter() - started)

    scale = known_scale(image, bundle, sizing)
    if scale is not None:
        return segmented(scale)
    if image.height_px * image.width_px > _WHOLE_LOOK_PX:
        return segmented(estimate_scale(image, bundle))
    first = segmented(unscaled(image))
    scale = estimate_scale(image, bundle, look_of(first.labels, first.probability))
    return first if scale.factor == 1.0 else segmented(scale)


def choose_scale(image: Image, bundle: Bundle, sizing: Sizing = _UNKNOWN) -> Scale:
    """How the network should see an image, from what is known or else from a few fields of it.

    Raises:
        UsageError: As `segment_image`.
    """
    return known_scale(image, bundle, sizing) or estimate_scale(image, bundle)


def decoder_at(decoder: Decoder, factors: tuple[float, float]) -> Decoder:
    """The decoder for maps that were brought from the network's scale back to that of the image.

    Args:
        decoder: As the bundle states it, in pixels of the network.
        factors: Pixels of the network for one of the image, along y and x.
    """
    # Averaging n times blurs as far as the square root of n pixels.
    pixels = {"min_area_px": decoder.min_area_px, "smoothing": decoder.smoothing}
    most = {"min_area_px": np.inf, "smoothing": 16}
    return decoder.model_copy(
        update={name: int(min(most[name], round(value / (factors[0] * factors[1])))) for name, value in pixels.items()}
    )


def _segment(
    image: Image,
    bundle: Bundle,
    scale: Scale,
    faint_threshold: float | None,
    max_tile_px: int | None,
    progress: Callable[[float], None] | None,
) -> Segmentation:
    spec = bundle.manifest.segmentation
    shape = (image.height_px, image.width_px)
    bands = map_bands(image, bundle, factor=scale.factors, max_tile_px=max_tile_px, progress=progress)
    watched = _Watched(bands, bundle)
    decoder = decoder_at(spec.decoder, scale.factors)
    labels, probability = decode_bands(run_ahead(watched), shape, decoder, faint_threshold=faint_threshold)
    if spec.cell_calibration is not None:
        probability = spec.cell_calibration.apply(probability)
    figures = trust_figures(watched.sums, probability, np.bincount(labels.ravel())[1:], scale.factor, bundle)
    return Segmentation(
        labels, probability, 0.0, scale, figures, None if spec.trust is None else spec.trust.judge(figures)
    )


class _Watched:
    """Bands of maps on their way to be decoded, and what they add up to."""

    def __init__(self, bands: Iterable[Float32[np.ndarray, "y x k"]], bundle: Bundle) -> None:
        self._bands = bands
        self._threshold = bundle.manifest.segmentation.decoder.foreground_threshold
        self.sums = MapSums.none(bundle)

    def __iter__(self) -> Iterator[Float32[np.ndarray, "y x k"]]:
        for band in self._bands:
            self.sums = self.sums + MapSums.of(band, self._threshold)
            yield band
