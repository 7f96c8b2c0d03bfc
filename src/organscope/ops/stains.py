"""Optical density of stains, in each nucleus and in the ring around it.

The optical density of a pixel is -log10(intensity / white) for red, green and blue (Lambert and Beer); stains add up in
it. Color deconvolution (Ruifrok and Johnston, Anal. Quant. Cytol. Histol. 23:291, 2001) solves for how much of each
stain there is, in units of a stain whose vector has length 1, as in QuPath.

| set | stains | for |
|---|---|---|
| `HED` | hematoxylin, eosin, dab | any section; what does not belong to a stain shows up in the others |
| `H_E` | hematoxylin, eosin | H&E |
| `H_DAB` | hematoxylin, dab | immunohistochemistry with DAB |

With two stains a third direction at right angles to both takes what is neither (a fold, a pigment).
"""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float32, Float64, Int32, Int64, Num

from organscope.errors import ShapeError, ValueRangeError
from organscope.ops._kernels.rings import add_values, surrounding_labels
from organscope.ops.pixel_size import PixelSize
from organscope.ops.regionprops import label_numbers, require_fitting


@dataclass(frozen=True)
class Stains:
    """A set of stains.

    Attributes:
        names: One or more.
        vectors: Optical density of red, green and blue of each; of any length.
    """

    names: tuple[str, ...]
    vectors: tuple[tuple[float, float, float], ...]


_HEMATOXYLIN, _EOSIN, _DAB = (0.65, 0.70, 0.29), (0.07, 0.99, 0.11), (0.27, 0.57, 0.78)
HED = Stains(("hematoxylin", "eosin", "dab"), (_HEMATOXYLIN, _EOSIN, _DAB))
H_E = Stains(("hematoxylin", "eosin"), (_HEMATOXYLIN, _EOSIN))
H_DAB = Stains(("hematoxylin", "dab"), (_HEMATOXYLIN, _DAB))

RING_UM, RING_PX = 3.0, 6.0
"""Width of the ring where the pixel size is known, and where it is not."""

_ROWS = 256
"""Of the image that are held as optical densities at a time."""

_LEAST = 1 / 255
"""Share of white below which a camera of 8 bits tells no more: no optical density is above 2.4."""


def separate_stains(
    rgb: Num[np.ndarray, "y x 3"], stains: Stains = HED, white: float = 255.0
) -> Float32[np.ndarray, "y x n"]:
    """Optical density of each stain at every pixel; below 0 where a pixel has less than none of it.

    Args:
        rgb: Intensities from 0 to `white`.
        stains: Which to solve for.
        white: Intensity of unstained glass: 255 for 8 bits.
    """
    share = np.clip(rgb.astype(np.float32) / np.float32(white), _LEAST, 1.0)
    return -np.log10(share) @ _unmixing(stains).astype(np.float32)


def _unmixing(stains: Stains) -> Float64[np.ndarray, "3 n"]:
    vectors = np.array(stains.vectors, np.float64)
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    if len(vectors) == 2:
        residual = np.cross(*vectors)
        vectors = np.vstack([vectors, residual / np.linalg.norm(residual)])
    return np.linalg.pinv(vectors)[:, : len(stains.names)]


def measure_stains(
    labels: Int32[np.ndarray, "y x"],
    rgb: Num[np.ndarray, "height width c"],
    stains: Stains = HED,
    *,
    white: float = 255.0,
    um_per_px: PixelSize | None = None,
    ring_um: float = RING_UM,
) -> dict[str, Float64[np.ndarray, " n"]]:
    """Mean optical density of each stain, one row a cell in the order of their labels.

    Columns are `<stain>_od_nucleus`, the mean over the pixels of the cell, and `<stain>_od_ring`, that over the ring
    around it; not-a-number where a cell has no ring because others enclose it.

    Args:
        labels: 0 for background; each other value is a cell. Gaps are allowed.
        rgb: The image that the cells lie in.
        stains: Which to measure.
        white: Intensity of unstained glass.
        um_per_px: Height and width of a pixel.
        ring_um: Width of the ring; 6 px where the pixel size is unknown.

    Raises:
        ShapeError: The image is no color image, or differs from the labels in height or width.
        ValueRangeError: A label is negative, or the white is not above 0.
    """
    _require_color(rgb, white)
    require_fitting(labels, rgb, um_per_px)
    labels, ids = label_numbers(labels)
    rings = cell_rings(labels, um_per_px, ring_um)
    columns: dict[str, np.ndarray] = {}
    for place, area in (("nucleus", labels), ("ring", rings)):
        total, n_pixels = _sums(area, ids.size, rgb, stains, white)
        mean = np.divide(total, n_pixels[:, None], out=np.full_like(total, np.nan), where=n_pixels[:, None] > 0)
        columns |= {f"{name}_od_{place}": mean[:, n] for n, name in enumerate(stains.names)}
    return columns


def cell_rings(
    labels: Int32[np.ndarray, "y x"], um_per_px: PixelSize | None = None, ring_um: float = RING_UM
) -> Int32[np.ndarray, "y x"]:
    """The background within a distance of cells, labeled by the nearest cell; 0 in the cells and further away.

    Args:
        labels: 0 for background, then 1..n.
        um_per_px: Height and width of a pixel.
        ring_um: How far; 6 px where the pixel size is unknown.
    """
    reach = RING_PX if um_per_px is None else ring_um
    height, width = um_per_px or (1.0, 1.0)
    n_down, n_across = int(reach / height), int(reach / width)
    down, across = np.mgrid[-n_down : n_down + 1, -n_across : n_across + 1].reshape(2, -1)
    distance = np.hypot(down * height, across * width)
    order = np.argsort(distance, kind="stable")
    order = order[(distance[order] > 0) & (distance[order] <= reach)]
    return surrounding_labels(np.ascontiguousarray(labels), down[order], across[order])


def _sums(
    area: Int32[np.ndarray, "y x"], n_cells: int, rgb: Num[np.ndarray, "y x 3"], stains: Stains, white: float
) -> tuple[Float64[np.ndarray, "n k"], Int64[np.ndarray, " n"]]:
    """Sum of the densities of each cell, and its number of pixels."""
    total = np.zeros((n_cells + 1, len(stains.names)))
    n_pixels = np.zeros(n_cells + 1, np.int64)
    for top in range(0, len(area), _ROWS):
        density = separate_stains(rgb[top : top + _ROWS], stains, white)
        add_values(area[top : top + _ROWS], np.ascontiguousarray(density), total, n_pixels)
    return total[1:], n_pixels[1:]


def _require_color(rgb: Num[np.ndarray, "y x c"], white: float) -> None:
    if rgb.ndim != 3 or rgb.shape[2] != 3:
        raise ShapeError(f"Expected red, green and blue to measure stains in, found an image of shape {rgb.shape}.")
    if not white > 0:
        raise ValueRangeError(f"Expected a white above 0, found {white}.")
