"""From labelled cells to the maps a network learns."""

import numpy as np
from jaxtyping import Float32, Integer, UInt8
from scipy import ndimage

from organscope.ops.instances import Head


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
        maps: Of the head `flow`, cut with `matrix`, but with directions as they were in the picture.
        matrix: From the crop's (x, y) to the picture's, see `draw_square`.
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
    unlabelled = np.iinfo(np.int32).max
    smallest = ndimage.minimum_filter(np.where(labels > 0, labels, unlabelled).astype(np.int32), size=size)
    return ((largest != smallest) & (largest > 0) & (smallest < unlabelled)).astype(np.float64)


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
