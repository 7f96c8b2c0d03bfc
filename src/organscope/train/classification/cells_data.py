"""Training cells: pictures decoded once, crops cut around the centroids of labelled cells."""

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace

import numpy as np
from jaxtyping import Float64, Int64, UInt8

from organscope.dataset.index import Sample
from organscope.errors import AnnotationError, DatasetError
from organscope.ops.crops import cell_centres, crop_starts
from organscope.ops.preprocess import Preprocessing, gray_range
from organscope.ops.resize import resize_field
from organscope.ops.tiles import Span, mirror_indices, read_tile
from organscope.predict.prepare import Preparation
from organscope.train.classification.config import ClassificationConfig
from organscope.train.classification.data import DECODING_THREADS


@dataclass
class _Picture:
    """A picture with a mirrored margin, or how to prepare a part of it again; and its cells."""

    centres: Float64[np.ndarray, "n 2"]
    pixels: UInt8[np.ndarray, "y x 3"] | None
    preparation: Preparation
    gray_range: tuple[float, float]


class MarginPictures:
    """Pictures as bytes, mirrored beyond their edges, from which squares around any point inside are cut.

    A picture is kept decoded until `cache_mb` is used up; of the others only the asked square is read each time.

    Attributes:
        samples: In order.
        centres: Row and column of the cells of each.
        gray_range: What would be black and white in a gray copy of each, of 255.
        n_cached: Pictures that are kept in memory.
    """

    def __init__(
        self, samples: Sequence[Sample], margin_px: int, preprocessing: Preprocessing, cache_mb: float
    ) -> None:
        self.samples = list(samples)
        self._margin_px = margin_px
        self._preprocessing = preprocessing
        self._free_bytes = cache_mb * 2**20
        with ThreadPoolExecutor(DECODING_THREADS) as threads:
            self._pictures = [self._keep(picture) for picture in threads.map(self._read, self.samples)]
        self.centres = [picture.centres for picture in self._pictures]
        self.gray_range = [picture.gray_range for picture in self._pictures]
        self.n_cached = sum(picture.pixels is not None for picture in self._pictures)

    def square(self, number: int, centre: Float64[np.ndarray, " 2"], side_px: int) -> UInt8[np.ndarray, "side side 3"]:
        """The square of a picture whose middle is nearest to a point; at most twice the margin wide."""
        picture = self._pictures[number]
        y, x = (int(start) for start in crop_starts(centre[None], side_px)[0])
        if picture.pixels is not None:
            top, left = y + self._margin_px, x + self._margin_px
            return picture.pixels[top : top + side_px, left : left + side_px]
        rows, columns = (Span(start, start + side_px, start, start + side_px) for start in (y, x))
        with self.samples[number].open() as image:
            region = read_tile(image.read, (image.height_px, image.width_px), rows, columns)
        return picture.preparation.as_bytes(region)

    def _read(self, sample: Sample) -> _Picture:
        labels = sample.read_labels()
        with sample.open() as image:
            preparation = Preparation(image, self._preprocessing)
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
        return _Picture(cell_centres(labels), mirrored, preparation, gray_range(pixels))

    def _keep(self, picture: _Picture) -> _Picture:
        if picture.pixels.nbytes > self._free_bytes:
            picture.pixels = None
        else:
            self._free_bytes -= picture.pixels.nbytes
        return picture


@dataclass(frozen=True)
class CellCrops:
    """Cells as square crops around their centroids, scaled to [0, 255]; stands where `Pictures` does for images.

    Attributes:
        pictures: What the crops are cut from.
        picture: Number of each cell's picture.
        centres: Row and column of each cell's centroid.
        field_px: Side of a crop in pixels of the picture.
        input_px: A crop is resized to this side.
        room_px: Side of the square around a training crop, in which it is turned and shifted.
        draws_per_epoch: Crops that are drawn in one epoch.
    """

    pictures: MarginPictures
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
        """What would be black and white in a gray copy of the picture of a cell, of 255."""
        return self.pictures.gray_range[int(self.picture[number])]

    def fields(self, number: int) -> UInt8[np.ndarray, "1 input input 3"]:
        """The crop of a cell as prediction sees it."""
        square = self.pictures.square(int(self.picture[number]), self.centres[number], self.field_px)
        return resize_field(square, self.input_px, self.input_px)[None]

    def chosen(self, cells: Int64[np.ndarray, " m"]) -> "CellCrops":
        """Some of the cells, cut from the same pictures."""
        return replace(self, picture=self.picture[cells], centres=self.centres[cells])


def read_cells(samples: Sequence[Sample], config: ClassificationConfig, cache_mb: float) -> CellCrops:
    """Decode the pictures of labelled samples and find their cells.

    Raises:
        InputError: A picture or its labels cannot be read, or do not fit.
        DatasetError: There is no cell.
    """
    room_px = round(config.field.field_px * config.cells.room)
    pictures = MarginPictures(samples, room_px // 2 + 1, config.preprocessing, cache_mb)
    picture = np.repeat(np.arange(len(samples)), [len(centres) for centres in pictures.centres])
    if not len(picture):
        raise DatasetError(
            f"Expected labelled cells in {len(samples)} pictures, found none. Check the labels with: "
            "organscope data check."
        )
    return CellCrops(
        pictures=pictures,
        picture=picture,
        centres=np.concatenate(pictures.centres),
        field_px=config.field.field_px,
        input_px=config.field.input_px,
        room_px=room_px,
        draws_per_epoch=config.cells.per_epoch,
    )


def draw_probability(
    picture: Int64[np.ndarray, " cell"], of_pictures: Float64[np.ndarray, " picture"], picture_balance: float
) -> Float64[np.ndarray, " cell"]:
    """How often each cell is drawn; sums to 1.

    Args:
        picture: Number of each cell's picture.
        of_pictures: How often each picture would be drawn.
        picture_balance: 1 draws pictures so, 0 cells so that each picture counts as often as it has cells.
    """
    n_cells = np.bincount(picture, minlength=len(of_pictures))
    weight = of_pictures[picture] * n_cells[picture].astype(float) ** -picture_balance
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
