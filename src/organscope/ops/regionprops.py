"""Region properties of cells; connected components.

All cells together in a few compiled passes over the image; no loop over cells in Python.

| column | what |
|---|---|
| `id` | label value, int64 |
| `centroid_y_px`, `centroid_x_px` | mean position of the pixels' centers; the first pixel's is 0 |
| `area_px` | number of pixels, int64 |
| `perimeter_px` | after Benkrid and Crookes, on 4-connected edges, as in scikit-image |
| `eccentricity` | of the ellipse with the same second moments: 0 a circle, towards 1 a line |
| `solidity` | area over the number of pixels in the convex hull, in (0, 1] |
| `mean_intensity_0`, ... | of every channel, in the units of the file |
| `touches_border` | a pixel lies in the outermost row or column of the image, bool |
| `area_um2`, `perimeter_um`, `centroid_y_um`, `centroid_x_um` | where the pixel size is known |

Columns that end in `_px` count pixels, whatever their shape. Where pixels are not square, `eccentricity` is that of the
true shape, and `perimeter_um` Crofton's estimate from crossings along rows, columns and both diagonals, because counts
of pixels weigh no directions; `solidity`, a ratio of areas, is the same in pixels and micrometers.

Cells that lie in several pieces, which an annotation rarely means.
"""

import math
from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float64, Int32, Int64, Num
from scipy import ndimage

from organscope.errors import ShapeError, ValueRangeError
from organscope.ops._kernels.components import count_runs, join_runs
from organscope.ops._kernels.regionprops import (
    hull_areas,
    row_extents,
    sum_crossings,
    sum_intensity,
    sum_perimeter,
    sum_pixels,
    trace_cells,
)
from organscope.ops.pixel_size import PixelSize, is_square, pixel_area_um2, side_um

MEASURES_IN_UM = ("area_um2", "perimeter_um", "centroid_y_um", "centroid_x_um")
"""Columns that are there only where the pixel size is known."""


def measure_cells(
    labels: Int32[np.ndarray, "y x"],
    pixels: Num[np.ndarray, "height width c"],
    um_per_px: PixelSize | None = None,
    *,
    origin_px: tuple[int, int] = (0, 0),
) -> dict[str, np.ndarray]:
    """The columns named above, one row a cell in the order of their labels.

    A region of a larger image gives the same numbers as the whole for every cell that lies in it entirely, to the
    last bit; only `touches_border` speaks of the edge of the region.

    Args:
        labels: 0 for background; each other value is a cell. Gaps are allowed.
        pixels: The image that the cells lie in, as in its file.
        um_per_px: Height and width of a pixel.
        origin_px: Row and column of the first pixel in the larger image.

    Raises:
        ShapeError: The image and the labels differ in height or width.
        ValueRangeError: A label is negative, or the pixel size is not above 0.
    """
    require_fitting(labels, pixels, um_per_px)
    labels, ids = label_numbers(labels)
    n_cells = ids.size
    first, bottom, sums, touches = sum_pixels(labels, n_cells)
    area = sums[1:, 0]
    columns = {
        "id": ids,
        "centroid_y_px": first[1:, 0] + origin_px[0] + sums[1:, 1] / area,
        "centroid_x_px": first[1:, 1] + origin_px[1] + sums[1:, 2] / area,
        "area_px": area,
        "perimeter_px": _perimeter(sum_perimeter(labels, n_cells)[1:]),
        "eccentricity": _eccentricity(sums[1:], um_per_px or (1.0, 1.0)),
        "solidity": area / _hull_area(labels, first[:, 0], bottom),
        **_mean_intensity(labels, pixels, area),
        "touches_border": touches[1:],
    }
    if um_per_px is None:
        return columns
    columns |= _in_um(columns, um_per_px)
    if not is_square(um_per_px):
        columns["perimeter_um"] = crofton_perimeter(sum_crossings(labels, n_cells)[1:], um_per_px)
    return columns


