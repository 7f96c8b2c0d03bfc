"""Training images: decoded once where memory allows, cut into fields at the network's scale, drawn in batches.

Training cells: images decoded once, crops cut around the centroids of labeled cells.
"""

from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace

import numpy as np
import torch
from jaxtyping import Float64, Int64, UInt8
from torch import Tensor

from organscope.data.index import Sample
from organscope.errors import AnnotationError, DatasetError
from organscope.inference.preprocess import ImageNormalizer
from organscope.io import Image
from organscope.ops.intensity import Preprocessing, gray_range
from organscope.ops.resample import resize_field
from organscope.ops.tiling import Span, cell_centers, crop_starts, field_starts, mirror_indices, read_tile
from organscope.training.classification.config import ClassificationConfig, FieldConfig
from organscope.training.origin import Place

#: Decoding releases the interpreter, so a few threads fill the cache faster.
_DECODING_THREADS = 4

_MAX_KEPT_PX = 64_000_000
"""Larger images are never decoded as a whole."""

_GRAY_SAMPLE_PX = 1 << 20
"""Pixels that tell the gray range of an image that is not kept."""


@dataclass
class _FieldImage:
    """What is known of an image: its size, its pixels at the network's scale if kept, else its black and white."""

    height_px: int
    width_px: int
    pixels: UInt8[np.ndarray, "y x 3"] | None = None
    black_and_white: tuple[float, float] | None = None
    gray_range: tuple[float, float] | None = None


class Images:
    """Samples as square fields of `field_px`, scaled to [0, 255] and resized to `input_px`.

    An image is kept decoded, at the network's scale, until `cache_mb` is used up; beyond that only the asked
    region is read each time, so that memory does not grow with the set. An image smaller than a field is mirrored at
    its edges.

    Attributes:
        samples: In order.
        n_cached: Images that are kept in memory.
    """

    def __init__(
        self, samples: list[Sample], field: FieldConfig, preprocessing: Preprocessing, cache_mb: float
    ) -> None:
        self.samples = samples
        self._field = field
        self._preprocessing = preprocessing
        with ThreadPoolExecutor(_DECODING_THREADS) as threads:
            self._pictures = list(threads.map(_size_of, samples))
            kept = self._fitting(cache_mb * 2**20)
            for number, pixels in zip(kept, threads.map(self._read, kept), strict=True):
                self._pictures[number].pixels = pixels
                self._pictures[number].gray_range = gray_range(pixels)
        self.n_cached = len(kept)

    def __len__(self) -> int:
        return len(self.samples)

    @property
    def draws_per_epoch(self) -> int:
        """Fields that are drawn in one epoch: about one an image."""
        return len(self.samples)

    def random_field(self, number: int, random: np.random.Generator) -> UInt8[np.ndarray, "input input 3"]:
        """One field of an image, anywhere in it."""
        image = self._pictures[number]
        room_y = max(0, image.height_px - self._field.field_px)
        room_x = max(0, image.width_px - self._field.field_px)
        return self._cut(number, random.integers(room_y + 1), random.integers(room_x + 1))

    def gray_range(self, number: int) -> tuple[float, float]:
        """What would be black and white in a gray copy of an image, of 255."""
        picture = self._pictures[number]
        if picture.gray_range is None:
            with self.samples[number].open() as image:
                picture.gray_range = gray_range(
                    ImageNormalizer(image, self._preprocessing).as_bytes(image.sample(_GRAY_SAMPLE_PX))
                )
        return picture.gray_range

    def fields(self, number: int) -> UInt8[np.ndarray, "n input input 3"]:
        """All fields of an image on an even grid that covers it."""
        image = self._pictures[number]
        rows = field_starts(image.height_px, self._field.field_px)
        columns = field_starts(image.width_px, self._field.field_px)
        return np.stack([self._cut(number, y, x) for y in rows for x in columns])

    def _fitting(self, free_bytes: float) -> list[int]:
        """Numbers of the images that are kept: in order, each that still fits."""
        kept = []
        for number, image in enumerate(self._pictures):
            height, width = self._scaled_shape(image)
            if image.height_px * image.width_px <= _MAX_KEPT_PX and 3 * height * width <= free_bytes:
                free_bytes -= 3 * height * width
                kept.append(number)
        return kept

    def _scaled_shape(self, image: _FieldImage) -> tuple[int, int]:
        side, input_px = self._field.field_px, self._field.input_px
        lengths = (max(side, image.height_px), max(side, image.width_px))
        return round(lengths[0] * input_px / side), round(lengths[1] * input_px / side)

    def _read(self, number: int) -> UInt8[np.ndarray, "y x 3"]:
        """A whole image at the network's scale."""
        picture, side = self._pictures[number], self._field.field_px
        with self.samples[number].open() as image:
            pixels = ImageNormalizer(image, self._preprocessing).as_bytes(image.read_whole())
        pixels = _mirrored(pixels, max(side, picture.height_px), max(side, picture.width_px))
        return resize_field(pixels, *self._scaled_shape(picture))

    def _cut(self, number: int, y_px: int, x_px: int) -> UInt8[np.ndarray, "input input 3"]:
        picture, side, input_px = self._pictures[number], self._field.field_px, self._field.input_px
        if picture.pixels is None:
            with self.samples[number].open() as image:
                preparation = ImageNormalizer(image, self._preprocessing, black_and_white=picture.black_and_white)
                picture.black_and_white = preparation.black_and_white
                region = _read_region(image, y_px, x_px, side)
            pixels = _mirrored(preparation.as_bytes(region), side, side)
            return resize_field(pixels, input_px, input_px)
        scale = input_px / side
        y = min(round(y_px * scale), picture.pixels.shape[0] - input_px)
        x = min(round(x_px * scale), picture.pixels.shape[1] - input_px)
        return picture.pixels[y : y + input_px, x : x + input_px]


