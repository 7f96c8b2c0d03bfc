"""Training crops, drawn and augmented, and the fixed crops of the validation."""

import keras
import numpy as np

from organscope.dataset.index import Sample
from organscope.ops.instances import Head
from organscope.ops.preprocess import Preprocessing, intensity_range, scale_intensity, standardise, to_rgb
from organscope.train.segmentation.augment import vary_appearance
from organscope.train.segmentation.config import SegmentationConfig
from organscope.train.segmentation.squares import compress, cut_square, draw_square
from organscope.train.segmentation.targets import training_maps, turn_flow


class Pictures:
    """Decoded pictures and their maps as bytes, kept in memory up to a limit."""

    def __init__(self, samples: list[Sample], preprocessing: Preprocessing, head: Head, cache_mb: int) -> None:
        self.samples = samples
        self._preprocessing = preprocessing
        self._head = head
        self._room_bytes = cache_mb * 1_000_000
        self._kept: dict[int, tuple[np.ndarray, np.ndarray]] = {}

    def __getitem__(self, number: int) -> tuple[np.ndarray, np.ndarray]:
        """Picture `number`: uint8 (y, x, 3) after intensity scaling, and uint8 (y, x, k) maps."""
        if number in self._kept:
            return self._kept[number]
        sample = self.samples[number]
        with sample.open() as image:
            pixels = to_rgb(image.read_whole())
            low, high = intensity_range(pixels, self._preprocessing, image.value_range)
        scaled = scale_intensity(pixels, low, high)
        pair = np.round(scaled * 255).astype(np.uint8), training_maps(sample.read_labels(), self._head)
        size = pair[0].nbytes + pair[1].nbytes
        if size <= self._room_bytes:
            self._room_bytes -= size
            self._kept[number] = pair
        return pair


class TrainingCrops(keras.utils.PyDataset):
    """One epoch of augmented batches; batch `i` of epoch `e` is the same in every run with one seed."""

    def __init__(self, pictures: Pictures, probability: np.ndarray, config: SegmentationConfig, epoch: int) -> None:
        super().__init__(workers=1, use_multiprocessing=False, max_queue_size=4)
        self._pictures = pictures
        self._probability = probability
        self._config = config
        self._epoch = epoch

    def __len__(self) -> int:
        return self._config.fit.steps_per_epoch

    def __getitem__(self, step: int) -> tuple[np.ndarray, np.ndarray]:
        """Images and maps, float32 (n, y, x, 3) and (n, y, x, k)."""
        fit, amounts = self._config.fit, self._config.augmentation
        random = np.random.default_rng([fit.seed, self._epoch, step])
        chosen = random.choice(len(self._pictures.samples), size=fit.batch, p=self._probability)
        squares = [draw_square(random, amounts.zoom, amounts.rotate) for _ in chosen]
        crops = [self._crop(number, square, random) for number, square in zip(chosen, squares, strict=True)]
        images = np.stack([image for image, _ in crops]).astype(np.float32) / 255
        maps = np.stack([maps for _, maps in crops])
        images = keras.ops.convert_to_numpy(vary_appearance(images, amounts, random))
        return np.stack([standardise(image, self._config.preprocessing) for image in images]), maps

    def _crop(self, number: int, square: np.ndarray, random: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
        """A crop as bytes, and its maps as float32 with a foreground that is 0 or 1."""
        amounts = self._config.augmentation
        image, cut = cut_square(
            *self._pictures[number], self._config.fit.crop_px, square, random, elastic_px=amounts.elastic_px
        )
        if amounts.jpeg > 0 and random.random() < amounts.jpeg:
            image = compress(image, int(random.integers(30, 91)))
        maps = cut.astype(np.float32) / 255
        maps[..., 0] = maps[..., 0] > 0.5
        return image, turn_flow(maps, square) if self._config.network.head == "flow" else maps
