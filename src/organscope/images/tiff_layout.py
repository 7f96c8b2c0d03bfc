"""How the planes of a TIFF file make up one image: channels and resolution levels."""

import math

import numpy as np
import tifffile
from jaxtyping import Num

from organscope.images.source import Level
from organscope.images.tiff_segments import Page

#: Axes that are channels by name.
CHANNEL_AXES = "CS"
#: Axes that tifffile leaves unnamed. They are offered as channels while they are few, so that nothing is
#: dropped silently: whoever opens the image chooses. More planes are a stack, of which the first is read.
UNNAMED_AXES = "QI"
MAX_UNNAMED_CHANNELS = 32


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


def channel_pages(series: tifffile.TiffPageSeries) -> list[Page]:
    """The pages that hold the channels of the first z plane and time point of a series.

    Raises:
        ValueError: There are not as many pages as the axes ask for.
    """
    leading = len(series.axes) - len(series.keyframe.axes)
    axes = list(zip(series.axes, series.shape, strict=True))[:leading]
    shape = [size for _, size in axes]
    if len(series.pages) != math.prod(shape):
        raise ValueError(f"{len(series.pages)} page(s) do not fit its axes {series.axes} of {series.shape}")
    numbers = np.arange(math.prod(shape)).reshape(shape)
    kept = tuple(slice(None) if _is_channel(*axis) else 0 for axis in axes)
    return [series.pages[int(number)] for number in np.ravel(numbers[kept])]


def cut_region(
    pixels: Num[np.ndarray, "..."], axes: str, rows: slice, columns: slice, channel: int | None = None
) -> Num[np.ndarray, "y x c"]:
    """A copy of a region of a whole series, one or all channels last and the first plane of every other axis."""
    cuts = {"Y": rows, "X": columns}
    index = [
        cuts.get(axis, slice(None) if _is_channel(axis, size) else 0)
        for axis, size in zip(axes, pixels.shape, strict=True)
    ]
    left = "".join(axis for axis, cut in zip(axes, index, strict=True) if isinstance(cut, slice))
    channels = [position for position, axis in enumerate(left) if axis not in "YX"]
    region = np.transpose(pixels[tuple(index)], [left.index("Y"), left.index("X"), *channels])
    region = region.reshape(*region.shape[:2], -1)
    region = region if channel is None else region[:, :, channel, None]
    return np.array(region, dtype=pixels.dtype.newbyteorder("="))


def n_channels(series: tifffile.TiffPageSeries) -> int:
    """Channels of a series: the product of its channel axes."""
    axes = zip(series.axes, series.shape, strict=True)
    return math.prod(size for axis, size in axes if axis not in "YX" and _is_channel(axis, size))


def _is_channel(axis: str, size: int) -> bool:
    return axis in CHANNEL_AXES or (axis in UNNAMED_AXES and size <= MAX_UNNAMED_CHANNELS)
