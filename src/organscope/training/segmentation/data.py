"""Training crops, drawn and augmented, and the fixed crops of the validation.

Turned, mirrored, scaled and bent squares cut out of an image.

From labeled cells to the maps a network learns.
"""

import io
from collections.abc import Iterator

import keras
import numpy as np
from jaxtyping import Float32, Integer, UInt8
from PIL import Image
from scipy import ndimage
from skimage.segmentation import relabel_sequential

from organscope.data.index import Sample
from organscope.inference.preprocess import ImageNormalizer
from organscope.io.labels import IGNORED
from organscope.ops.instances import HEAD_MAPS, Head
from organscope.ops.intensity import Preprocessing, intensity_range, scale_intensity, standardize, to_rgb
from organscope.training.origin import Place
from organscope.training.segmentation.augment import vary_appearance
from organscope.training.segmentation.config import SegmentationConfig

_Affine = tuple[float, ...]
_Mesh = list[tuple[tuple[int, ...], tuple[float, ...]]]

_NODES, _BOXES = 4, 8
"""The displacement is drawn at 4 x 4 nodes and followed in 8 x 8 boxes, smoothly between."""

_FARTHEST = 2.5
"""Displacements are kept within so many standard deviations, so that the image to cut from is bounded."""


def draw_square(random: np.random.Generator, zoom: float, rotate: bool) -> np.ndarray:
    """Draw the 2 x 2 matrix that leads from a crop's pixels (x, y) to the image's, about the crop's center."""
    scale = zoom ** random.uniform(-1, 1)
    angle = random.uniform(0, 2 * np.pi) if rotate else 0.0
    mirror = -1.0 if rotate and random.random() < 0.5 else 1.0
    cosine, sine = np.cos(angle) / scale, np.sin(angle) / scale
    return np.array([[cosine * mirror, -sine], [sine * mirror, cosine]])


def _reach_px(side_px: int, matrix: np.ndarray, elastic_px: float) -> int:
    """How far from the center of a square what it shows may lie in the image, to either side."""
    return int(np.ceil(np.abs(matrix).sum(axis=1).max() * side_px / 2 + elastic_px * _FARTHEST)) + 1


def cut_square(
    image: np.ndarray,
    maps: np.ndarray,
    side_px: int,
    matrix: np.ndarray,
    random: np.random.Generator,
    *,
    elastic_px: float = 0.0,
    on_cell: bool = False,
) -> tuple[np.ndarray, np.ndarray]:
    """Cut a square at a random place, interpolated bilinearly; beyond the image follows its mirror image.

    Args:
        image: uint8 (y, x, 3).
        maps: uint8 (y, x, k), cut at the same place. Where k is 4 or more, the third and fourth are the y and x
            components of directions; they are mirrored with the image beyond its edge, not turned with the square.
        side_px: Side of the result.
        matrix: From the result's pixels to the image's, see `draw_square`.
        random: Draws the place, and the deformation.
        elastic_px: Standard deviation of the deformation, in pixels of the image.
        on_cell: Lie about a cell drawn by its area, where there is one; `maps` then begin with the foreground.

    Returns:
        uint8 (side, side, 3) and (side, side, k).
    """
    reach = _reach_px(side_px, matrix, elastic_px)
    image, maps = _grow(image, 2 * reach), _grow_maps(maps, 2 * reach)
    place = _place_on_cell if on_cell and maps[..., 0].any() else _place_anywhere
    y, x = place(maps, reach, random)
    window = slice(y, y + 2 * reach), slice(x, x + 2 * reach)
    center = np.full(2, reach) - matrix @ np.full(2, side_px / 2)
    way: _Affine | _Mesh = (*matrix[0], center[0], *matrix[1], center[1])
    if elastic_px > 0:
        way = _bend(matrix, center, side_px, elastic_px, random)
    channels = [maps[window][:, :, k] for k in range(maps.shape[2])]
    return _warp(image[window], side_px, way), np.stack([_warp(c, side_px, way) for c in channels], axis=2)


def compress(pixels: np.ndarray, quality: int) -> np.ndarray:
    """What JPEG compression of quality 1 to 95 leaves of a crop, uint8 (y, x, 3)."""
    content = io.BytesIO()
    Image.fromarray(pixels).save(content, "JPEG", quality=quality)
    return np.asarray(Image.open(content))


