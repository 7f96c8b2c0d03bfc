"""The whole of an image at a glance: a small view of it, and a sample of its pixels."""

import math
from collections.abc import Iterator
from typing import TYPE_CHECKING

import numpy as np
from jaxtyping import Num

if TYPE_CHECKING:
    from organscope.images.image import Image

#: Pixels held at once while a view is averaged; their sums take up to six times as much.
BAND_BYTES = 16 * 2**20
#: Side of the blocks that a sample of a large image consists of.
BLOCK_PX = 512


def shrink_image(image: "Image", max_side_px: int) -> Num[np.ndarray, "y x c"]:
    """The image with its longer side at most `max_side_px`: see `Image.thumbnail`."""
    fitting = [i for i, level in enumerate(image.levels) if max(level.height_px, level.width_px) >= max_side_px]
    level = fitting[-1] if fitting else 0
    height, width = image.levels[level].height_px, image.levels[level].width_px
    step = math.ceil(max(height, width) / max_side_px)
    if step == 1:
        return image.read_whole(level)
    row_bytes = width * image.n_channels * image.dtype.itemsize
    rows = max(BAND_BYTES // row_bytes // step, 1) * step
    tops = range(0, height, rows)
    bands = (image.read(top, 0, min(rows, height - top), width, level=level) for top in tops)
    return np.concatenate([block_mean(band, step) for band in bands])


def block_mean(pixels: Num[np.ndarray, "y x c"], step: int) -> Num[np.ndarray, "y x c"]:
    """Mean of every step x step block (less at the right and bottom edge), in the type of the pixels."""
    starts = [np.arange(0, size, step) for size in pixels.shape[:2]]
    counts = [np.diff(np.append(start, size)) for start, size in zip(starts, pixels.shape[:2], strict=True)]
    # Infinite pixels make a mean without a value; that is no reason to warn.
    with np.errstate(invalid="ignore", over="ignore"):
        # Row by row of the result: a reduction of all at once would first copy all pixels as float64.
        sums = np.stack([pixels[start : start + step].sum(axis=0, dtype=np.float64) for start in starts[0]])
        means = np.add.reduceat(sums, starts[1], axis=1) / np.outer(*counts)[:, :, None]
    return (np.rint(means) if pixels.dtype.kind in "ui" else means).astype(pixels.dtype)


def sample_image(image: "Image", max_pixels: int) -> Num[np.ndarray, "y x c"]:
    """Pixels from all over the image: see `Image.sample`."""
    if image.height_px * image.width_px <= max_pixels:
        return image.read_whole()
    return np.concatenate([block.reshape(-1, 1, image.n_channels) for block in _blocks(image, max_pixels)])


def _blocks(image: "Image", max_pixels: int) -> Iterator[Num[np.ndarray, "y x c"]]:
    height, width = min(BLOCK_PX, image.height_px), min(BLOCK_PX, image.width_px)
    n_blocks = max(max_pixels // (height * width), 1)
    n_down = round(math.sqrt(n_blocks * image.height_px / image.width_px))
    n_down = min(max(n_down, 1), n_blocks, math.ceil(image.height_px / height))
    n_across = min(max(n_blocks // n_down, 1), math.ceil(image.width_px / width))
    for y in np.linspace(0, image.height_px - height, n_down, dtype=int).tolist():
        for x in np.linspace(0, image.width_px - width, n_across, dtype=int).tolist():
            yield image.read(y, x, height, width)
