"""Where cells lie among each other, from their centroids.

| column | what | unit |
|---|---|---|
| `neighbor_count` | other cells whose centroid lies within the radius | cells |
| `nearest_distance_px` | to the nearest other centroid | px |
| `nearest_distance_um` | the same, where the pixel size is known | um |
| `density_per_mm2` | cells within the radius and the cell itself, over the area of the circle in the image | 1 / mm2 |
| `density_per_mpx` | the same where the pixel size is unknown | 1 / megapixel |
| `delaunay_degree` | neighbors in the Delaunay triangulation of all centroids, long edges included | cells |

The radius is 50 um, or 100 px where the pixel size is unknown. Where pixels are not square, distances in px are those
of square pixels of the same area.
"""

import numpy as np
from jaxtyping import Float64, Int64
from scipy.spatial import Delaunay, QhullError, cKDTree

from organscope.ops.pixel_size import PixelSize, side_um

RADIUS_UM, RADIUS_PX = 50.0, 100.0
_STEPS = 256
"""Stripes that a circle over the edge of the image is cut into; its area is right to 0.1 %."""


def measure_neighbors(
    centroids_px: Float64[np.ndarray, "n 2"],
    size_px: tuple[int, int],
    um_per_px: PixelSize | None = None,
    *,
    radius: float | None = None,
) -> dict[str, np.ndarray]:
    """The columns named above, one row a cell.

    Args:
        centroids_px: Row and column of every cell of the image.
        size_px: Height and width of the image.
        um_per_px: Height and width of a pixel.
        radius: In um, or in px where the pixel size is unknown; the one above where None.

    Returns:
        Distances are not-a-number where there is no other cell.
    """
    known = um_per_px is not None
    sides = np.array(um_per_px or (1.0, 1.0))
    if radius is None:
        radius = RADIUS_UM if known else RADIUS_PX
    places = centroids_px * sides
    # The center of the first pixel is at 0, its edge half a pixel before.
    low, high = -sides / 2, (np.array(size_px) - 0.5) * sides
    tree = cKDTree(places)
    count = np.asarray(tree.query_ball_point(places, radius, return_length=True), np.int64) if len(places) else _NONE
    nearest = tree.query(places, k=2)[0][:, 1] if len(places) > 1 else np.full(len(places), np.nan)
    density = count / _circle_areas(places, radius, low, high)
    columns = {
        "neighbor_count": count - 1,
        "nearest_distance_px": nearest / (1.0 if um_per_px is None else side_um(um_per_px)),
    }
    if known:
        columns["nearest_distance_um"] = nearest
    columns["density_per_mm2" if known else "density_per_mpx"] = density * 1e6
    columns["delaunay_degree"] = _delaunay_degree(places)
    return columns


_NONE = np.zeros(0, np.int64)


def _circle_areas(
    places: Float64[np.ndarray, "n 2"], radius: float, low: Float64[np.ndarray, "2"], high: Float64[np.ndarray, "2"]
) -> Float64[np.ndarray, " n"]:
    """Area of the circle around each place that lies inside the rectangle."""
    areas = np.full(len(places), np.pi * radius**2)
    over = ((places - radius < low) | (places + radius > high)).any(axis=1)
    y, x = places[over].T[:, :, None]
    # Stripes of equal angle, from the left end of the circle or of the image to the right one.
    first, last = (np.arccos(-np.clip((end - x) / radius, -1, 1)) for end in (low[1], high[1]))
    angle = first + (last - first) * (np.arange(_STEPS) + 0.5) / _STEPS
    half = np.sin(angle) * radius
    chord = np.minimum(y + half, high[0]) - np.maximum(y - half, low[0])
    areas[over] = (chord * half * (last - first) / _STEPS).sum(axis=1)
    return areas


def _delaunay_degree(places: Float64[np.ndarray, "n 2"]) -> Int64[np.ndarray, " n"]:
    """Number of neighbors of each place; along a line those before and after."""
    if len(places) > 2:
        try:
            starts, _ = Delaunay(places).vertex_neighbor_vertices
            return np.diff(starts).astype(np.int64)
        except QhullError:
            pass
    along = np.lexsort(places.T)
    degree = np.full(len(places), min(2, max(0, len(places) - 1)), np.int64)
    if len(places) > 1:
        degree[along[[0, -1]]] = 1
    return degree
