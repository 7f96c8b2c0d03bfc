"""Training crops, drawn and augmented, and the fixed crops of the validation."""

from collections.abc import Iterator

import keras
import numpy as np
from skimage.segmentation import relabel_sequential

from organscope.dataset.index import Sample
from organscope.images.labels import IGNORED
from organscope.ops.instances import HEAD_MAPS, Head
from organscope.ops.preprocess import Preprocessing, intensity_range, scale_intensity, standardise, to_rgb
from organscope.predict.prepare import Preparation
from organscope.train.place import Place
from organscope.train.segmentation.augment import vary_appearance
from organscope.train.segmentation.config import SegmentationConfig
from organscope.train.segmentation.squares import compress, cut_square, draw_square, reach_px
from organscope.train.segmentation.targets import training_maps, turn_flow

LARGE_PX = 4_000_000
"""Larger pictures are read by region; to decode others as a whole takes no longer than to learn from a crop."""

MARGIN_PX = 128
"""Read around a region of a large picture, so that the maps of cells at its edge are those of whole cells."""


class Pictures:
    """Pictures and their maps as bytes: small ones whole and kept in memory up to a limit, of large ones regions."""

    def __init__(self, samples: list[Sample], preprocessing: Preprocessing, head: Head, cache_mb: int) -> None:
        self.samples = samples
        self._preprocessing = preprocessing
        self._head = head
        self._room_bytes = cache_mb * 1_000_000
        self._kept: dict[int, tuple[np.ndarray, np.ndarray]] = {}
        self._shapes: dict[int, tuple[int, int]] = {}
        self._black_and_white: dict[int, tuple[float, float]] = {}

    def __getitem__(self, number: int) -> tuple[np.ndarray, np.ndarray]:
        """Picture `number`: uint8 (y, x, 3) after intensity scaling, and uint8 (y, x, k) maps."""
        if number in self._kept:
            return self._kept[number]
        sample = self.samples[number]
        with sample.open() as image:
            pixels = to_rgb(image.visible(image.read_whole()))
            low, high = intensity_range(pixels, self._preprocessing, image.value_range)
        scaled = scale_intensity(pixels, low, high)
        pair = np.round(scaled * 255).astype(np.uint8), training_maps(sample.read_labels(keep_ignored=True), self._head)
        size = pair[0].nbytes + pair[1].nbytes
        if size <= self._room_bytes:
            self._room_bytes -= size
            self._kept[number] = pair
        return pair

    def window(self, number: int, side_px: int, random: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
        """What to cut a square of `side_px` from: a small picture, or of a large one a square drawn anywhere in it."""
        if not self._is_large(number):
            return self[number]
        y, x = (int(random.integers(0, max(0, length - side_px) + 1)) for length in self._shapes[number])
        pixels, labels, inner = self._region(number, y, x, side_px)
        return pixels[inner], training_maps(labels, self._head)[inner]

    def corners(self, number: int, side_px: int) -> Iterator[tuple[np.ndarray, np.ndarray]]:
        """Pixels and int32 labels of the upper left and the lower right square; one where they are the same."""
        if self._is_large(number):
            for rows, columns in corners_of(self._shapes[number], side_px):
                pixels, labels, inner = self._region(number, rows.start, columns.start, side_px)
                yield pixels[inner], labels[inner]
            return
        image, _ = self[number]
        labels = self.samples[number].read_labels(keep_ignored=True)
        for corner in corners_of(image.shape[:2], side_px):
            yield image[corner], labels[corner]

    def _is_large(self, number: int) -> bool:
        if number not in self._shapes:
            with self.samples[number].open() as image:
                self._shapes[number] = (image.height_px, image.width_px)
        height, width = self._shapes[number]
        return height * width > LARGE_PX

    def _region(self, number: int, y: int, x: int, side_px: int) -> tuple[np.ndarray, np.ndarray, tuple[slice, slice]]:
        """Pixels and labels of a square with a margin, and where the square lies in them."""
        starts = [max(0, start - MARGIN_PX) for start in (y, x)]
        stops = [
            min(length, start + side_px + MARGIN_PX) for start, length in zip((y, x), self._shapes[number], strict=True)
        ]
        place = (*starts, *(stop - start for start, stop in zip(starts, stops, strict=True)))
        sample = self.samples[number]
        with sample.open() as image:
            known = self._black_and_white.get(number)
            preparation = Preparation(image, self._preprocessing, black_and_white=known)
            self._black_and_white[number] = preparation.black_and_white
            pixels = preparation.as_bytes(image.read(*place))
        read = sample.read_label_region(*place, keep_ignored=True)
        labels, _, _ = relabel_sequential(np.maximum(read, 0))
        labels[read == IGNORED] = IGNORED
        inner = tuple(slice(at - start, at - start + side_px) for at, start in zip((y, x), starts, strict=True))
        return pixels, labels, inner


def corners_of(shape: tuple[int, int], side_px: int) -> list[tuple[slice, slice]]:
    """The upper left and the lower right square of a picture; one where they are the same."""
    starts = {(0, 0), tuple(max(0, length - side_px) for length in shape)}
    return [(slice(y, y + side_px), slice(x, x + side_px)) for y, x in sorted(starts)]


class TrainingCrops:
    """One epoch of augmented batches; batch `i` of epoch `e` is the same in every run with one seed.

    Of several processes each makes its own part of every batch.
    """

    def __init__(
        self, pictures: Pictures, probability: np.ndarray, config: SegmentationConfig, epoch: int, place: Place
    ) -> None:
        self._pictures = pictures
        self._probability = probability
        self._config = config
        self._epoch = epoch
        self._place = place

    def __iter__(self) -> Iterator[tuple[np.ndarray, np.ndarray]]:
        return (self[step] for step in range(len(self)))

    def __len__(self) -> int:
        return self._config.fit.steps_per_epoch

    def __getitem__(self, step: int) -> tuple[np.ndarray, np.ndarray]:
        """Images and maps, float32 (n, y, x, 3) and (n, y, x, k), or k + 1 where pixels are ignored; see `MapLoss`."""
        fit, amounts = self._config.fit, self._config.augmentation
        random = np.random.default_rng([fit.seed, self._epoch, step])
        chosen = random.choice(len(self._pictures.samples), size=fit.batch, p=self._probability)
        if not self._place.is_alone:
            # All have drawn one batch; squares and changes are each process's own.
            chosen = chosen[self._place.rank :: self._place.world]
            random = np.random.default_rng(self._place.seed(fit.seed, self._epoch, step))
        squares = [draw_square(random, amounts.zoom, amounts.rotate) for _ in chosen]
        crops = [self._crop(number, square, random) for number, square in zip(chosen, squares, strict=True)]
        images = np.stack([image for image, _ in crops]).astype(np.float32) / 255
        maps = _stacked([maps for _, maps in crops])
        images = keras.ops.convert_to_numpy(vary_appearance(images, amounts, random))
        return np.stack([standardise(image, self._config.preprocessing) for image in images]), maps

    def _crop(self, number: int, square: np.ndarray, random: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
        """A crop as bytes, and its maps as float32 with a foreground that is 0 or 1."""
        amounts = self._config.augmentation
        side_px = self._config.fit.crop_px
        shown = self._pictures.window(number, 2 * reach_px(side_px, square, amounts.elastic_px), random)
        on_cell = self._config.fit.on_cells > 0 and random.random() < self._config.fit.on_cells
        image, cut = cut_square(*shown, side_px, square, random, elastic_px=amounts.elastic_px, on_cell=on_cell)
        if amounts.jpeg > 0 and random.random() < amounts.jpeg:
            image = compress(image, int(random.integers(30, 91)))
        maps = cut.astype(np.float32) / 255
        maps[..., 0] = maps[..., 0] > 0.5
        n_maps = len(HEAD_MAPS[self._config.network.head])
        # A pixel that is mixed with an ignored one is not known, either.
        maps[..., n_maps:] = maps[..., n_maps:] >= 1
        if self._config.network.head == "flow":
            maps[..., :n_maps] = turn_flow(maps[..., :n_maps], square)
        return image, maps


def _stacked(maps: list[np.ndarray]) -> np.ndarray:
    """Maps of a batch; where any crop says which of its pixels are known, the others know all of theirs."""
    most = max(each.shape[2] for each in maps)
    return np.stack([np.pad(each, [(0, 0), (0, 0), (0, most - each.shape[2])], constant_values=1) for each in maps])