class TrainingBatches:
    """The batches of one epoch: an order and fields that follow from the seed and the epoch alone.

    Of several processes each makes its own part of every batch.

    Yields:
        Fields (uint8 n 3 y x), the gray range of the image of each (float32 n 2, of 255) and numbers of organs
        (int64 n), always full batches.
    """

    def __init__(
        self,
        pictures: Images,
        organs: Int64[np.ndarray, " picture"],
        probability: Float64[np.ndarray, " picture"],
        batch: int,
        seed: tuple[int, ...],
        place: Place,
    ) -> None:
        self._pictures = pictures
        self._organs = organs
        self._random = np.random.default_rng(seed)
        self._batch = batch
        self._order = draw_images(probability, len(self) * batch, self._random)
        self._place = place
        if not place.is_alone:
            # All have drawn one order; the fields are each process's own.
            self._random = np.random.default_rng(place.seed(*seed))

    def __len__(self) -> int:
        return steps_per_epoch(self._pictures.draws_per_epoch, self._batch)

    def __iter__(self) -> Iterator[tuple[Tensor, Tensor, Tensor]]:
        for numbers in self._order.reshape(-1, self._batch)[:, self._place.rank :: self._place.world]:
            fields = np.stack([self._pictures.random_field(number, self._random) for number in numbers])
            ranges = np.array([self._pictures.gray_range(number) for number in numbers], np.float32)
            yield channels_first(fields), torch.from_numpy(ranges), torch.from_numpy(self._organs[numbers])


