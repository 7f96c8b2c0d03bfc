"""Label images: 0 is background, every other value above 0 is one cell.

`IGNORED` (-1) marks pixels of which nothing is known, as StarDist has it: neither cell nor background. They are read as
background unless they are asked for; training and scores leave them out.
"""

from contextlib import closing
from pathlib import Path

import numpy as np
import tifffile
from jaxtyping import Int32, Num

from organscope.errors import AnnotationError, ImageReadError
from organscope.images.atomic import atomic_path
from organscope.images.opening import open_source
from organscope.images.selection import Choice, Selection
from organscope.images.source import DEFAULT_MAX_PIXELS
from organscope.ops.pixel_size import PixelSize, given_pixel_size

TILE_PX = 256
IGNORED = -1


def write_labels(
    path: str | Path, labels: Int32[np.ndarray, "y x"], um_per_px: float | PixelSize | None = None
) -> None:
    """Write a label image as a tiled, deflated TIFF (int32), which QuPath, Fiji and tifffile read.

    Args:
        path: The file; its folder exists.
        labels: 0 for background, then one value a cell.
        um_per_px: Side, or height and width, of a pixel, kept in the resolution tags where known.

    Raises:
        OutputError: The folder is not writable or the disk is full.
    """
    size = given_pixel_size(um_per_px)
    resolution = None if size is None else (1e4 / size[1], 1e4 / size[0])
    with atomic_path(path) as temporary:
        tifffile.imwrite(
            temporary,
            labels,
            tile=(TILE_PX, TILE_PX),
            compression="zlib",
            photometric="minisblack",
            resolution=resolution,
            resolutionunit="CENTIMETER" if resolution else None,
            metadata=None,
        )


def read_labels(path: str | Path, *, keep_ignored: bool = False) -> Int32[np.ndarray, "y x"]:
    """Read a label image: TIFF, PNG or .npy with one channel of whole numbers.

    Args:
        path: The file.
        keep_ignored: Leave `IGNORED` where it is; else it is read as background.

    Raises:
        AnnotationError: The file is unreadable, is in colour, or has values that are no cell numbers.
    """
    return _read(Path(path), None, keep_ignored)


def read_label_region(
    path: str | Path, y_px: int, x_px: int, height_px: int, width_px: int, *, keep_ignored: bool = False
) -> Int32[np.ndarray, "y x"]:
    """A region of a label image; of a tiled TIFF only its tiles are read.

    Raises:
        AnnotationError: As `read_labels`.
    """
    return _read(Path(path), (y_px, x_px, height_px, width_px), keep_ignored)


def _read(path: Path, region: tuple[int, int, int, int] | None, keep_ignored: bool) -> Int32[np.ndarray, "y x"]:
    if path.suffix.lower() == ".npy":
        values = _read_npy(path)
        if region is not None:
            y, x, height, width = region
            values = values[y : y + height, x : x + width]
    else:
        values = _read_image(path, region)
    if values.ndim == 3 and values.shape[2] == 1:
        values = values[:, :, 0]
    if values.ndim != 2:
        raise AnnotationError(
            f"Expected a label image with one number a pixel, found {values.shape[-1]} channels in {path}. "
            "Export cell numbers, not colours."
        )
    _require_cell_numbers(path, values, is_part=region is not None)
    labels = values.astype(np.int32, copy=False)
    return labels if keep_ignored else np.maximum(labels, 0)


def read_stored_values(path: str | Path) -> Num[np.ndarray, "y x c"]:
    """What a mask holds, without asking what it means: palette indices, colors, numbers of any type.

    Raises:
        AnnotationError: The file is unreadable, holds several images, or an array of other than 2 or 3 axes.
    """
    path = Path(path)
    values = _read_npy(path) if path.suffix.lower() == ".npy" else _read_image(path, None)
    if values.ndim == 2:
        values = values[:, :, None]
    if values.ndim != 3 or values.size == 0:
        raise AnnotationError(f"Expected a label image, found an array of shape {values.shape} in {path}.")
    return values


def _read_image(path: Path, region: tuple[int, int, int, int] | None) -> Num[np.ndarray, "y x c"]:
    try:
        source = open_source(path, DEFAULT_MAX_PIXELS, Choice(), as_stored=True)
        with closing(source):
            _require_one_image(path, source.selection)
            level = source.levels[0]
            return source.read(0, *(region or (0, 0, level.height_px, level.width_px)))
    except ImageReadError as error:
        raise AnnotationError(f"The labels cannot be read. {error}") from error


def _require_one_image(path: Path, selection: Selection) -> None:
    if selection.n_pages > 1 or selection.n_series > 1:
        count = f"{selection.n_pages} pages" if selection.n_pages > 1 else f"{selection.n_series} images"
        raise AnnotationError(
            f"Expected one label image, found {count} in {path}. Export the one that belongs to the image."
        )


def _read_npy(path: Path) -> Num[np.ndarray, "..."]:
    try:
        return np.load(path, allow_pickle=False)
    except (OSError, ValueError, EOFError) as error:
        raise AnnotationError(f"Expected a label array, found that {path} cannot be read ({error}).") from error


def _require_cell_numbers(path: Path, values: Num[np.ndarray, "y x"], *, is_part: bool) -> None:
    if values.size == 0:
        raise AnnotationError(f"Expected a label image with pixels, found none in {path}.")
    low, high = values.min(), values.max()
    whole = values.dtype.kind in "bui" or (np.isfinite([low, high]).all() and (values == np.rint(values)).all())
    is_known = low >= 0 or (low == IGNORED and (is_part or high >= 0))
    if not whole or not is_known or high > np.iinfo(np.int32).max:
        raise AnnotationError(
            f"Expected whole cell numbers from 0 to {np.iinfo(np.int32).max}, found values from {low} to "
            f"{high} ({values.dtype}) in {path}. Export a label image, not probabilities."
        )
