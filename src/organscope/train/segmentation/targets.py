"""From labelled cells to the maps a network learns."""

import numpy as np
from jaxtyping import Integer, UInt8
from scipy import ndimage


def training_maps(labels: Integer[np.ndarray, "y x"], head: str) -> UInt8[np.ndarray, "y x 2"]:
    """Foreground and the head's second map, as 0 ... 255 for 0 ... 1.

    `distance` is the distance to the cell's edge divided by its maximum in that cell, so it does not depend on
    the cell's size. `boundary` marks pixels within 2 px of another cell.
    """
    foreground = labels > 0
    second = _height(labels) if head == "distance" else _between_cells(labels)
    return np.stack([foreground * 255, np.round(second * 255)], axis=2).astype(np.uint8)


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
