"""How the planes of a TIFF file make up one image: which page and sample hold which channel of which plane."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import tifffile
from jaxtyping import Num

from organscope.images.selection import Selection
from organscope.images.source import Level
from organscope.images.tiff_segments import Page

CHANNEL_AXES = "CS"
"""Axes that are channels by name: C and the samples of a pixel. All but these, Y, X, Z and T are pages."""
_NO_PAGES = "YXZT" + CHANNEL_AXES


@dataclass(frozen=True)
class PlanePages:
    """Where the channels of one plane lie.

    Attributes:
        pages: One or more; their channels follow each other.
        samples: Which samples of each; None for all.
        depth: Which plane of pages that hold several.
    """

    pages: tuple[Page, ...]
    samples: tuple[int, ...] | None = None
    depth: int = 0


def level_of(series: tifffile.TiffPageSeries, base: tifffile.TiffPageSeries) -> Level:
    """Size of one level of a pyramid and how many base pixels one of its pixels spans."""
    height, width = axis_size(series, "Y"), axis_size(series, "X")
    if min(height, width) < 1:
        return Level(height, width, 1.0)
    downsample = (axis_size(base, "Y") / height + axis_size(base, "X") / width) / 2
    return Level(height, width, downsample)


def axis_size(series: tifffile.TiffPageSeries, axis: str) -> int:
    """Length of an axis of a series, 1 where it has no such axis."""
    return series.shape[series.axes.index(axis)] if axis in series.axes else 1


def n_channels(series: tifffile.TiffPageSeries) -> int:
    """Channels of a series: the product of its channel axes."""
    return math.prod(size for axis, size in zip(series.axes, series.shape, strict=True) if axis in CHANNEL_AXES)


def count_planes(series: tifffile.TiffPageSeries) -> Selection:
    """How many pages, z planes and time points a series has; the first of each is taken."""
    pages = math.prod(size for axis, size in zip(series.axes, series.shape, strict=True) if axis not in _NO_PAGES)
    return Selection(n_pages=pages, n_z=axis_size(series, "Z"), n_t=axis_size(series, "T"))


def plane_pages(series: tifffile.TiffPageSeries, selection: Selection, z: int) -> PlanePages:
    """The pages and samples that hold the channels of one plane of a series.

    Raises:
        ValueError: There are not as many pages as the axes ask for.
    """
    index = _axis_index(series, selection, z)
    inside = series.keyframe.axes
    leading = len(series.axes) - len(inside)
    shape = series.shape[: max(leading, 0)]
    if leading < 0 or len(series.pages) != math.prod(shape):
        raise ValueError(f"{len(series.pages)} page(s) do not fit its axes {series.axes} of {series.shape}")
    numbers = np.ravel(np.arange(math.prod(shape)).reshape(shape)[tuple(index[:leading])])
    depth, samples = 0, None
    for axis, cut in zip(inside, index[leading:], strict=True):
        if axis == "Z" and isinstance(cut, int):
            depth = cut
        elif axis == "S" and isinstance(cut, int):
            samples = (cut,)
    return PlanePages(tuple(series.pages[int(number)] for number in numbers), samples, depth)


def cut_region(
    pixels: Num[np.ndarray, "..."],
    series: tifffile.TiffPageSeries,
    selection: Selection,
    z: int,
    rows: slice,
    columns: slice,
    channel: int | None = None,
) -> Num[np.ndarray, "y x c"]:
    """A copy of a region of one plane of a whole series, one or all channels last."""
    cuts = {"Y": rows, "X": columns}
    index = [cuts.get(axis, cut) for axis, cut in zip(series.axes, _axis_index(series, selection, z), strict=True)]
    left = "".join(axis for axis, cut in zip(series.axes, index, strict=True) if isinstance(cut, slice))
    channels = [position for position, axis in enumerate(left) if axis not in "YX"]
    region = np.transpose(pixels[tuple(index)], [left.index("Y"), left.index("X"), *channels])
    region = region.reshape(*region.shape[:2], -1)
    region = region if channel is None else region[:, :, channel, None]
    return np.array(region, dtype=pixels.dtype.newbyteorder("="))


def _axis_index(series: tifffile.TiffPageSeries, selection: Selection, z: int) -> list[int | slice]:
    """Of each axis the place that is read, or all of it."""
    page_axes = [size for axis, size in zip(series.axes, series.shape, strict=True) if axis not in _NO_PAGES]
    pages: Sequence[int] = [int(n) for n in np.unravel_index(selection.page, page_axes)] if page_axes else []
    of_pages = iter(pages)
    places = {"Z": z, "T": selection.t}
    return [
        slice(None) if axis in "YX" + CHANNEL_AXES else places[axis] if axis in places else next(of_pages)
        for axis in series.axes
    ]
