"""Large slides for measurements: real tissue, mirrored into mosaics, as tiled JPEG pyramids.

Every picture becomes a block with its three mirror images, so that tissue goes on over their seams; blocks of several
pictures lie side by side. Tiles that are equal are encoded once, so that a gigapixel takes seconds.
"""

from collections.abc import Iterator, Sequence
from functools import lru_cache
from pathlib import Path

import imagecodecs
import numpy as np
import tifffile

TILE_PX = 256
SHRINK = 4
QUALITY = 90
BLOCK_PX = 1024
"""Side of a picture with its mirror images, whose own side is half of it."""


def tissue_pictures(folder: Path | None, n: int) -> list[np.ndarray]:
    """Pictures of 512 x 512 RGB px: from a folder, evenly chosen by name; else the human colon of scikit-image."""
    if folder is None or not folder.is_dir():
        from skimage.data import immunohistochemistry

        return [immunohistochemistry()]
    paths = sorted(path for path in folder.rglob("*") if path.suffix.lower() in (".jpg", ".png", ".tif"))
    chosen = [paths[i] for i in np.unique(np.linspace(0, len(paths) - 1, n, dtype=int))]
    return [read_picture(path) for path in chosen]


def read_picture(path: Path) -> np.ndarray:
    """One picture."""
    from PIL import Image as Picture

    with Picture.open(path) as picture:
        return np.asarray(picture.convert("RGB").crop((0, 0, BLOCK_PX // 2, BLOCK_PX // 2)))


def write_slide(path: Path, side_px: int, pictures: Sequence[np.ndarray], um_per_px: float | None = None) -> None:
    """A square slide, tile by tile; each level has a quarter of the side of the one before."""
    blocks = [mirrored(picture) for picture in pictures]
    n_levels = 1
    while side_px // SHRINK**n_levels > TILE_PX:
        n_levels += 1
    resolution = {} if um_per_px is None else {"resolution": 2 * (1e4 / um_per_px,), "resolutionunit": "CENTIMETER"}
    options = {"dtype": np.uint8, "tile": (TILE_PX, TILE_PX), "photometric": "ycbcr", "subsampling": (1, 1)}
    options |= {"compression": "jpeg", "metadata": None, **resolution}
    with tifffile.TiffWriter(path, bigtiff=True) as writer:
        for level in range(n_levels):
            side = -(-side_px // SHRINK**level)
            of_level = {"subifds": n_levels - 1} if level == 0 else {"subfiletype": 1}
            shrunk = [block_mean(block, SHRINK**level) for block in blocks]
            writer.write(encoded_tiles(shrunk, side), shape=(side, side, 3), **options, **of_level)


def mirrored(picture: np.ndarray) -> np.ndarray:
    """A picture with its mirror images to the right and below."""
    wide = np.concatenate([picture, picture[:, ::-1]], axis=1)
    return np.concatenate([wide, wide[::-1]])


def block_mean(pixels: np.ndarray, step: int) -> np.ndarray:
    """Smaller by a whole number; at least one pixel."""
    side = max(1, len(pixels) // step)
    step = len(pixels) // side
    return np.rint(pixels.reshape(side, step, side, step, 3).mean(axis=(1, 3))).astype(np.uint8)


def encoded_tiles(blocks: Sequence[np.ndarray], side_px: int) -> Iterator[bytes]:
    """JPEG tiles of one level in raster order."""
    block_px, tiles_down = len(blocks[0]), -(-side_px // TILE_PX)
    per_tile, per_block = max(1, TILE_PX // block_px), max(1, block_px // TILE_PX)

    @lru_cache(maxsize=4096)
    def encoded(choice: tuple[int, ...], top: int, left: int) -> bytes:
        rows = [
            np.concatenate([blocks[i] for i in choice[k : k + per_tile]], axis=1)
            for k in range(0, len(choice), per_tile)
        ]
        tile = np.concatenate(rows)[top : top + TILE_PX, left : left + TILE_PX]
        return imagecodecs.jpeg_encode(
            np.ascontiguousarray(tile), level=QUALITY, colorspace="rgb", outcolorspace="ycbcr", subsampling="444"
        )

    for down in range(tiles_down):
        for across in range(tiles_down):
            first = down * per_tile // per_block, across * per_tile // per_block
            choice = tuple(
                which_block(first[0] + i, first[1] + j, len(blocks)) for i in range(per_tile) for j in range(per_tile)
            )
            yield encoded(choice, down % per_block * TILE_PX, across % per_block * TILE_PX)


def which_block(row: int, column: int, n_blocks: int) -> int:
    """Which picture lies where: without order, and always the same."""
    return ((row * 73_856_093) ^ (column * 19_349_663)) % n_blocks
