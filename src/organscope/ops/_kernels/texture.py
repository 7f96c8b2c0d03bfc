"""Compiled texture of cells: moments of their levels, and how often levels lie side by side."""

import numpy as np

from organscope.ops._kernels import inner_kernel, kernel


@kernel(nogil=True)
def moments_of_cells(labels, gray, n_cells):
    """Number of pixels, mean, and sums of the 2nd, 3rd and 4th power of what differs from it: float64 (n + 1, 5)."""
    n_rows, n_columns = labels.shape
    found = np.zeros((n_cells + 1, 5), dtype=np.float64)
    for y in range(n_rows):
        for x in range(n_columns):
            cell = labels[y, x]
            if cell != 0:
                found[cell, 0] += 1
                found[cell, 1] += gray[y, x]
    for cell in range(1, n_cells + 1):
        found[cell, 1] /= found[cell, 0]
    for y in range(n_rows):
        for x in range(n_columns):
            cell = labels[y, x]
            if cell != 0:
                away = gray[y, x] - found[cell, 1]
                found[cell, 2] += away * away
                found[cell, 3] += away * away * away
                found[cell, 4] += away * away * away * away
    return found


@kernel(nogil=True)
def cooccurrence_features(labels, levels, boxes, n_levels):
    """Contrast, homogeneity, energy, correlation and entropy of each cell (n, 5); not-a-number without a pair.

    Pairs are neighbors along rows, columns and both diagonals with both pixels in the cell, counted in both orders.

    Args:
        labels: 0 for background, then 1..n.
        levels: Of each pixel, 0 to n_levels - 1.
        boxes: First and end row, first and end column of each cell.
        n_levels: Number of levels.
    """
    features = np.full((boxes.shape[0], 5), np.nan)
    counts = np.zeros((n_levels, n_levels), dtype=np.int64)
    for cell in range(boxes.shape[0]):
        counts.fill(0)
        n_pairs = _count_pairs(labels, levels, boxes[cell], cell + 1, counts)
        if n_pairs > 0:
            _describe(counts, n_pairs, features[cell])
    return features


@inner_kernel(nogil=True)
def _count_pairs(labels, levels, box, cell, counts):
    n_pairs = 0
    for y in range(box[0], box[1]):
        for x in range(box[2], box[3]):
            if labels[y, x] != cell:
                continue
            for down, across in ((0, 1), (1, 0), (1, 1), (1, -1)):
                v, u = y + down, x + across
                if v < box[1] and box[2] <= u < box[3] and labels[v, u] == cell:
                    counts[levels[y, x], levels[v, u]] += 1
                    counts[levels[v, u], levels[y, x]] += 1
                    n_pairs += 2
    return n_pairs


@inner_kernel(nogil=True)
def _describe(counts, n_pairs, out):
    mean, square = 0.0, 0.0
    contrast, homogeneity, energy, product, entropy = 0.0, 0.0, 0.0, 0.0, 0.0
    for one in range(counts.shape[0]):
        for other in range(counts.shape[1]):
            if counts[one, other] == 0:
                continue
            share = counts[one, other] / n_pairs
            away = (one - other) * (one - other)
            contrast += share * away
            homogeneity += share / (1 + away)
            energy += share * share
            entropy -= share * np.log2(share)
            mean += share * one
            square += share * one * one
            product += share * one * other
    variance = square - mean * mean
    out[0], out[1], out[2], out[4] = contrast, homogeneity, np.sqrt(energy), entropy
    # Of one level alone, as in scikit-image.
    out[3] = (product - mean * mean) / variance if variance > 1e-12 else 1.0
