"""Which pages of a TIFF file are images, which are smaller resolutions of one, and which are previews."""

from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np
import tifffile
from scipy.ndimage import uniform_filter

from organscope.images.source import Level
from organscope.images.tiff_layout import axis_size

SLIDE_KINDS = ("svs", "ndpi", "scn", "bif", "philips", "avs", "qpi")
"""Kinds whose further series are thumbnails, labels and overviews of the glass."""

_REDUCED, _MASK = 1, 4
_OLD_REDUCED = 2


@dataclass
class Scene:
    """One image of a file.

    Attributes:
        number: Of its series in the file.
        levels: Its resolutions, the largest first.
    """

    number: int
    levels: list[tifffile.TiffPageSeries] = field(default_factory=list)

    @property
    def base(self) -> tifffile.TiffPageSeries:
        """Full resolution."""
        return self.levels[0]


def find_scenes(
    file: tifffile.TiffFile, matches: Callable[[tifffile.TiffPageSeries, tifffile.TiffPageSeries], bool]
) -> list[Scene]:
    """The images of a file in its order, without masks, previews, and the labels of slides.

    A smaller series is a level of a larger one where it has the same proportions, channels and pixel type, and
    shows the same.

    Args:
        file: Open.
        matches: Whether the pixels of a smaller series are those of a larger one; asked only where the file does not
            say that they belong together.
    """
    series = _series_of(file)
    series = series[:1] if series[0].kind in SLIDE_KINDS else series
    found = [(level, number) for number, one in enumerate(series) for level in one.levels]
    found = [pair for pair in found if not _is_mask(pair[0])] or found
    scenes: list[Scene] = []
    previews: list[Scene] = []
    for level, number in sorted(found, key=lambda pair: -_area(pair[0])):
        family_first = sorted(scenes, key=lambda scene: scene.number != number)
        owner = next((scene for scene in family_first if _is_level(level, number, scene, matches)), None)
        if owner is not None:
            owner.levels.append(level)
        else:
            (previews if is_reduced(level) else scenes).append(Scene(number, [level]))
    return sorted(scenes or previews, key=lambda scene: scene.number)


def _series_of(file: tifffile.TiffFile) -> list[tifffile.TiffPageSeries]:
    try:
        return file.series
    except RuntimeError:
        # Of many pages only some are compared before all are taken for alike.
        file.is_uniform = False
        return file.series


def largest(scenes: list[Scene]) -> int:
    """The number of the scene with the most pixels, the first of equals."""
    return max(range(len(scenes)), key=lambda number: (_area(scenes[number].base), -number))


ReadGray = Callable[[int, int, int, int], np.ndarray]
"""Gives a region (row, column, height, width) as gray."""

_COMPARED_PX = 512
"""Side of the regions of the larger image that are compared."""

_ALIKE = 0.5
"""Correlation from which two regions show the same; unrelated ones stay near 0."""


def shows_the_same(small: Level, read_large: ReadGray, read_small: ReadGray) -> bool:
    """Whether a smaller image shows the same as a larger one: three regions of both go up and down together.

    Args:
        small: Size of the smaller one, and how many pixels of the larger one of its pixels spans.
        read_large: Reads the larger one.
        read_small: Reads the smaller one.
    """
    step = small.downsample
    side_y, side_x = (max(1, min(size, int(_COMPARED_PX / step))) for size in (small.height_px, small.width_px))
    parts, means, firsts = [], [], []
    for place in (0.0, 0.5, 1.0):
        y, x = int((small.height_px - side_y) * place), int((small.width_px - side_x) * place)
        top, left = int(y * step), int(x * step)
        # Sizes of levels are rounded: the last row and column may lie half outside.
        region = read_large(top, left, max(1, int(side_y * step - step / 2)), max(1, int(side_x * step - step / 2)))
        smooth = uniform_filter(region, round(step), mode="nearest")
        parts.append(read_small(y, x, side_y, side_x).ravel())
        means.append(_every(smooth, side_y, side_x, step, 0.5))
        firsts.append(_every(region, side_y, side_x, step, 0.0))
    whole = np.concatenate(parts)
    return any(_go_together(whole, np.concatenate(other)) for other in (means, firsts))


def _every(region: np.ndarray, n_rows: int, n_columns: int, step: float, offset: float) -> np.ndarray:
    rows, columns = (
        np.minimum(((np.arange(n) + offset) * step).astype(int), size - 1)
        for n, size in zip((n_rows, n_columns), region.shape, strict=True)
    )
    return region[np.ix_(rows, columns)].ravel()


def _go_together(one: np.ndarray, other: np.ndarray) -> bool:
    with np.errstate(invalid="ignore"):
        flat = one.std() == 0 or other.std() == 0
        return bool(one.mean() == other.mean()) if flat else bool(np.corrcoef(one, other)[0, 1] >= _ALIKE)


def is_reduced(series: tifffile.TiffPageSeries) -> bool:
    """Whether the file says that a series is a smaller version of another."""
    page = series.keyframe
    return bool(page.subfiletype & _REDUCED) or page.tags.valueof("SubfileType", 0) == _OLD_REDUCED


def _is_mask(series: tifffile.TiffPageSeries) -> bool:
    return bool(series.keyframe.subfiletype & _MASK) or series.keyframe.photometric == _MASK


def _area(series: tifffile.TiffPageSeries) -> int:
    return axis_size(series, "Y") * axis_size(series, "X")


def _is_level(
    level: tifffile.TiffPageSeries,
    number: int,
    scene: Scene,
    matches: Callable[[tifffile.TiffPageSeries, tifffile.TiffPageSeries], bool],
) -> bool:
    base = scene.base
    if _area(level) >= _area(base) or not _same_kind(level, base) or not _same_proportions(level, base):
        return False
    is_told = level.keyframe.is_subifd or level.kind not in ("generic", "uniform", "shaped")
    return (number == scene.number and is_told) or matches(base, level)


def _same_kind(level: tifffile.TiffPageSeries, base: tifffile.TiffPageSeries) -> bool:
    others = [
        [(axis, size) for axis, size in zip(one.axes, one.shape, strict=True) if axis not in "YX"]
        for one in (level, base)
    ]
    kinds = [(one.dtype, one.keyframe.photometric, one.keyframe.samplesperpixel) for one in (level, base)]
    return others[0] == others[1] and (kinds[0] == kinds[1] or _both_color(level, base))


def _both_color(level: tifffile.TiffPageSeries, base: tifffile.TiffPageSeries) -> bool:
    """RGB and YCbCr may stand beside each other in one pyramid."""
    color = (tifffile.PHOTOMETRIC.RGB, tifffile.PHOTOMETRIC.YCBCR)
    same = level.dtype == base.dtype and level.keyframe.samplesperpixel == base.keyframe.samplesperpixel
    return same and level.keyframe.photometric in color and base.keyframe.photometric in color


def _same_proportions(level: tifffile.TiffPageSeries, base: tifffile.TiffPageSeries) -> bool:
    sizes = [(axis_size(base, axis), axis_size(level, axis)) for axis in "YX"]
    if min(size for _, size in sizes) < 1:
        return False
    factor = sum(large / small for large, small in sizes) / 2
    # Sizes of levels are rounded up or down, or up to whole tiles of the next larger level.
    return factor > 1 and all(abs(large - small * factor) <= 2 * factor for large, small in sizes)
