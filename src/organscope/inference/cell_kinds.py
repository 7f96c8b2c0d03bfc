"""The kind of every cell of one image, read at its centroid from maps that a network makes over the image."""

import math
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

import numpy as np
from jaxtyping import Bool, Float32, Float64, Int64

from organscope.decision import nearest_distance, softmax
from organscope.inference.preprocess import ImageNormalizer, require_task
from organscope.io import Image
from organscope.models import Bundle
from organscope.ops.pixel_size import PixelSize, side_um, squaring_factors
from organscope.ops.resample import resize_field
from organscope.ops.tiling import Span, group_by_tile, padded_length, read_tile

CELL_KINDS = "cell kinds"
NOT_SURE = "not sure"
KIND_COLUMNS = ("kind", "kind_probability", "kind_sure")

_TILE_PX = 768
"""Side of the squares, as the network sees them, whose cells are answered for together."""

_CLOSE = 1.25
"""Cells within this ratio of those of the training are of the same size: it differs as much between patients."""

_FACTORS = (1 / 8, 8.0)


@dataclass(frozen=True)
class CellKinds:
    """The kind of each cell of one image.

    Attributes:
        kinds: The bundle's classes.
        probabilities: Of each kind for each cell, calibrated; a row sums to 1.
        distance: How far each cell is from the training cells, from 0 to 2.
        sure: Whether to rely on the most probable kind.
    """

    kinds: tuple[str, ...]
    probabilities: Float32[np.ndarray, "n kind"]
    distance: Float32[np.ndarray, " n"]
    sure: Bool[np.ndarray, " n"]

    @property
    def kind_index(self) -> Int64[np.ndarray, " n"]:
        """The most probable kind of each cell."""
        return self.probabilities.argmax(axis=1)

    @property
    def confidence(self) -> Float32[np.ndarray, " n"]:
        """Its probability."""
        return self.probabilities.max(axis=1, initial=0.0)


@dataclass(frozen=True)
class MapReader:
    """How maps over an image are made and read.

    Attributes:
        run: From what the network sees (1 y x 3) to its maps (1 v u c).
        stride_px: Pixels that an entry of the maps stands for along each axis.
        multiple_px: Height and width of what the network sees are multiples of this.
        halo_px: Pixels around a cell that its answer depends on.
    """

    run: Callable[[Float32[np.ndarray, "1 y x 3"]], Float32[np.ndarray, "1 v u c"]]
    stride_px: int
    multiple_px: int
    halo_px: int

    def at(
        self,
        image: Image,
        centers: Float64[np.ndarray, "n 2"],
        preparation: ImageNormalizer,
        factors: tuple[float, float] = (1.0, 1.0),
        progress: Callable[[float], None] | None = None,
    ) -> Float32[np.ndarray, "n c"]:
        """The maps at some places, interpolated; only the maps of one tile are in memory.

        Args:
            image: Read tile by tile, mirrored beyond its edges.
            centers: Row and column, the first pixel's being 0; at least one.
            preparation: Of the image.
            factors: Pixels that the network sees for one of the image, along y and x.
            progress: Told the fraction of the places that are done.

        Raises:
            InputError: The image is damaged.
        """
        found: Float32[np.ndarray, "n c"] | None = None
        done, scale = 0, np.array(factors)
        for cells in group_by_tile(centers * scale, _TILE_PX):
            values = self._in_tile(image, centers[cells], preparation, scale)
            found = np.empty((len(centers), values.shape[1]), np.float32) if found is None else found
            found[cells] = values
            done += len(cells)
            if progress is not None:
                progress(done / len(centers))
        assert found is not None
        return found

    def _in_tile(
        self,
        image: Image,
        centers: Float64[np.ndarray, "m 2"],
        preparation: ImageNormalizer,
        scale: Float64[np.ndarray, " 2"],
    ) -> Float32[np.ndarray, "m c"]:
        halo = np.ceil(self.halo_px / scale)
        first = np.floor(centers.min(axis=0) - halo).astype(np.int64)
        stop = np.ceil(centers.max(axis=0) + 1 + halo).astype(np.int64)
        seen = [padded_length(math.ceil(side), self.multiple_px) for side in (stop - first) * scale]
        # As many pixels of the image as make that many of the network.
        sides = np.rint(np.array(seen) / scale).astype(np.int64)
        spans = [Span(int(a), int(a + side), int(a), int(a + side)) for a, side in zip(first, sides, strict=True)]
        tile = preparation.as_bytes(read_tile(image.read, (image.height_px, image.width_px), *spans))
        maps = self.run(preparation.standardised(resize_field(tile, *seen))[None])[0]
        places = (centers - first + 0.5) * (np.array(seen) / sides) / self.stride_px - 0.5
        return interpolate(maps, places)


