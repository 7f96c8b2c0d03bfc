"""The figures by which a bundle judges its own answer on an image (`organscope.decision.trust`).

They cost no further look at the image: those of maps are sums of integers over pixels, the same to the last bit however
an image is cut into tiles or windows; those of cells come from their table.
"""

from dataclasses import dataclass
from typing import Self

import numpy as np
from jaxtyping import Float32, Int64, Real

from organscope.models import Bundle
from organscope.ops.instances import HEAD_MAPS

_BINS = 20
_STEPS = 255
_LITTLE = 0.01

_FEW_CELLS = 4
"""With fewer nothing can be told; images of which so little is found are mostly strange ones."""


@dataclass(frozen=True)
class MapSums:
    """What the maps of an image, or of a part of it, add up to.

    Attributes:
        histogram: Pixels by foreground probability, in steps of 1/20.
        n_inside: Pixels of foreground.
        total: Sum of each of the head's maps over these, in steps of 1/255.
        squares: Sum of their squares.
    """

    histogram: Int64[np.ndarray, " bins"]
    n_inside: int
    total: Int64[np.ndarray, " k"]
    squares: Int64[np.ndarray, " k"]

    @classmethod
    def none(cls, bundle: Bundle) -> Self:
        """Of no pixel."""
        nothing = np.zeros(len(HEAD_MAPS[bundle.manifest.segmentation.decoder.head]) - 1, np.int64)
        return cls(np.zeros(_BINS, np.int64), 0, nothing, nothing)

    @classmethod
    def of(cls, maps: Float32[np.ndarray, "y x k"], threshold: float) -> Self:
        """Of the maps of some pixels.

        Args:
            maps: Foreground probability and the head's maps, in [0, 1].
            threshold: Foreground begins here.
        """
        foreground = maps[:, :, 0]
        bins = np.minimum((foreground * _BINS).astype(np.uint8), _BINS - 1)
        inside = np.rint(maps[foreground >= threshold][:, 1:] * _STEPS).astype(np.int64)
        histogram = np.bincount(bins.ravel(), minlength=_BINS)
        return cls(histogram, len(inside), inside.sum(axis=0), (inside**2).sum(axis=0))

    @classmethod
    def from_array(cls, values: Int64[np.ndarray, " n"]) -> Self:
        """What `as_array` gave."""
        n_maps = (len(values) - _BINS - 1) // 2
        histogram, (n_inside,), total, squares = np.split(values, [_BINS, _BINS + 1, _BINS + 1 + n_maps])
        return cls(histogram, int(n_inside), total, squares)

    def as_array(self) -> Int64[np.ndarray, " n"]:
        """All numbers in one row, to be stored."""
        return np.concatenate([self.histogram, [self.n_inside], self.total, self.squares])

    def __add__(self, other: "MapSums") -> "MapSums":
        return MapSums(
            self.histogram + other.histogram,
            self.n_inside + other.n_inside,
            self.total + other.total,
            self.squares + other.squares,
        )

    def figures(self) -> dict[str, float]:
        """Names and values of what the maps tell.

        `unsure` and `soft`: logarithm of the pixels of about .5 (.3 to .7), and of .1 to .5, for each of foreground;
        `sure`: share of the foreground above .9; `inside_k` and `varies_k`: mean and standard deviation of map k in it.
        """
        counts = self.histogram.astype(np.float64)
        foreground = max(counts[_BINS // 2 :].sum(), 1.0)
        n_inside = max(self.n_inside, 1)
        mean = self.total / _STEPS / n_inside
        deviation = np.sqrt(np.maximum(self.squares / _STEPS**2 / n_inside - mean**2, 0.0))
        return {
            "unsure": float(np.log(counts[6:14].sum() / foreground + _LITTLE)),
            "soft": float(np.log(counts[2:10].sum() / foreground + _LITTLE)),
            "sure": float(counts[18:].sum() / foreground),
            **{f"inside_{number}": float(value) for number, value in enumerate(mean, 1)},
            **{f"varies_{number}": float(value) for number, value in enumerate(deviation, 1)},
        }


def trust_figures(
    sums: MapSums,
    probability: Real[np.ndarray, " n"],
    area_px: Real[np.ndarray, " n"],
    factor: float,
    bundle: Bundle,
) -> dict[str, float] | None:
    """All figures of one image; None of hardly any cells, or where the bundle does not know how large its cells were.

    Args:
        sums: Of its maps.
        probability: That each cell is real, as a bundle gives it.
        area_px: Of each cell, in pixels of the image.
        factor: Pixels that the network saw for one of the image.
        bundle: That found the cells.
    """
    spec = bundle.manifest.segmentation
    bright = spec.decoder.foreground_threshold
    if spec.cell_calibration is not None:
        bright = spec.cell_calibration.apply(np.array([bright]))[0]
    # Fainter ones are only there where somebody asked for them.
    kept = probability >= np.float32(bright)
    if kept.sum() < _FEW_CELLS or spec.typical_diameter_px is None:
        return None
    probability = probability[kept].astype(np.float64)
    diameter = np.sqrt(4 * area_px[kept].astype(np.float64) / np.pi) * factor
    return sums.figures() | {
        "mean_probability": float(probability.mean()),
        "low_probability": float(np.quantile(probability, 0.1)),
        "size": float(np.log2(np.median(diameter) / spec.typical_diameter_px)),
    }
