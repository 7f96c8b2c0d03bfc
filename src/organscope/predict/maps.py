"""A network's maps over an image of any size, tile by tile and equal to those of the whole."""

from collections.abc import Callable, Iterator

import numpy as np
from jaxtyping import Float32

from organscope.bundle import Bundle
from organscope.errors import ManifestError
from organscope.images import Image
from organscope.ops.tiles import Grid, plan_tiles, read_tile
from organscope.predict.ahead import run_ahead
from organscope.predict.prepare import Preparation, require_task
from organscope.predict.scaled import Factor, both_axes, rescale_bands, scale_image

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
        One map each of `manifest.spec.maps`, in [0, 1], at the resolution of the image.

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
    preparation = Preparation(image, bundle.manifest.preprocessing)
    if both_axes(factor) == (1.0, 1.0):
        yield from _bands(image, bundle, preparation, max_tile_px, progress)
        return
    scaled = scale_image(image, factor)
    size, wanted = (scaled.height_px, scaled.width_px), (image.height_px, image.width_px)
    yield from rescale_bands(_bands(scaled, bundle, preparation, max_tile_px, progress), size, wanted)


def _bands(
    image: Image,
    bundle: Bundle,
    preparation: Preparation,
    max_tile_px: int | None,
    progress: Callable[[float], None] | None,
) -> Iterator[Float32[np.ndarray, "rows x k"]]:
    """The maps at the resolution of the image that is given, in bands that are one row of tiles high."""
    spec = bundle.manifest.spec
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


def _tiles(image: Image, grid: Grid, preparation: Preparation) -> Iterator[Float32[np.ndarray, "h w 3"]]:
    shape = (image.height_px, image.width_px)
    for row, column in grid:
        yield preparation.network_input(read_tile(image.read, shape, row, column))


def run_tile(bundle: Bundle, tile: Float32[np.ndarray, "h w 3"]) -> Float32[np.ndarray, "h w k"]:
    """The maps of one prepared tile, whose sides are multiples of the stride.

    Raises:
        ManifestError: The network gives other maps than the manifest says.
    """
    maps = bundle.run(tile[None])["maps"]
    expected = (1, *tile.shape[:2], len(bundle.manifest.spec.maps))
    if maps.shape != expected:
        raise ManifestError(
            f"Expected maps of shape {expected} from '{bundle.manifest.name}', found {maps.shape}. "
            "Export the bundle again."
        )
    return maps[0]