def _bend(
    matrix: np.ndarray, center: np.ndarray, side_px: int, elastic_px: float, random: np.random.Generator
) -> _Mesh:
    """Boxes of the crop and the corners in the image that each is cut from (Simard et al. 2003, on a coarse grid)."""
    drawn = np.clip(random.standard_normal((2, _NODES, _NODES)), -_FARTHEST, _FARTHEST)
    fine = [ndimage.zoom(axis, (_BOXES + 1) / _NODES, order=3, mode="nearest") for axis in drawn]
    moved = np.clip(fine, -_FARTHEST, _FARTHEST) * elastic_px
    edges = np.round(np.linspace(0, side_px, _BOXES + 1)).astype(int)
    grid = np.stack(np.meshgrid(edges, edges))
    source = np.tensordot(matrix, grid, axes=1) + center[:, None, None] + moved
    mesh = []
    for i in range(_BOXES):
        for j in range(_BOXES):
            corners = ((i, j), (i + 1, j), (i + 1, j + 1), (i, j + 1))
            box = (int(edges[j]), int(edges[i]), int(edges[j + 1]), int(edges[i + 1]))
            mesh.append((box, tuple(float(v) for row, column in corners for v in source[:, row, column])))
    return mesh


def _place_anywhere(maps: np.ndarray, reach: int, random: np.random.Generator) -> tuple[int, int]:
    return tuple(int(random.integers(0, length - 2 * reach + 1)) for length in maps.shape[:2])


