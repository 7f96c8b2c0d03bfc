"""A network's maps over an image of any size, tile by tile and equal to those of the whole.

An image at another scale: read region by region, each region equal to the same part of the whole.
"""

from collections.abc import Callable, Iterable, Iterator

import numpy as np
from jaxtyping import Float32, Num

from organscope.errors import ManifestError
from organscope.inference.prefetch import run_ahead
from organscope.inference.preprocess import ImageNormalizer, require_task
from organscope.io import Image
from organscope.io.source import Level
from organscope.models import Bundle
from organscope.ops.pixel_size import PixelSize
from organscope.ops.resample import Taps, axis_taps, resample
from organscope.ops.tiling import Grid, plan_tiles, read_tile

_MAX_READ_PX = 1 << 22
"""Pixels of the image that are held at a time while a region is made smaller."""

_MAX_PIECE_PX = 1 << 21
"""Pixels of maps that are brought back to the scale of the image at a time."""

Factor = float | tuple[float, float]
"""Pixels of a scaled image for one of the image: the same along both axes, or along y and x."""

_LEVEL_SLACK = 1.001
"""Sizes of pyramid levels are rounded, so one that is meant to be half is a little more or less."""


class _ScaledSource:
    """Another image, made larger or smaller with a triangle filter; in the same pixel type, integers rounded."""

    def __init__(self, image: Image, factor: Factor) -> None:
        """Choose the smallest level of the image that is not coarser than the result.

        Args:
            image: To be scaled; it stays open and is not closed with this source.
            factor: Pixels of the result for one of the image.
        """
        factors = both_axes(factor)
        lengths = image.height_px, image.width_px
        height_px, width_px = (max(1, round(length * along)) for length, along in zip(lengths, factors, strict=True))
        self._image = image
        coarsest = _LEVEL_SLACK / max(factors)
        self._level = max(i for i, level in enumerate(image.levels) if i == 0 or level.downsample <= coarsest)
        base = image.levels[self._level]
        self.levels: tuple[Level, ...] = (Level(height_px, width_px, 1.0),)
        self._rows = axis_taps(base.height_px, self.levels[0].height_px)
        self._columns = axis_taps(base.width_px, self.levels[0].width_px)
        self.n_channels = image.n_channels
        self.dtype = image.dtype
        self.um_per_px: PixelSize | None = None
        if image.um_per_px is not None:
            down, across = (side / along for side, along in zip(image.um_per_px, factors, strict=True))
            self.um_per_px = down, across
        self.pixel_notes: tuple[str, ...] = ()
        self.value_range = image.value_range
        self.channels, self.selection, self.notes = image.channels, image.selection, image.notes

    def read(self, level: int, y_px: int, x_px: int, height_px: int, width_px: int) -> Num[np.ndarray, "y x c"]:
        """A region, from as many rows of the image at a time as `MAX_READ_PX` allows."""
        columns = self._columns.part(x_px, x_px + width_px)
        width = columns.stop - columns.start
        shrink = max(1.0, len(self._image_rows) / len(self._rows.index))
        step = max(1, int(_MAX_READ_PX / width / shrink))
        found = np.empty((height_px, width_px, self.n_channels), self.dtype)
        for start in range(0, height_px, step):
            stop = min(start + step, height_px)
            rows = self._rows.part(y_px + start, y_px + stop)
            found[start:stop] = self._in_dtype(self._resampled(rows, columns))
        return found

    def close(self) -> None:
        """The image belongs to whoever opened it."""

    @property
    def _image_rows(self) -> range:
        return range(self._image.levels[self._level].height_px)

    def _resampled(self, rows: Taps, columns: Taps) -> Float32[np.ndarray, "y x c"]:
        size = rows.stop - rows.start, columns.stop - columns.start
        pixels = self._image.read(rows.start, columns.start, *size, level=self._level)
        return resample(pixels.astype(np.float32), rows, columns, top=rows.start, left=columns.start)

    def _in_dtype(self, pixels: Float32[np.ndarray, "y x c"]) -> Num[np.ndarray, "y x c"]:
        if self.dtype.kind not in "ui":
            return pixels.astype(self.dtype)
        limits = np.iinfo(self.dtype)
        # Float32 cannot hold the greatest 32-bit integers; in float64 the clip is exact.
        return np.clip(np.rint(pixels.astype(np.float64)), limits.min, limits.max).astype(self.dtype)


def both_axes(factor: Factor) -> tuple[float, float]:
    """A factor as one for each axis."""
    return factor if isinstance(factor, tuple) else (factor, factor)


def scale_image(image: Image, factor: Factor) -> Image:
    """The same image with `factor` times as many pixels along its axes, resampled when it is read."""
    return image.with_source(_ScaledSource(image, factor))


