"""The organ of every cell of one image."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float32, Float64, Int32, Int64, UInt8

from organscope.decision import Decision, decide, nearest_distance, softmax
from organscope.decision.aggregation import pool_cells
from organscope.inference.preprocess import ImageNormalizer, require_subject
from organscope.io import Image
from organscope.models import Bundle
from organscope.ops.pixel_size import sides_px
from organscope.ops.resample import resize_field
from organscope.ops.tiling import Span, cell_centers, crop_starts, cut_crops, group_by_tile, read_tile

_TILE_PX = 1024
"""Side of the squares in which an image is read: with the cells of one in memory, a million cost no more."""

_BATCH = 64
"""Cells that go through the network together."""


@dataclass(frozen=True)
class CellOrgans:
    """The organ of each cell of one image, and what they say together.

    Attributes:
        organs: The bundle's classes.
        probabilities: Of each organ for each cell; a row sums to 1.
        distance: How far each cell is from the training cells, from 0 to 2.
        pooled: Probability of each organ for the image, from all its cells; None where it has none.
        decision: The organ that the cells name together, and whether to rely on it; None where there are none.
    """

    organs: tuple[str, ...]
    probabilities: Float32[np.ndarray, "n organ"]
    distance: Float32[np.ndarray, " n"]
    pooled: Float64[np.ndarray, " organ"] | None
    decision: Decision | None

    @property
    def organ_index(self) -> Int64[np.ndarray, " n"]:
        """The most probable organ of each cell."""
        return self.probabilities.argmax(axis=1)

    @property
    def confidence(self) -> Float32[np.ndarray, " n"]:
        """Its probability."""
        return self.probabilities.max(axis=1, initial=0.0)


def classify_cells(
    image: Image,
    labels: Int32[np.ndarray, "y x"],
    bundle: Bundle,
    *,
    progress: Callable[[float], None] | None = None,
) -> CellOrgans:
    """Name the organ of each labeled cell, in the order of the labels.

    Args:
        image: The image that the labels belong to.
        labels: 0 for background; every other value is a cell.
        bundle: For classification, of the subject `cell`.
        progress: Told the fraction of the cells that are done.

    Raises:
        UsageError: The bundle is for something else.
        InputError: The image is damaged, or of a kind that cannot be prepared.
    """
    return classify_centers(image, cell_centers(labels), bundle, progress=progress)


def classify_centers(
    image: Image,
    centers: Float64[np.ndarray, "n 2"],
    bundle: Bundle,
    *,
    progress: Callable[[float], None] | None = None,
    preparation: ImageNormalizer | None = None,
    factor: float = 1.0,
) -> CellOrgans:
    """Name the organ of the cells whose centroids these are.

    The network sees a square around each centroid, square in micrometers where the pixel size is known, and mirrored
    where it leaves the image. The image is read tile by tile and only the crops of one tile are in memory.

    Args:
        image: Any size from 1 x 1 px; gray, RGB, or one chosen channel.
        centers: Row and column of each centroid, the first pixel's being 0.
        bundle: As in `classify_cells`.
        progress: As in `classify_cells`.
        preparation: Of the image for this bundle, where it is known already.
        factor: Pixels for one of the image that make its cells as large as those of the training.

    Raises:
        UsageError: The bundle is for something else.
        InputError: The image is damaged, or of a kind that cannot be prepared.
    """
    require_subject(bundle, "cell")
    policy, n_cells = bundle.manifest.classification.policy, len(centers)
    reference = bundle.tensors(policy.reference)["features"]
    probabilities = np.empty((n_cells, len(bundle.manifest.classes)), np.float32)
    distance = np.empty(n_cells, np.float32)
    done = 0
    for cells, inputs in _batches(_crops_of_tiles(image, centers, bundle, preparation, factor)):
        logits, features = _seen(bundle, inputs)
        probabilities[cells] = softmax(logits, policy.temperature)
        distance[cells] = nearest_distance(features, reference, policy.n_neighbours)
        done += len(cells)
        if progress is not None:
            progress(done / n_cells)
    return _with_answer(bundle, probabilities, distance)


def _seen(
    bundle: Bundle, inputs: Float32[np.ndarray, "m input input 3"]
) -> tuple[Float32[np.ndarray, "m organ"], Float32[np.ndarray, "m d"]]:
    """Logits and embeddings of a batch; doubtful cells are turned to all four sides, since a cell has no upright."""
    outputs = bundle.run(inputs)
    logits = outputs["logits"]
    doubtful = softmax(logits, 1.0).max(axis=1) < bundle.manifest.classification.second_look
    if doubtful.any():
        others = [bundle.run(turned)["logits"] for turned in _turned(inputs[doubtful])]
        logits = logits.copy()
        logits[doubtful] = np.mean([logits[doubtful], *others], axis=0)
    return logits, outputs["features"]


def _turned(inputs: Float32[np.ndarray, "m input input 3"]) -> Iterator[Float32[np.ndarray, "m input input 3"]]:
    """The same squares turned by one, two and three quarters; mirrored ones add nothing that could be measured."""
    for quarters in (1, 2, 3):
        yield np.ascontiguousarray(np.rot90(inputs, quarters, axes=(1, 2)))


def _with_answer(
    bundle: Bundle, probabilities: Float32[np.ndarray, "n organ"], distance: Float32[np.ndarray, " n"]
) -> CellOrgans:
    """Pool the cells: probable enough by the pooling's limit, and in their middle as known as a single cell."""
    organs = tuple(bundle.manifest.classes)
    if len(probabilities) == 0:
        return CellOrgans(organs, probabilities, distance, None, None)
    pooled = pool_cells(probabilities, bundle.manifest.classification.cell_pooling)
    return CellOrgans(organs, probabilities, distance, pooled, decide_pooled(bundle, pooled, distance))