def _place_on_cell(maps: np.ndarray, reach: int, random: np.random.Generator) -> tuple[int, int]:
    """The corner of a window whose middle half holds a pixel of a cell, as far as the image allows."""
    inside = np.flatnonzero(maps[..., 0])
    pixel = divmod(int(inside[random.integers(len(inside))]), maps.shape[1])
    shift = random.integers(-reach // 2, reach // 2 + 1, 2)
    corner = np.array(pixel) - reach + shift
    return tuple(int(v) for v in np.clip(corner, 0, np.array(maps.shape[:2]) - 2 * reach))


def _missing(shape: tuple[int, ...], side_px: int) -> list[tuple[int, int]]:
    return [(side - side // 2, side // 2) for side in (max(0, side_px - n) for n in shape[:2])]


def _grow(pixels: np.ndarray, side_px: int) -> np.ndarray:
    missing = _missing(pixels.shape, side_px)
    return np.pad(pixels, [*missing, (0, 0)], mode="symmetric") if np.any(missing) else pixels


def _grow_maps(maps: np.ndarray, side_px: int) -> np.ndarray:
    grown = _grow(maps, side_px)
    if maps.shape[2] >= 4 and grown is not maps:
        for axis, (before, after) in enumerate(_missing(maps.shape, side_px)):
            length = maps.shape[axis]
            mirrored = np.arange(-before, length + after) // length % 2 == 1
            part = (mirrored, slice(None), 2) if axis == 0 else (slice(None), mirrored, 3)
            grown[part] = 255 - grown[part]
    return grown


def _warp(pixels: np.ndarray, side_px: int, way: _Affine | _Mesh) -> np.ndarray:
    image = Image.fromarray(np.ascontiguousarray(pixels))
    kind = Image.Transform.MESH if isinstance(way, list) else Image.Transform.AFFINE
    return np.asarray(image.transform((side_px, side_px), kind, way, Image.Resampling.BILINEAR))


def training_maps(labels: Integer[np.ndarray, "y x"], head: Head) -> UInt8[np.ndarray, "y x k"]:
    """Foreground and the head's maps (`organscope.ops.instances.HEAD_MAPS`), as 0 ... 255 for 0 ... 1.

    `distance` is the distance to the cell's edge divided by its maximum in that cell, so it does not depend on
    the cell's size. `boundary` marks pixels within 2 px of another cell. `flow_y` and `flow_x` are the components
    of the unit vector from a pixel to the centroid of its cell, from 0 (-1) over 0.5 to 1 (+1).

    Where pixels are ignored (labels of -1), one more map says which are known: 1 there, 0 where nothing is learned.
    """
    known = labels >= 0
    labels = np.maximum(labels, 0)
    maps = [labels > 0]
    if head == "boundary":
        maps.append(_between_cells(labels))
    else:
        maps.append(_height(labels))
    if head == "flow":
        maps += list((1 + _to_centroid(labels)) / 2)
    if not known.all():
        maps.append(known)
    return np.round(np.stack(maps, axis=2) * 255).astype(np.uint8)


def turn_flow(maps: Float32[np.ndarray, "y x 4"], matrix: np.ndarray) -> Float32[np.ndarray, "y x 4"]:
    """Turn the directions of a crop that was cut turned, mirrored and scaled.

    Args:
        maps: Of the head `flow`, cut with `matrix`, but with directions as they were in the image.
        matrix: From the crop's (x, y) to the image's, see `draw_square`.
    """
    back = np.linalg.inv(matrix)
    back /= np.sqrt(abs(np.linalg.det(back)))
    flow_y, flow_x = 2 * maps[..., 2] - 1, 2 * maps[..., 3] - 1
    turned = maps.copy()
    turned[..., 2] = (1 + back[1, 0] * flow_x + back[1, 1] * flow_y) / 2
    turned[..., 3] = (1 + back[0, 0] * flow_x + back[0, 1] * flow_y) / 2
    return turned


def _height(labels: np.ndarray) -> np.ndarray:
    padded = np.pad(labels, 1, mode="edge")
    inner = padded[1:-1, 1:-1]
    alone = inner > 0
    for dy, dx in ((0, 1), (2, 1), (1, 0), (1, 2)):
        alone &= padded[dy : dy + labels.shape[0], dx : dx + labels.shape[1]] == inner
    distance = np.where(labels > 0, ndimage.distance_transform_edt(alone) + 1, 0)
    peak = np.ones(int(labels.max()) + 1)
    np.maximum.at(peak, labels.reshape(-1), distance.reshape(-1))
    return distance / peak[labels]


def _between_cells(labels: np.ndarray) -> np.ndarray:
    size = 5
    largest = ndimage.maximum_filter(labels, size=size)
    unlabeled = np.iinfo(np.int32).max
    smallest = ndimage.minimum_filter(np.where(labels > 0, labels, unlabeled).astype(np.int32), size=size)
    return ((largest != smallest) & (largest > 0) & (smallest < unlabeled)).astype(np.float64)


def _to_centroid(labels: np.ndarray) -> np.ndarray:
    """Unit vectors (2, y, x) from every pixel to the centroid of its cell; 0 outside cells and at the centroid."""
    inside = np.flatnonzero(labels)
    cell = labels.reshape(-1)[inside]
    place = np.stack(np.unravel_index(inside, labels.shape)).astype(float)
    area = np.maximum(np.bincount(cell, minlength=1), 1)
    centroid = np.stack([np.bincount(cell, weights=axis, minlength=1) / area for axis in place])
    towards = centroid[:, cell] - place
    length = np.hypot(*towards)
    flow = np.zeros((2, labels.size))
    flow[:, inside] = np.where(length > 0.5, towards / np.maximum(length, 0.5), 0)
    return flow.reshape(2, *labels.shape)


LARGE_PX = 4_000_000
"""Larger images are read by region; to decode others as a whole takes no longer than to learn from a crop."""

_MARGIN_PX = 128
"""Read around a region of a large image, so that the maps of cells at its edge are those of whole cells."""


class Images:
    """Images and their maps as bytes: small ones whole and kept in memory up to a limit, of large ones regions."""

    def __init__(self, samples: list[Sample], preprocessing: Preprocessing, head: Head, cache_mb: int) -> None:
        self.samples = samples
        self._preprocessing = preprocessing
        self._head = head
        self._room_bytes = cache_mb * 1_000_000
        self._kept: dict[int, tuple[np.ndarray, np.ndarray]] = {}
        self._shapes: dict[int, tuple[int, int]] = {}
        self._black_and_white: dict[int, tuple[float, float]] = {}

    def __getitem__(self, number: int) -> tuple[np.ndarray, np.ndarray]:
        """Image `number`: uint8 (y, x, 3) after intensity scaling, and uint8 (y, x, k) maps."""
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
        """What to cut a square of `side_px` from: a small image, or of a large one a square drawn anywhere in it."""
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
        starts = [max(0, start - _MARGIN_PX) for start in (y, x)]
        stops = [
            min(length, start + side_px + _MARGIN_PX)
            for start, length in zip((y, x), self._shapes[number], strict=True)
        ]
        place = (*starts, *(stop - start for start, stop in zip(starts, stops, strict=True)))
        sample = self.samples[number]
        with sample.open() as image:
            known = self._black_and_white.get(number)
            preparation = ImageNormalizer(image, self._preprocessing, black_and_white=known)
            self._black_and_white[number] = preparation.black_and_white
            pixels = preparation.as_bytes(image.read(*place))
        read = sample.read_label_region(*place, keep_ignored=True)
        labels, _, _ = relabel_sequential(np.maximum(read, 0))
        labels[read == IGNORED] = IGNORED
        inner = tuple(slice(at - start, at - start + side_px) for at, start in zip((y, x), starts, strict=True))
        return pixels, labels, inner


def corners_of(shape: tuple[int, int], side_px: int) -> list[tuple[slice, slice]]:
    """The upper left and the lower right square of an image; one where they are the same."""
    starts = {(0, 0), tuple(max(0, length - side_px) for length in shape)}
    return [(slice(y, y + side_px), slice(x, x + side_px)) for y, x in sorted(starts)]


class TrainingCrops:
    """One epoch of augmented batches; batch `i` of epoch `e` is the same in every run with one seed.

    Of several processes each makes its own part of every batch.
    """

    def __init__(
        self, pictures: Images, probability: np.ndarray, config: SegmentationConfig, epoch: int, place: Place
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
        return np.stack([standardize(image, self._config.preprocessing) for image in images]), maps

    def _crop(self, number: int, square: np.ndarray, random: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
        """A crop as bytes, and its maps as float32 with a foreground that is 0 or 1."""
        amounts = self._config.augmentation
        side_px = self._config.fit.crop_px
        shown = self._pictures.window(number, 2 * _reach_px(side_px, square, amounts.elastic_px), random)
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
