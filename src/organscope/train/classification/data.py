"""Training pictures: decoded once where memory allows, cut into fields at the network's scale, drawn in batches."""

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Float64, Int64, UInt8
from torch import Tensor

from organscope.dataset.index import Sample
from organscope.images import Image
from organscope.ops.fields import field_starts
from organscope.ops.preprocess import Preprocessing, gray_range
from organscope.ops.resize import resize_field
from organscope.ops.tiles import mirror_indices
from organscope.predict.prepare import Preparation
from organscope.train.classification.config import FieldConfig
from organscope.train.place import Place

#: Decoding releases the interpreter, so a few threads fill the cache faster.
DECODING_THREADS = 4

MAX_KEPT_PX = 64_000_000
"""Larger pictures are never decoded as a whole."""

GRAY_SAMPLE_PX = 1 << 20
"""Pixels that tell the gray range of a picture that is not kept."""


@dataclass
class _Picture:
    """What is known of a picture: its size, its pixels at the network's scale if kept, else its black and white."""

    height_px: int
    width_px: int
    pixels: UInt8[np.ndarray, "y x 3"] | None = None
    black_and_white: tuple[float, float] | None = None
    gray_range: tuple[float, float] | None = None


class Pictures:
    """Samples as square fields of `field_px`, scaled to [0, 255] and resized to `input_px`.

    A picture is kept decoded, at the network's scale, until `cache_mb` is used up; beyond that only the asked
    region is read each time, so that memory does not grow with the set. A picture smaller than a field is mirrored at
    its edges.

    Attributes:
        samples: In order.
        n_cached: Pictures that are kept in memory.
    """

    def __init__(
        self, samples: list[Sample], field: FieldConfig, preprocessing: Preprocessing, cache_mb: float
    ) -> None:
        self.samples = samples
        self._field = field
        self._preprocessing = preprocessing
        with ThreadPoolExecutor(DECODING_THREADS) as threads:
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
        """Fields that are drawn in one epoch: about one a picture."""
        return len(self.samples)

    def random_field(self, number: int, random: np.random.Generator) -> UInt8[np.ndarray, "input input 3"]:
        """One field of a picture, anywhere in it."""
        picture = self._pictures[number]
        room_y = max(0, picture.height_px - self._field.field_px)
        room_x = max(0, picture.width_px - self._field.field_px)
        return self._cut(number, random.integers(room_y + 1), random.integers(room_x + 1))

    def gray_range(self, number: int) -> tuple[float, float]:
        """What would be black and white in a gray copy of a picture, of 255."""
        picture = self._pictures[number]
        if picture.gray_range is None:
            with self.samples[number].open() as image:
                picture.gray_range = gray_range(
                    Preparation(image, self._preprocessing).as_bytes(image.sample(GRAY_SAMPLE_PX))
                )
        return picture.gray_range

    def fields(self, number: int) -> UInt8[np.ndarray, "n input input 3"]:
        """All fields of a picture on an even grid that covers it."""
        picture = self._pictures[number]
        rows = field_starts(picture.height_px, self._field.field_px)
        columns = field_starts(picture.width_px, self._field.field_px)
        return np.stack([self._cut(number, y, x) for y in rows for x in columns])

    def _fitting(self, free_bytes: float) -> list[int]:
        """Numbers of the pictures that are kept: in order, each that still fits."""
        kept = []
        for number, picture in enumerate(self._pictures):
            height, width = self._scaled_shape(picture)
            if picture.height_px * picture.width_px <= MAX_KEPT_PX and 3 * height * width <= free_bytes:
                free_bytes -= 3 * height * width
                kept.append(number)
        return kept

    def _scaled_shape(self, picture: _Picture) -> tuple[int, int]:
        side, input_px = self._field.field_px, self._field.input_px
        lengths = (max(side, picture.height_px), max(side, picture.width_px))
        return round(lengths[0] * input_px / side), round(lengths[1] * input_px / side)

    def _read(self, number: int) -> UInt8[np.ndarray, "y x 3"]:
        """A whole picture at the network's scale."""
        picture, side = self._pictures[number], self._field.field_px
        with self.samples[number].open() as image:
            pixels = Preparation(image, self._preprocessing).as_bytes(image.read_whole())
        pixels = _mirrored(pixels, max(side, picture.height_px), max(side, picture.width_px))
        return resize_field(pixels, *self._scaled_shape(picture))

    def _cut(self, number: int, y_px: int, x_px: int) -> UInt8[np.ndarray, "input input 3"]:
        picture, side, input_px = self._pictures[number], self._field.field_px, self._field.input_px
        if picture.pixels is None:
            with self.samples[number].open() as image:
                preparation = Preparation(image, self._preprocessing, black_and_white=picture.black_and_white)
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
        Fields (uint8 n 3 y x), the gray range of the picture of each (float32 n 2, of 255) and numbers of organs
        (int64 n), always full batches.
    """

    def __init__(
        self,
        pictures: Pictures,
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
        self._order = draw_pictures(probability, len(self) * batch, self._random)
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
    """Every field of every picture, in order; of several processes each has its own pictures.

    Yields:
        Fields (uint8 n 3 y x) and the number of the picture that each was cut from (int64 n).
    """

    def __init__(self, pictures: Pictures, batch: int, place: Place) -> None:
        self._pictures = pictures
        self._batch = batch
        # With fewer pictures than processes some are seen twice, which changes no mean; none has nothing to do.
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


def draw_pictures(
    probability: Float64[np.ndarray, " picture"], n_draws: int, random: np.random.Generator
) -> Int64[np.ndarray, " draw"]:
    """Draw pictures by probability, in random order, each as often as is expected give or take one.

    Systematic sampling (Madow 1949): evenly spaced points on the cumulated probabilities of the shuffled
    pictures. Independent draws would leave a third of the pictures out of every epoch.
    """
    shuffled = random.permutation(len(probability))
    cumulated = np.cumsum(probability[shuffled])
    points = (np.arange(n_draws) + random.random()) / n_draws * cumulated[-1]
    places = np.minimum(np.searchsorted(cumulated, points, side="right"), len(shuffled) - 1)
    return random.permutation(shuffled[places])


def channels_first(fields: UInt8[np.ndarray, "n y x 3"]) -> Tensor:
    """uint8 n 3 y x, still stored with the colours last (`torch.channels_last`)."""
    return torch.from_numpy(np.ascontiguousarray(fields)).permute(0, 3, 1, 2)


def _size_of(sample: Sample) -> _Picture:
    with sample.open() as image:
        return _Picture(image.height_px, image.width_px)


def _read_region(image: Image, y_px: int, x_px: int, side: int) -> np.ndarray:
    return image.read(y_px, x_px, min(side, image.height_px - y_px), min(side, image.width_px - x_px))


def _mirrored(pixels: np.ndarray, height_px: int, width_px: int) -> np.ndarray:
    """Mirror a picture at its far edges until it has the size."""
    height, width = pixels.shape[:2]
    if (height, width) == (height_px, width_px):
        return pixels
    return pixels[mirror_indices(0, height_px, height)][:, mirror_indices(0, width_px, width)]