def cell_outlines(labels: Int32[np.ndarray, "y x"]) -> list[np.ndarray]:
    """One closed polygon a cell, in the order of their labels, along the edges of its pixels.

    The pixel in row y and column x covers the square from (x, y) to (x + 1, y + 1), so an image of h x w px
    reaches from (0, 0) to (w, h), and filling a polygon gives the cell's pixels back. Of a cell in several
    4-connected parts only the part whose ring encloses most is drawn; holes are not drawn. A ring may meet
    itself at a corner, where two pixels of the cell touch only there.

    Returns:
        int32 arrays (n, 2) of x and y, clockwise on the screen; the last corner repeats the first.

    Raises:
        ValueRangeError: A label is negative.
    """
    labels, ids = label_numbers(labels)
    corners, span = trace_cells(labels, ids.size)
    return [corners[begin:end] for begin, end in span[1:].tolist()]


def require_fitting(
    labels: Int32[np.ndarray, "y x"], pixels: Num[np.ndarray, "height width c"], um_per_px: PixelSize | None
) -> None:
    if labels.shape != pixels.shape[:2]:
        raise ShapeError(
            f"Expected labels and image of one size, found {labels.shape[0]} x {labels.shape[1]} "
            f"and {pixels.shape[0]} x {pixels.shape[1]} px. Give the image that the labels were made from."
        )
    if um_per_px is not None and not all(math.isfinite(side) and side > 0 for side in um_per_px):
        raise ValueRangeError(f"Expected a pixel size above 0 um, found {um_per_px}.")


def label_numbers(labels: Int32[np.ndarray, "y x"]) -> tuple[Int32[np.ndarray, "y x"], Int64[np.ndarray, " n"]]:
    """The labels as 1..n without gaps, and which label each of them was.

    Raises:
        ValueRangeError: A label is negative.
    """
    if labels.size and labels.min() < 0:
        raise ValueRangeError(f"Expected labels of 0 or above, found {labels.min()}. Read them as unsigned.")
    largest = int(labels.max(initial=0))
    if largest > labels.size:
        values, dense = np.unique(labels, return_inverse=True)
        ids = values[values > 0].astype(np.int64)
        return dense.reshape(labels.shape).astype(np.int32) + np.int32(values[0] != 0), ids
    present = _present(labels, largest)
    ids = np.flatnonzero(present)
    if ids.size == largest:
        return np.ascontiguousarray(labels), ids
    number = np.cumsum(present, dtype=np.int32)
    return np.where(present, number, 0).astype(np.int32)[labels], ids


def cell_boxes(labels: Int32[np.ndarray, "y x"], n_cells: int) -> Int64[np.ndarray, "n 4"]:
    """First and end row, first and end column of the cells 1..n."""
    boxes = ndimage.find_objects(labels, n_cells)
    return np.array([(y.start, y.stop, x.start, x.stop) for y, x in boxes], np.int64).reshape(-1, 4)


def _present(labels: Int32[np.ndarray, "y x"], largest: int) -> Bool[np.ndarray, " n"]:
    """Which label values occur; 0 does not count."""
    present = np.zeros(largest + 1, dtype=bool)
    present[labels.reshape(-1)] = True
    present[0] = False
    return present


def _perimeter(counts: Int64[np.ndarray, "n 3"]) -> Float64[np.ndarray, " n"]:
    """Straight steps count 1, oblique ones the diagonal, those in between their mean."""
    diagonal = math.sqrt(2)
    return counts @ np.array([1.0, diagonal, (1 + diagonal) / 2])


def _eccentricity(sums: Int64[np.ndarray, "n 6"], um_per_px: PixelSize) -> Float64[np.ndarray, " n"]:
    """sqrt(1 - l2 / l1) of the eigenvalues l1 >= l2 of the covariance of the pixels' positions."""
    area, y, x, yy, xx, xy = sums.T.astype(np.float64)
    var_y, var_x, cov = yy / area - (y / area) ** 2, xx / area - (x / area) ** 2, xy / area - x * y / area**2
    if not is_square(um_per_px):
        down, across = (side / side_um(um_per_px) for side in um_per_px)
        var_y, var_x, cov = var_y * down**2, var_x * across**2, cov * down * across
    middle, spread = (var_y + var_x) / 2, np.hypot((var_y - var_x) / 2, cov)
    major, minor = middle + spread, np.maximum(middle - spread, 0.0)
    return np.sqrt(1 - np.divide(minor, major, out=np.ones_like(major), where=major > 0))


