"""Grow the cell under a click: a seeded watershed of the local foreground probability.

What is foreground is learned from the cells that were found around the click, so that it holds for any stain: a
logistic regression on the colors of pixels inside and outside of them. Without enough cells, Otsu's threshold tells.
"""

import numpy as np
from jaxtyping import Bool, Float32, Int32, Num
from scipy import ndimage

#: So many pixels of each side are enough to learn from, and so many are needed.
_MOST_PX, _FEWEST_PX = 4000, 200
#: Pixels this near to an outline are neither clearly inside nor outside.
_RIM_PX = 2
#: A missed cell is often paler than those that were found: it is cut where the probability falls to this share of the
#: value at the click, and nowhere above one half.
_SHARE_OF_SEED, _LEVEL = 0.6, 0.5
#: Below this probability nothing stands out at the click.
_LEAST = 0.05
#: No cell reaches farther from the click than so many typical diameters.
_REACH = 1.5
#: Of the area of a typical cell; less is no cell.
_SMALLEST_SHARE = 0.08
_SEED_RADIUS_PX = 1


def grow_cell(
    pixels: Num[np.ndarray, "h w k"], labels: Int32[np.ndarray, "h w"], seed: tuple[int, int], diameter_px: float
) -> Bool[np.ndarray, "h w"]:
    """The pixels of the cell at a click; none where nothing stands out there.

    Args:
        pixels: Around the click.
        labels: Cells that are there; they keep their pixels.
        seed: Row and column of the click.
        diameter_px: Of a typical cell.
    """
    smooth = ndimage.gaussian_filter(pixels.astype(np.float32), (1.0, 1.0, 0))
    probability = _foreground(smooth, labels, seed)
    free = labels == 0
    y, x = np.ogrid[: labels.shape[0], : labels.shape[1]]
    away = np.hypot(y - seed[0], x - seed[1])
    at_seed = float(np.median(probability[away <= _SEED_RADIUS_PX]))
    if at_seed < _LEAST:
        return np.zeros(labels.shape, bool)
    mask = (probability >= min(_LEVEL, _SHARE_OF_SEED * at_seed)) & free & (away <= _REACH * diameter_px)
    mask |= (away <= _SEED_RADIUS_PX) & free
    cell = _basin(mask, seed, diameter_px)
    cell = _piece_at(ndimage.binary_opening(cell) | ((away <= _SEED_RADIUS_PX) & cell), seed)
    cell = ndimage.binary_fill_holes(cell) & free
    return cell if cell.sum() >= _SMALLEST_SHARE * np.pi / 4 * diameter_px**2 else np.zeros_like(cell)


def _foreground(
    smooth: Float32[np.ndarray, "h w k"], labels: Int32[np.ndarray, "h w"], seed: tuple[int, int]
) -> Float32[np.ndarray, "h w"]:
    """How probable it is that a pixel belongs to a cell."""
    inside = ndimage.binary_erosion(labels > 0, iterations=_RIM_PX)
    outside = ~ndimage.binary_dilation(labels > 0, iterations=_RIM_PX)
    # Around the click is what is asked about.
    near = 2 * _RIM_PX
    outside[max(0, seed[0] - near) : seed[0] + near, max(0, seed[1] - near) : seed[1] + near] = False
    if min(inside.sum(), outside.sum()) < _FEWEST_PX:
        return _by_threshold(smooth, seed)
    from sklearn.linear_model import LogisticRegression

    chosen = [rows[:: max(1, len(rows) // _MOST_PX)] for rows in (smooth[outside], smooth[inside])]
    colors = np.concatenate(chosen)
    scale = colors.std(axis=0) + 1e-6
    answers = np.repeat([0, 1], [len(rows) for rows in chosen])
    model = LogisticRegression(class_weight="balanced").fit(colors / scale, answers)
    flat = (smooth / scale).reshape(-1, smooth.shape[2])
    return model.predict_proba(flat)[:, 1].reshape(labels.shape).astype(np.float32)


def _by_threshold(smooth: Float32[np.ndarray, "h w k"], seed: tuple[int, int]) -> Float32[np.ndarray, "h w"]:
    from skimage.filters import threshold_otsu

    gray = smooth.mean(axis=2)
    if gray.min() == gray.max():
        return np.zeros(gray.shape, np.float32)
    is_bright = gray > threshold_otsu(gray)
    return (is_bright == is_bright[seed]).astype(np.float32)


def _basin(mask: Bool[np.ndarray, "h w"], seed: tuple[int, int], diameter_px: float) -> Bool[np.ndarray, "h w"]:
    """The part of a mask at the seed, cut from others where it is narrow."""
    from skimage.feature import peak_local_max
    from skimage.segmentation import watershed

    depth = ndimage.gaussian_filter(ndimage.distance_transform_edt(mask), 1.0)
    peaks = peak_local_max(depth, min_distance=max(2, round(diameter_px / 3)), labels=mask.astype(np.int32))
    markers = np.zeros(mask.shape, np.int32)
    markers[tuple(peaks.T)] = np.arange(1, len(peaks) + 1)
    parts = watershed(-depth, markers, mask=mask)
    return (parts == parts[seed]) & mask


def _piece_at(mask: Bool[np.ndarray, "h w"], seed: tuple[int, int]) -> Bool[np.ndarray, "h w"]:
    pieces, _ = ndimage.label(mask)
    return (pieces == pieces[seed]) & mask