def rescale_bands(
    bands: Iterable[Float32[np.ndarray, "rows x k"]], size: tuple[int, int], wanted: tuple[int, int]
) -> Iterator[Float32[np.ndarray, "rows2 x2 k"]]:
    """Bring maps that come from top to bottom to another size, bilinearly, band by band.

    Args:
        bands: Maps in bands of full width.
        size: Height and width of all of them together.
        wanted: Height and width of all that is given back, in bands of full width.
    """
    rows, columns = (axis_taps(n_in, n_out) for n_in, n_out in zip(size, wanted, strict=True))
    most = max(1, _MAX_PIECE_PX // wanted[1])
    held: Float32[np.ndarray, "rows x k"] | None = None
    top = done = 0
    for band in bands:
        held = band if held is None else np.concatenate([held, band])
        complete = int(np.searchsorted(rows.index[:, -1], top + len(held)))
        while done < complete:
            part = rows.part(done, min(done + most, complete))
            yield resample(held, part, columns, top=top)
            done += len(part.index)
        needed = rows.part(done, done + 1).start if done < wanted[0] else top + len(held)
        held, top = held[needed - top :], needed


MAX_TILE_PX = 5 << 19
"""Pixels of a tile: what it costs in memory is measured in `bench/segmentation_memory.py`."""


def predict_maps(
    image: Image, bundle: Bundle, *, factor: Factor = 1.0, max_tile_px: int | None = MAX_TILE_PX
) -> Float32[np.ndarray, "y x k"]:
    """All maps of an image, in memory at once.

    The image is mirrored up to the next multiple of the stride at its right and lower edge. Tiles see the
    true pixels around them as far as the network looks, so the result does not depend on `max_tile_px`.

    Args:
        image: Any size from 1 x 1 px.
        bundle: For segmentation.
        factor: Pixels that the network sees for one of the image, along both axes, or along y and x.
        max_tile_px: Most pixels that go through the network at a time; `None` for all at once.

    Returns:
        One map each of `manifest.segmentation.maps`, in [0, 1], at the resolution of the image.

    Raises:
        UsageError: The bundle is not for segmentation.
        InputError: The image is damaged, or of a kind that cannot be prepared.
    """
    return np.concatenate(list(map_bands(image, bundle, factor=factor, max_tile_px=max_tile_px)))


def map_bands(
    image: Image,
    bundle: Bundle,
    *,
    factor: Factor = 1.0,
    max_tile_px: int | None = MAX_TILE_PX,
    progress: Callable[[float], None] | None = None,
) -> Iterator[Float32[np.ndarray, "rows x k"]]:
    """The maps of an image from top to bottom, in bands of full width.

    At another scale than that of the image the bands are brought back to it bilinearly, as probabilities.

    Args:
        image: As in `predict_maps`.
        bundle: As in `predict_maps`.
        factor: As in `predict_maps`.
        max_tile_px: As in `predict_maps`.
        progress: Told the fraction of the tiles that are done, from whichever thread made them.
    """
    require_task(bundle, "segmentation")
    # Black and white are those of the image itself, whatever scale it is read at, as in training.
    preparation = ImageNormalizer(image, bundle.manifest.preprocessing)
    if both_axes(factor) == (1.0, 1.0):
        yield from _bands(image, bundle, preparation, max_tile_px, progress)
        return
    scaled = scale_image(image, factor)
    size, wanted = (scaled.height_px, scaled.width_px), (image.height_px, image.width_px)
    yield from rescale_bands(_bands(scaled, bundle, preparation, max_tile_px, progress), size, wanted)


def _bands(
    image: Image,
    bundle: Bundle,
    preparation: ImageNormalizer,
    max_tile_px: int | None,
    progress: Callable[[float], None] | None,
) -> Iterator[Float32[np.ndarray, "rows x k"]]:
    """The maps at the resolution of the image that is given, in bands that are one row of tiles high."""
    spec = bundle.manifest.segmentation
    shape = (image.height_px, image.width_px)
    grid = plan_tiles(*shape, stride_px=spec.stride_px, halo_px=spec.halo_px, max_tile_px=max_tile_px)
    tiles = run_ahead(_tiles(image, grid, preparation)) if len(grid) > 1 else _tiles(image, grid, preparation)
    done = 0
    for row in grid.rows:
        band = np.empty((row.core_stop - row.core_start, image.width_px, len(spec.maps)), np.float32)
        for column in grid.columns:
            band[:, column.core] = run_tile(bundle, next(tiles))[row.inner, column.inner]
            done += 1
            if progress is not None:
                progress(done / len(grid))
        yield band
        del band
    if len(grid) > 1:
        # onnxruntime keeps the memory of the last shape: after a tiny one it gives back that of the tiles.
        bundle.run(np.zeros((1, spec.stride_px, spec.stride_px, 3), np.float32))


def _tiles(image: Image, grid: Grid, preparation: ImageNormalizer) -> Iterator[Float32[np.ndarray, "h w 3"]]:
    shape = (image.height_px, image.width_px)
    for row, column in grid:
        yield preparation.network_input(read_tile(image.read, shape, row, column))


def run_tile(bundle: Bundle, tile: Float32[np.ndarray, "h w 3"]) -> Float32[np.ndarray, "h w k"]:
    """The maps of one prepared tile, whose sides are multiples of the stride.

    Raises:
        ManifestError: The network gives other maps than the manifest says.
    """
    maps = bundle.run(tile[None])["maps"]
    expected = (1, *tile.shape[:2], len(bundle.manifest.segmentation.maps))
    if maps.shape != expected:
        raise ManifestError(
            f"Expected maps of shape {expected} from '{bundle.manifest.name}', found {maps.shape}. "
            "Export the bundle again."
        )
    return maps[0]
