"""Large slides for measurements: real images, mirrored into mosaics, as tiled JPEG pyramids.

Every image becomes a block with its three mirror images, so that tissue goes on over their seams; blocks of several
images lie side by side, at their own size and brightness. A slide can be glass but for a section of tissue with a
curved outline. Tiles that are equal are encoded once, so that a gigapixel takes seconds.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

import imagecodecs
import numpy as np
import tifffile

TILE_PX = 256
SHRINK = 4
QUALITY = 90
BLOCK_PX = 1024
"""Side of an image with its mirror images, whose own side is half of it."""
GLASS = (243, 242, 244)
GLASS_NOISE = 1.5
IMAGES = (".jpg", ".png", ".tif")


@dataclass(frozen=True)
class Section:
    """Where a slide shows tissue: where a wavy hill is higher than a threshold; islands at small shares.

    Attributes:
        threshold: Of the height of the hill.
    """

    threshold: float

    @classmethod
    def of_share(cls, share: float) -> "Section":
        """A section that covers this share of the slide."""
        if share >= 1:
            return cls(-np.inf)
        grid = (np.arange(1024) + 0.5) / 1024
        return cls(float(np.quantile(_height(grid[:, None], grid), 1 - share)))

    def covers(self, tops: np.ndarray, lefts: np.ndarray) -> np.ndarray:
        """Whether there is tissue at each row and column, as fractions of the side of the slide."""
        return _height(tops[:, None], lefts) > self.threshold


def _height(y: np.ndarray, x: np.ndarray) -> np.ndarray:
    waves = 0.35 * np.sin(13 * y + 3 * x + 0.5) * np.sin(11 * x - 4 * y) + 0.08 * np.sin(57 * x) * np.sin(49 * y)
    return waves - 4 * ((y - 0.5) ** 2 + (x - 0.5) ** 2)


def tissue_images(folder: Path | None, n: int, *, densest: bool = False) -> list[np.ndarray]:
    """Images of 512 x 512 RGB px: from a folder, evenly chosen by name; else the human colon of scikit-image.

    Args:
        folder: Searched for images.
        n: How many.
        densest: Those with the most cells a pixel instead, by their label images in the folder `labels` beside.
    """
    if folder is None or not folder.is_dir():
        from skimage.data import immunohistochemistry

        return [immunohistochemistry()]
    paths = sorted(path for path in folder.rglob("*") if path.suffix.lower() in IMAGES)
    if densest:
        paths = sorted(paths, key=lambda path: -cells_per_pixel(folder, path))[:n]
    return [read_image(paths[i]) for i in np.unique(np.linspace(0, len(paths) - 1, n, dtype=int))]


def cells_per_pixel(folder: Path, image: Path) -> float:
    """How dense the cells of an image are; 0 where it has no label image."""
    from skimage.io import imread

    beside = (folder.parent / "labels" / image.relative_to(folder)).parent
    labels = next((path for path in sorted(beside.glob(f"{image.stem}.*"))), None)
    if labels is None:
        return 0.0
    values = imread(labels)
    return len(np.unique(values[values > 0])) / values.size


def read_image(path: Path) -> np.ndarray:
    """One image as 512 x 512 RGB px: cut where it is larger, gone on with its mirror image where it is smaller."""
    from PIL import Image as PillowImage

    side = BLOCK_PX // 2
    with PillowImage.open(path) as image:
        pixels = np.asarray(image.convert("RGB"))[:side, :side]
    return np.pad(pixels, [(0, side - pixels.shape[0]), (0, side - pixels.shape[1]), (0, 0)], mode="symmetric")


def write_slide(
    path: Path, side_px: int, images: Sequence[np.ndarray], um_per_px: float | None = None, tissue: float = 1.0
) -> None:
    """A square slide, tile by tile; each level has a quarter of the side of the one before.

    Args:
        path: The file.
        side_px: Of the slide.
        images: Of 512 x 512 RGB px.
        um_per_px: That the slide states.
        tissue: Share of the slide that shows the images; the rest is glass as under a bright-field microscope.
    """
    blocks = [mirrored(image) for image in [*images, glass_image()]]
    section = Section.of_share(tissue)
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
            writer.write(encoded_tiles(shrunk, side, section), shape=(side, side, 3), **options, **of_level)


def glass_image() -> np.ndarray:
    """Glass as a scanner sees it: nearly white, with a little noise."""
    noise = np.random.default_rng(0).normal(0, GLASS_NOISE, (BLOCK_PX // 2, BLOCK_PX // 2, 3))
    return np.rint(np.array(GLASS) + noise).clip(0, 255).astype(np.uint8)


def mirrored(image: np.ndarray) -> np.ndarray:
    """An image with its mirror images to the right and below."""
    wide = np.concatenate([image, image[:, ::-1]], axis=1)
    return np.concatenate([wide, wide[::-1]])


def block_mean(pixels: np.ndarray, step: int) -> np.ndarray:
    """Smaller by a whole number; at least one pixel."""
    side = max(1, len(pixels) // step)
    step = len(pixels) // side
    return np.rint(pixels.reshape(side, step, side, step, 3).mean(axis=(1, 3))).astype(np.uint8)


def encoded_tiles(blocks: Sequence[np.ndarray], side_px: int, section: Section) -> Iterator[bytes]:
    """JPEG tiles of one level in raster order; the last block is glass."""
    block_px, tiles_down = len(blocks[0]), -(-side_px // TILE_PX)
    per_tile, per_block = max(1, TILE_PX // block_px), max(1, block_px // TILE_PX)
    glass = (len(blocks) - 1,) * per_tile**2

    def pixels_of(choice: tuple[int, ...], top: int, left: int) -> np.ndarray:
        rows = [
            np.concatenate([blocks[i] for i in choice[k : k + per_tile]], axis=1)
            for k in range(0, len(choice), per_tile)
        ]
        return np.concatenate(rows)[top : top + TILE_PX, left : left + TILE_PX]

    @lru_cache(maxsize=4096)
    def encoded(choice: tuple[int, ...], top: int, left: int) -> bytes:
        return jpeg(pixels_of(choice, top, left))

    for down, across in np.ndindex(tiles_down, tiles_down):
        first = down * per_tile // per_block, across * per_tile // per_block
        choice = tuple(
            which_block(first[0] + i, first[1] + j, len(blocks) - 1) for i in range(per_tile) for j in range(per_tile)
        )
        corner = down % per_block * TILE_PX, across % per_block * TILE_PX
        is_tissue = tissue_in(section, down, across, side_px, step=TILE_PX // 8)
        if is_tissue.all() or not is_tissue.any():
            yield encoded(choice if is_tissue.all() else glass, *corner)
        else:
            mask = tissue_in(section, down, across, side_px)[:, :, None]
            yield jpeg(np.where(mask, pixels_of(choice, *corner), pixels_of(glass, *corner)))


def tissue_in(section: Section, down: int, across: int, side_px: int, step: int = 1) -> np.ndarray:
    """Which pixels of a tile are tissue, or every so many of them."""
    inside = np.arange(0, TILE_PX, step) + step / 2
    return section.covers((down * TILE_PX + inside) / side_px, (across * TILE_PX + inside) / side_px)


def jpeg(pixels: np.ndarray) -> bytes:
    """One tile."""
    return imagecodecs.jpeg_encode(
        np.ascontiguousarray(pixels), level=QUALITY, colorspace="rgb", outcolorspace="ycbcr", subsampling="444"
    )


def which_block(row: int, column: int, n_blocks: int) -> int:
    """Which image lies where: without order, and always the same."""
    return ((row * 73_856_093) ^ (column * 19_349_663)) % n_blocks
