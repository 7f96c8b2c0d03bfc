"""More measures of cells, where they are asked for: texture, stains, neighbors.

| name | columns |
|---|---|
| `texture` | see `organscope.ops.texture` |
| `stain` | mean optical density of hematoxylin, eosin and DAB in cell and ring; see `organscope.ops.stains` |
| `neighbors` | see `organscope.ops.neighbors` |

Those of a slide are measured when its labels are written, window by window, with enough around each window that every
cell of up to 500 px is measured whole, and with its ring.
"""

from collections.abc import Sequence
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from jaxtyping import Float64, Int32, Num

from organscope.errors import InputError, UsageError
from organscope.io import Image, open_image
from organscope.ops.intensity import display_range
from organscope.ops.neighbors import measure_neighbors
from organscope.ops.pixel_size import PixelSize
from organscope.ops.regionprops import label_numbers
from organscope.ops.stains import HED, measure_stains
from organscope.ops.texture import measure_texture

TEXTURE, STAIN, NEIGHBORS = MEASURES = ("texture", "stain", "neighbors")

_WINDOW_PX, _MARGIN_PX = 2048, 272
_SAMPLE_PX = 4_000_000

_Columns = dict[str, np.ndarray]


def require_measures(names: Sequence[str] | str) -> tuple[str, ...]:
    """The measures of that name, each once, in the order of `MEASURES`.

    Raises:
        UsageError: There is no such measure.
    """
    given = [names] if isinstance(names, str) else list(names)
    if unknown := [name for name in given if name not in MEASURES]:
        raise UsageError(f"Expected measures among {', '.join(MEASURES)}, found {', '.join(map(str, unknown))}.")
    return tuple(name for name in MEASURES if name in given)


def more_measures(
    image: Image,
    labels: Int32[np.ndarray, "y x"],
    centroids_px: Float64[np.ndarray, "n 2"],
    names: Sequence[str],
    um_per_px: PixelSize | None,
) -> _Columns:
    """Columns of the measures that are asked for, one row a cell in the order of their labels.

    Raises:
        InputError: The image is damaged, or has no color to measure stains in.
    """
    measured = _PixelMeasures.of(image, names, um_per_px)
    columns = measured.columns(labels, image.read_whole()) if measured.wanted else {}
    return columns | _neighbors(image, centroids_px, names, um_per_px)


def more_measures_of_slide(
    image: Image, labels_path: Path, centroids_px: Float64[np.ndarray, "n 2"], names: Sequence[str],
    um_per_px: PixelSize | None,
) -> _Columns:  # fmt: skip
    """The same for the cells 1..n of a slide whose labels are written, in flat memory.

    Raises:
        InputError: The image is damaged, or has no color to measure stains in.
    """
    measured = _PixelMeasures.of(image, names, um_per_px)
    n_cells = len(centroids_px)
    columns = {name: np.full(n_cells, np.nan) for name in measured.names()}
    if measured.wanted and n_cells:
        window = (centroids_px // _WINDOW_PX).astype(np.int64)
        with closing(open_image(labels_path)) as written:
            for down, across in np.unique(window, axis=0).tolist():
                owned = np.flatnonzero((window == (down, across)).all(axis=1)) + 1
                _measure_window(image, written, measured, (down * _WINDOW_PX, across * _WINDOW_PX), owned, columns)
    return columns | _neighbors(image, centroids_px, names, um_per_px)


def _measure_window(
    image: Image, written: Image, measured: "_PixelMeasures", corner: tuple[int, int], owned: np.ndarray,
    columns: _Columns,
) -> None:  # fmt: skip
    top, left = (max(0, start - _MARGIN_PX) for start in corner)
    bottom = min(image.height_px, corner[0] + _WINDOW_PX + _MARGIN_PX)
    right = min(image.width_px, corner[1] + _WINDOW_PX + _MARGIN_PX)
    box = (top, left, bottom - top, right - left)
    labels = np.ascontiguousarray(written.read(*box)[:, :, 0], dtype=np.int32)
    there = label_numbers(labels)[1]
    mine = np.isin(there, owned)
    for name, values in measured.columns(labels, image.read(*box)).items():
        columns[name][there[mine] - 1] = values[mine]


def _neighbors(
    image: Image, centroids_px: Float64[np.ndarray, "n 2"], names: Sequence[str], um_per_px: PixelSize | None
) -> _Columns:
    if NEIGHBORS not in names:
        return {}
    return measure_neighbors(centroids_px, (image.height_px, image.width_px), um_per_px)


@dataclass(frozen=True)
class _PixelMeasures:
    """Measures that depend on the pixels of a cell and around it, and what of the image they depend on."""

    image: Image
    wanted: tuple[str, ...]
    um_per_px: PixelSize | None
    gray_range: tuple[float, float]

    @classmethod
    def of(cls, image: Image, names: Sequence[str], um_per_px: PixelSize | None) -> "_PixelMeasures":
        """What is needed of an image, which is sampled once."""
        wanted = tuple(name for name in (TEXTURE, STAIN) if name in names)
        if STAIN in wanted and image.visible(image.read(0, 0, 1, 1)).shape[2] != 3:
            raise InputError(
                f"Expected a color image to measure stains in, found one channel in {image.path}. Leave the measure "
                "stain out."
            )
        shown = (0.0, 1.0)
        if TEXTURE in wanted:
            shown, _ = display_range(image.visible(image.sample(_SAMPLE_PX)), image.value_range)
        return cls(image, wanted, um_per_px, shown)

    def columns(self, labels: Int32[np.ndarray, "y x"], pixels: Num[np.ndarray, "y x c"]) -> _Columns:
        """The columns of the cells of a region."""
        seen = np.ascontiguousarray(self.image.visible(pixels))
        found = measure_texture(labels, seen, self.gray_range) if TEXTURE in self.wanted else {}
        if STAIN in self.wanted:
            white = float(self.image.value_range[1])
            found |= measure_stains(labels, seen, HED, white=white, um_per_px=self.um_per_px)
        return found

    def names(self) -> list[str]:
        """Of the columns."""
        n_channels = 3 if STAIN in self.wanted else 1
        nothing = np.zeros((1, 1), np.int32)
        found = measure_texture(nothing, np.zeros((1, 1, n_channels), np.uint8), (0.0, 1.0))
        found = found if TEXTURE in self.wanted else {}
        if STAIN in self.wanted:
            found |= measure_stains(nothing, np.zeros((1, 1, 3), np.uint8), HED)
        return list(found)