class ValidationBatches:
    """Every field of every image, in order; of several processes each has its own images.

    Yields:
        Fields (uint8 n 3 y x) and the number of the image that each was cut from (int64 n).
    """

    def __init__(self, pictures: Images, batch: int, place: Place) -> None:
        self._pictures = pictures
        self._batch = batch
        # With fewer images than processes some are seen twice, which changes no mean; none has nothing to do.
        self._numbers = range(place.rank % len(pictures), len(pictures), place.world)

    def __len__(self) -> int:
        return -(-len(self._numbers) // self._batch)

    def __iter__(self) -> Iterator[tuple[Tensor, Tensor]]:
        for first in range(0, len(self._numbers), self._batch):
            numbers = self._numbers[first : first + self._batch]
            fields = [self._pictures.fields(number) for number in numbers]
            owners = np.repeat(np.array(numbers), [len(part) for part in fields])
            yield channels_first(np.concatenate(fields)), torch.from_numpy(owners)


def steps_per_epoch(n_draws: int, batch: int) -> int:
    """Steps in which about so many fields are drawn."""
    return max(1, round(n_draws / batch))


def draw_images(
    probability: Float64[np.ndarray, " picture"], n_draws: int, random: np.random.Generator
) -> Int64[np.ndarray, " draw"]:
    """Draw images by probability, in random order, each as often as is expected give or take one.

    Systematic sampling (Madow 1949): evenly spaced points on the cumulated probabilities of the shuffled
    images. Independent draws would leave a third of the images out of every epoch.
    """
    shuffled = random.permutation(len(probability))
    cumulated = np.cumsum(probability[shuffled])
    points = (np.arange(n_draws) + random.random()) / n_draws * cumulated[-1]
    places = np.minimum(np.searchsorted(cumulated, points, side="right"), len(shuffled) - 1)
    return random.permutation(shuffled[places])


def channels_first(fields: UInt8[np.ndarray, "n y x 3"]) -> Tensor:
    """uint8 n 3 y x, still stored with the colors last (`torch.channels_last`)."""
    return torch.from_numpy(np.ascontiguousarray(fields)).permute(0, 3, 1, 2)


def _size_of(sample: Sample) -> _FieldImage:
    with sample.open() as image:
        return _FieldImage(image.height_px, image.width_px)


def _read_region(image: Image, y_px: int, x_px: int, side: int) -> np.ndarray:
    return image.read(y_px, x_px, min(side, image.height_px - y_px), min(side, image.width_px - x_px))


def _mirrored(pixels: np.ndarray, height_px: int, width_px: int) -> np.ndarray:
    """Mirror an image at its far edges until it has the size."""
    height, width = pixels.shape[:2]
    if (height, width) == (height_px, width_px):
        return pixels
    return pixels[mirror_indices(0, height_px, height)][:, mirror_indices(0, width_px, width)]


@dataclass
class _CellImage:
    """An image with a mirrored margin, or how to prepare a part of it again; and its cells."""

    centres: Float64[np.ndarray, "n 2"]
    pixels: UInt8[np.ndarray, "y x 3"] | None
    preparation: ImageNormalizer
    gray_range: tuple[float, float]


class _MarginImages:
    """Images as bytes, mirrored beyond their edges, from which squares around any point inside are cut.

    An image is kept decoded until `cache_mb` is used up; of the others only the asked square is read each time.

    Attributes:
        samples: In order.
        centers: Row and column of the cells of each.
        gray_range: What would be black and white in a gray copy of each, of 255.
        n_cached: Images that are kept in memory.
    """

    def __init__(
        self, samples: Sequence[Sample], margin_px: int, preprocessing: Preprocessing, cache_mb: float
    ) -> None:
        self.samples = list(samples)
        self._margin_px = margin_px
        self._preprocessing = preprocessing
        self._free_bytes = cache_mb * 2**20
        with ThreadPoolExecutor(_DECODING_THREADS) as threads:
            self._pictures = [self._keep(image) for image in threads.map(self._read, self.samples)]
        self.centres = [image.centres for image in self._pictures]
        self.gray_range = [image.gray_range for image in self._pictures]
        self.n_cached = sum(image.pixels is not None for image in self._pictures)

    def square(self, number: int, center: Float64[np.ndarray, " 2"], side_px: int) -> UInt8[np.ndarray, "side side 3"]:
        """The square of an image whose middle is nearest to a point; at most twice the margin wide."""
        picture = self._pictures[number]
        y, x = (int(start) for start in crop_starts(center[None], side_px)[0])
        if picture.pixels is not None:
            top, left = y + self._margin_px, x + self._margin_px
            return picture.pixels[top : top + side_px, left : left + side_px]
        rows, columns = (Span(start, start + side_px, start, start + side_px) for start in (y, x))
        with self.samples[number].open() as image:
            region = read_tile(image.read, (image.height_px, image.width_px), rows, columns)
        return picture.preparation.as_bytes(region)

    def _read(self, sample: Sample) -> _CellImage:
        labels = sample.read_labels()
        with sample.open() as image:
            preparation = ImageNormalizer(image, self._preprocessing)
            pixels = preparation.as_bytes(image.read_whole())
        if labels.shape != pixels.shape[:2]:
            raise AnnotationError(
                f"Expected labels of {pixels.shape[:2]} px for {sample.image_path}, found {labels.shape} "
                f"in {sample.labels_path}. Import the data again."
            )
        rows, columns = (
            mirror_indices(-self._margin_px, length + self._margin_px, length) for length in pixels.shape[:2]
        )
        mirrored = np.ascontiguousarray(pixels[rows][:, columns])
        return _CellImage(cell_centers(labels), mirrored, preparation, gray_range(pixels))

    def _keep(self, image: _CellImage) -> _CellImage:
        if image.pixels.nbytes > self._free_bytes:
            image.pixels = None
        else:
            self._free_bytes -= image.pixels.nbytes
        return image


@dataclass(frozen=True)
class CellCrops:
    """Cells as square crops around their centroids, scaled to [0, 255]; stands where `Pictures` does for images.

    Attributes:
        images: What the crops are cut from.
        image: Number of each cell's image.
        centers: Row and column of each cell's centroid.
        field_px: Side of a crop in pixels of the image.
        input_px: A crop is resized to this side.
        room_px: Side of the square around a training crop, in which it is turned and shifted.
        draws_per_epoch: Crops that are drawn in one epoch.
    """

    pictures: _MarginImages
    picture: Int64[np.ndarray, " cell"]
    centres: Float64[np.ndarray, "cell 2"]
    field_px: int
    input_px: int
    room_px: int
    draws_per_epoch: int

    def __len__(self) -> int:
        return len(self.picture)

    def random_field(self, number: int, random: np.random.Generator) -> UInt8[np.ndarray, "room room 3"]:
        """The crop of a cell with the room around it, at the network's scale; nothing here is by chance."""
        side = round(self.room_px * self.input_px / self.field_px)
        square = self.pictures.square(int(self.picture[number]), self.centres[number], self.room_px)
        return resize_field(square, side, side)

    def gray_range(self, number: int) -> tuple[float, float]:
        """What would be black and white in a gray copy of the image of a cell, of 255."""
        return self.pictures.gray_range[int(self.picture[number])]

    def fields(self, number: int) -> UInt8[np.ndarray, "1 input input 3"]:
        """The crop of a cell as prediction sees it."""
        square = self.pictures.square(int(self.picture[number]), self.centres[number], self.field_px)
        return resize_field(square, self.input_px, self.input_px)[None]

    def chosen(self, cells: Int64[np.ndarray, " m"]) -> "CellCrops":
        """Some of the cells, cut from the same images."""
        return replace(self, picture=self.picture[cells], centres=self.centres[cells])


def read_cells(samples: Sequence[Sample], config: ClassificationConfig, cache_mb: float) -> CellCrops:
    """Decode the images of labeled samples and find their cells.

    Raises:
        InputError: An image or its labels cannot be read, or do not fit.
        DatasetError: There is no cell.
    """
    room_px = round(config.field.field_px * config.cells.room)
    images = _MarginImages(samples, room_px // 2 + 1, config.preprocessing, cache_mb)
    image = np.repeat(np.arange(len(samples)), [len(centers) for centers in images.centres])
    if not len(image):
        raise DatasetError(
            f"Expected labeled cells in {len(samples)} images, found none. Check the labels with: "
            "organscope data check."
        )
    return CellCrops(
        pictures=images,
        picture=image,
        centres=np.concatenate(images.centres),
        field_px=config.field.field_px,
        input_px=config.field.input_px,
        room_px=room_px,
        draws_per_epoch=config.cells.per_epoch,
    )


def draw_probability(
    image: Int64[np.ndarray, " cell"], of_images: Float64[np.ndarray, " picture"], image_balance: float
) -> Float64[np.ndarray, " cell"]:
    """How often each cell is drawn; sums to 1.

    Args:
        image: Number of each cell's image.
        of_images: How often each image would be drawn.
        image_balance: 1 draws images so, 0 cells so that each image counts as often as it has cells.
    """
    n_cells = np.bincount(image, minlength=len(of_images))
    weight = of_images[image] * n_cells[image].astype(float) ** -image_balance
    return weight / weight.sum()


def spread_over_organs(organs: Int64[np.ndarray, " cell"], n_most: int, seed: int) -> Int64[np.ndarray, " m"]:
    """At most `n_most` cells drawn by chance, one of each organ before the second of any; in rising order."""
    random = np.random.default_rng(seed)
    shuffled = random.permutation(len(organs))
    by_organ = shuffled[np.argsort(organs[shuffled], kind="stable")]
    counts = np.bincount(organs)
    turn = np.arange(len(organs)) - np.repeat(np.cumsum(counts) - counts, counts)
    # Of the last turn not all fit: chance decides there, not the number of the organ.
    order = np.lexsort((random.random(len(organs)), turn))
    return np.sort(by_organ[order[:n_most]])