def _hull_area(
    labels: Int32[np.ndarray, "y x"], top: Int64[np.ndarray, " m"], bottom: Int64[np.ndarray, " m"]
) -> Int64[np.ndarray, " n"]:
    """Pixels in each cell's convex hull."""
    n_rows = np.where(top >= 0, bottom - top + 1, 0)
    offset = np.concatenate([[0], np.cumsum(n_rows)])
    left, right = row_extents(labels, top, offset)
    return hull_areas(left, right, offset)[1:]


def _mean_intensity(
    labels: Int32[np.ndarray, "y x"], pixels: Num[np.ndarray, "y x c"], area: Int64[np.ndarray, " n"]
) -> dict[str, np.ndarray]:
    """One column a channel."""
    # One memory layout, because a kernel is compiled anew for each.
    mean = sum_intensity(labels, np.ascontiguousarray(pixels), area.size)[1:] / area[:, None]
    return {f"mean_intensity_{c}": mean[:, c] for c in range(pixels.shape[2])}


def crofton_perimeter(crossings: Int64[np.ndarray, "n 4"], um_per_px: PixelSize) -> Float64[np.ndarray, " n"]:
    """Cauchy and Crofton: a length is pi / 2 times the mean, over directions, of crossings by lines a unit apart.

    Args:
        crossings: Of the border of each cell by lines along rows, columns, and both diagonals of the pixel grid.
        um_per_px: Height and width of a pixel. They set how far apart the lines of each direction lie, and for which
            share of all directions each stands (half way to its neighbors), as in MorphoLibJ (Legland et al.,
            Bioinformatics 2016); for square pixels this is `skimage.measure.perimeter_crofton`.
    """
    height, width = um_per_px
    steep = math.atan2(height, width)
    apart = np.array([height, width, *2 * (height * width / math.hypot(height, width),)])
    share = np.array([steep, math.pi / 2 - steep, math.pi / 4, math.pi / 4]) / math.pi
    return math.pi / 2 * crossings @ (apart * share)


def _in_um(columns: dict[str, np.ndarray], um_per_px: PixelSize) -> dict[str, np.ndarray]:
    """The lengths and areas again, in micrometers."""
    return {
        "area_um2": columns["area_px"] * pixel_area_um2(um_per_px),
        "perimeter_um": columns["perimeter_px"] * side_um(um_per_px),
        "centroid_y_um": columns["centroid_y_px"] * um_per_px[0],
        "centroid_x_um": columns["centroid_x_px"] * um_per_px[1],
    }


@dataclass(frozen=True)
class _Fragmented:
    """The cells of a label image that lie in several 8-connected pieces, in order of label.

    Attributes:
        cell: Label values.
        n_pieces: How many pieces each has, at least 2.
        second_share: Area of the second-largest piece over that of the cell, in (0, 0.5].
    """

    cell: Int64[np.ndarray, " n"]
    n_pieces: Int64[np.ndarray, " n"]
    second_share: Float64[np.ndarray, " n"]


def find_fragmented(labels: Int32[np.ndarray, "y x"]) -> _Fragmented:
    """The cells in several pieces, in memory that grows with the outline of all cells, not with the image.

    Args:
        labels: 0 for background; each other value is a cell. Gaps are allowed.
    """
    cell, area = find_pieces(labels)
    cells, first, n_pieces = np.unique(cell, return_index=True, return_counts=True)
    total = np.add.reduceat(area, first) if cells.size else area
    several = n_pieces > 1
    second = area[first[several] + 1] / total[several]
    return _Fragmented(cells[several], n_pieces[several], second)


def find_pieces(labels: Int32[np.ndarray, "y x"]) -> tuple[Int64[np.ndarray, " n"], Int64[np.ndarray, " n"]]:
    """Label and area (px) of every 8-connected piece, in order of label, then largest first."""
    labels = np.ascontiguousarray(labels)
    cell, length, root = join_runs(labels, count_runs(labels))
    roots, piece = np.unique(root, return_inverse=True)
    area = np.bincount(piece, weights=length, minlength=roots.size).astype(np.int64)
    cell = cell[roots].astype(np.int64)
    order = np.lexsort((-area, cell))
    return cell[order], area[order]