def interpolate(maps: Float32[np.ndarray, "v u c"], places: Float64[np.ndarray, "m 2"]) -> Float32[np.ndarray, "m c"]:
    """Bilinear interpolation; beyond the middle of the outermost entries these count.

    Args:
        maps: Channels last.
        places: Row and column, the middle of the first entry being 0.
    """
    last = np.array(maps.shape[:2]) - 1
    inside = np.clip(places, 0, last)
    low = np.minimum(inside.astype(np.int64), np.maximum(last - 1, 0))
    high = np.minimum(low + 1, last)
    part = (inside - low).astype(np.float32)
    (y, x), (v, u) = low.T, high.T
    down, across = part[:, :1], part[:, 1:]
    above = maps[y, x] * (1 - across) + maps[y, u] * across
    below = maps[v, x] * (1 - across) + maps[v, u] * across
    return above * (1 - down) + below * down


def name_cell_kinds(
    image: Image,
    centers: Float64[np.ndarray, "n 2"],
    bundle: Bundle,
    *,
    diameter_px: float | None = None,
    preparation: ImageNormalizer | None = None,
    progress: Callable[[float], None] | None = None,
) -> CellKinds:
    """Name the kind of the cells whose centroids these are.

    Args:
        image: Any size; gray, RGB, or one chosen channel.
        centers: Row and column of each centroid, the first pixel's being 0.
        bundle: For kinds of cells.
        diameter_px: Median equivalent diameter of the cells of the image; brings the image to the scale of the
            training where pixel sizes do not tell.
        preparation: Of the image for this bundle, where it is known already.
        progress: Told the fraction of the cells that are done.

    Raises:
        UsageError: The bundle is for something else.
        InputError: The image is damaged, or of a kind that cannot be prepared.
    """
    require_task(bundle, CELL_KINDS)
    manifest, spec = bundle.manifest, bundle.manifest.cell_kinds
    kinds = tuple(manifest.classes)
    if len(centers) == 0:
        nothing = np.zeros(0, np.float32)
        return CellKinds(kinds, np.zeros((0, len(kinds)), np.float32), nothing, nothing.astype(bool))
    preparation = preparation or ImageNormalizer(image, manifest.preprocessing)
    reader = MapReader(partial(_maps, bundle), spec.stride_px, spec.multiple_px, spec.halo_px)
    factors = kind_factors(image.um_per_px, diameter_px, manifest.um_per_px, spec.typical_diameter_px)
    found = reader.at(image, centers, preparation, factors, progress)
    policy = spec.policy
    probabilities = softmax(found[:, : len(kinds)], policy.temperature)
    reference = bundle.tensors(policy.reference)["features"]
    distance = nearest_distance(found[:, len(kinds) :], reference, policy.n_neighbours)
    sure = (probabilities.max(axis=1) >= policy.min_confidence) & (distance <= policy.max_distance)
    return CellKinds(kinds, probabilities.astype(np.float32), distance, sure)


def kind_factors(
    um_per_px: PixelSize | None,
    diameter_px: float | None,
    trained_um_per_px: float | None,
    trained_diameter_px: float | None,
) -> tuple[float, float]:
    """Pixels that the network sees for one of the image, along y and x, so that cells are as large as in training.

    From pixel sizes where both are known, else from the diameters of cells where they clearly differ.
    """
    factor = 1.0
    if um_per_px is not None and trained_um_per_px is not None:
        factor = side_um(um_per_px) / trained_um_per_px
    elif diameter_px and trained_diameter_px:
        ratio = trained_diameter_px / diameter_px
        factor = 1.0 if 1 / _CLOSE <= ratio <= _CLOSE else ratio
    factor = min(max(factor, _FACTORS[0]), _FACTORS[1])
    stretch = squaring_factors(um_per_px)
    return factor * stretch[0], factor * stretch[1]


def _maps(bundle: Bundle, batch: Float32[np.ndarray, "1 y x 3"]) -> Float32[np.ndarray, "1 v u c"]:
    """Logits, then features."""
    found = bundle.run(batch)
    return np.concatenate([found["logits"], found["features"]], axis=-1)
