"""Texture of cells: how their gray levels are distributed, and how they lie beside each other.

| column | what | unit |
|---|---|---|
| `gray_std` | standard deviation of the gray values of a cell | of the file |
| `gray_skewness`, `gray_kurtosis` | of the gray values; 0 for a normal distribution, 0 where all are equal | none |
| `haralick_contrast` | mean square of the difference of levels side by side | levels squared |
| `haralick_homogeneity` | mean of 1 / (1 + that square), in (0, 1] | none |
| `haralick_energy` | root of the sum of squared shares of pairs, in (0, 1] | none |
| `haralick_correlation` | of levels side by side, -1 to 1; 1 where all are equal | none |
| `haralick_entropy` | of the shares of pairs | bits |

Gray is the mean of the channels that are seen. Haralick's features (IEEE Trans. Syst. Man Cybern. 3:610, 1973) are
those of one symmetric co-occurrence matrix of neighbors along rows, columns and diagonals (distance 1 px) with both
pixels in the cell, of 32 levels between black and white of the image; not-a-number for a cell of one pixel. They depend
on the pixel size: compare images of one magnification.
"""

import numpy as np
from jaxtyping import Float64, Int32, Num

from organscope.ops._kernels.texture import cooccurrence_features, moments_of_cells
from organscope.ops.regionprops import cell_boxes, label_numbers, require_fitting

N_LEVELS = 32
_HARALICK = ("contrast", "homogeneity", "energy", "correlation", "entropy")


def measure_texture(
    labels: Int32[np.ndarray, "y x"], pixels: Num[np.ndarray, "height width c"], gray_range: tuple[float, float]
) -> dict[str, Float64[np.ndarray, " n"]]:
    """The columns named above, one row a cell in the order of their labels.

    Args:
        labels: 0 for background; each other value is a cell. Gaps are allowed.
        pixels: The channels that are seen, in the units of the file.
        gray_range: Values that are black and white, the same for all parts of an image.

    Raises:
        ShapeError: The image and the labels differ in height or width.
        ValueRangeError: A label is negative.
    """
    require_fitting(labels, pixels, None)
    labels, ids = label_numbers(labels)
    gray = pixels.mean(axis=2, dtype=np.float32)
    n_pixels, _, second, third, fourth = moments_of_cells(labels, gray, ids.size)[1:].T
    variance = second / n_pixels
    varies = variance > 1e-12
    skewness = np.divide(third / n_pixels, variance**1.5, out=np.zeros_like(variance), where=varies)
    kurtosis = np.divide(fourth / n_pixels, variance**2, out=np.full_like(variance, 3.0), where=varies) - 3
    features = cooccurrence_features(labels, _levels(gray, gray_range), cell_boxes(labels, ids.size), N_LEVELS)
    return {
        "gray_std": np.sqrt(variance),
        "gray_skewness": skewness,
        "gray_kurtosis": kurtosis,
        **{f"haralick_{name}": features[:, n] for n, name in enumerate(_HARALICK)},
    }


def _levels(gray: Num[np.ndarray, "y x"], gray_range: tuple[float, float]) -> Num[np.ndarray, "y x"]:
    low, high = gray_range
    share = (gray - np.float32(low)) * np.float32(N_LEVELS / max(high - low, 1e-12))
    return np.clip(share, 0, N_LEVELS - 1).astype(np.uint8)