def decide_pooled(
    bundle: Bundle, pooled: Float64[np.ndarray, " organ"], distance: Float32[np.ndarray, " n"]
) -> Decision:
    """Whether to rely on what the cells of an image say together.

    Args:
        bundle: For single cells.
        pooled: Probability of each organ for the image, from all its cells.
        distance: How far each cell is from the training cells; at least one.
    """
    spec = bundle.manifest.classification
    limits = spec.policy.model_copy(update={"min_confidence": spec.cell_pooling.min_confidence})
    return decide(pooled, float(np.median(distance)), limits)


def _crops_of_tiles(
    image: Image,
    centers: Float64[np.ndarray, "n 2"],
    bundle: Bundle,
    preparation: ImageNormalizer | None,
    factor: float = 1.0,
) -> Iterator[tuple[Int64[np.ndarray, " m"], Float32[np.ndarray, "m input input 3"]]]:
    """The cells of one tile after the other, at most a batch at a time, as the network takes them."""
    if preparation is None and len(centers):
        preparation = ImageNormalizer(image, bundle.manifest.preprocessing)
    spec, shape = bundle.manifest.classification, (image.height_px, image.width_px)
    sides = sides_px(spec.field_px, image.um_per_px, factor)
    starts = crop_starts(centers, sides)
    for cells in group_by_tile(centers, _TILE_PX):
        assert preparation is not None
        corner = starts[cells].min(axis=0)
        row, column = (_span(*ends) for ends in zip(corner, starts[cells].max(axis=0) + sides, strict=True))
        pixels = preparation.as_bytes(read_tile(image.read, shape, row, column))
        for first in range(0, len(cells), _BATCH):
            part = cells[first : first + _BATCH]
            crops = cut_crops(pixels, starts[part] - corner, sides)
            yield part, _network_inputs(crops, spec.input_px, preparation)


def _network_inputs(
    crops: UInt8[np.ndarray, "n rows columns 3"], input_px: int, preparation: ImageNormalizer
) -> Float32[np.ndarray, "n input input 3"]:
    """Resized and standardized, as in training."""
    return np.stack([preparation.standardised(resize_field(crop, input_px, input_px)) for crop in crops])


def _batches(
    parts: Iterator[tuple[Int64[np.ndarray, " m"], Float32[np.ndarray, "m input input 3"]]],
) -> Iterator[tuple[Int64[np.ndarray, " k"], Float32[np.ndarray, "k input input 3"]]]:
    """The same cells in batches of equal size, but for the last, however few cells a tile has."""
    cells: np.ndarray | None = None
    inputs: np.ndarray | None = None
    for more_cells, more_inputs in parts:
        cells = more_cells if cells is None else np.concatenate([cells, more_cells])
        inputs = more_inputs if inputs is None else np.concatenate([inputs, more_inputs])
        while len(cells) >= _BATCH:
            yield cells[:_BATCH], inputs[:_BATCH]
            cells, inputs = cells[_BATCH:], inputs[_BATCH:]
    if cells is not None and inputs is not None and len(cells):
        yield cells, inputs


def _span(start: int, stop: int) -> Span:
    return Span(int(start), int(stop), int(start), int(stop))
