"""Refuse TIFF files whose pixels are not all there.

tifffile gives zeros for tiles that are missing and leaves out pages that cannot be reached; both would look like
an image.

Decode only the tiles or strips of a TIFF page that a region touches.

How the planes of a TIFF file make up one image: which page and sample hold which channel of which plane.

From stored samples to intensities: palettes, bilevel images and inverted gray.

Contiguous pixels of a file that cannot be mapped, read by ranges of rows.

Which pages of a TIFF file are images, which are smaller resolutions of one, and which are previews.

TIFF, BigTIFF and OME-TIFF, read by region.
"""

import itertools
import logging
import math
import struct
import threading
from collections import OrderedDict
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from functools import partial, reduce
from pathlib import Path

import numpy as np
import tifffile
from jaxtyping import Num
from scipy.ndimage import uniform_filter

from organscope.errors import ImageReadError, OrganscopeError
from organscope.io.remote import UrlFile, is_url
from organscope.io.selection import Channels, Choice, Selection, named_channels, select, selection_notes
from organscope.io.source import Level, as_pixels, pixel_dtype
from organscope.io.tiff.metadata import read_channel_names, read_pixel_size, read_value_range

#: A page, or what tifffile keeps of a page that is like the first one.
_Page = tifffile.TiffPage | tifffile.TiffFrame

#: Decoded tiles and strips that are kept: neighboring regions share them.
_CACHE_BYTES = 64 * 2**20


class SegmentCache:
    """The decoded segments that were used last, up to a number of bytes; safe between threads."""

    def __init__(self, max_bytes: int = _CACHE_BYTES) -> None:
        self._max_bytes = max_bytes
        self._n_bytes = 0
        self._kept: OrderedDict[tuple[int, int], np.ndarray] = OrderedDict()
        self._lock = threading.Lock()

    def get(self, key: tuple[int, int], decode: Callable[[], np.ndarray]) -> np.ndarray:
        """The segment of that key, decoded now if it is not kept."""
        with self._lock:
            if key in self._kept:
                self._kept.move_to_end(key)
                return self._kept[key]
        segment = decode()
        with self._lock:
            if key not in self._kept:
                self._kept[key] = segment
                self._n_bytes += segment.nbytes
            while self._n_bytes > self._max_bytes and len(self._kept) > 1:
                self._n_bytes -= self._kept.popitem(last=False)[1].nbytes
        return segment

    def clear(self) -> None:
        """Let all segments go."""
        with self._lock:
            self._kept.clear()
            self._n_bytes = 0


class SegmentReader:
    """Reads regions of the pages of one file."""

    def __init__(self, file: tifffile.TiffFile) -> None:
        self._file = file.filehandle
        self._file_lock = threading.Lock()
        self._cache = SegmentCache()

    def read(
        self,
        page: _Page,
        y: int,
        x: int,
        height: int,
        width: int,
        *,
        samples: Sequence[int] | None = None,
        depth: int = 0,
    ) -> Num[np.ndarray, "y x c"]:
        """A region of one depth plane of a page: all samples, or some that follow each other.

        Raises:
            ValueError, RuntimeError: A segment is missing or cannot be decoded.
        """
        n_separate, _, _, _, n_contiguous = page.keyframe.shaped
        samples = range(n_separate * n_contiguous) if samples is None else samples
        region = np.empty((height, width, len(samples)), page.dtype)
        inside = depth % page.keyframe.tiledepth if page.keyframe.is_tiled else 0
        for plane, index, top, left in _segments_touched(page.keyframe, y, x, height, width, depth):
            if n_separate > 1 and plane not in samples:
                continue
            segment = self._cache.get((page.offset, index), lambda i=index: self._decode(page, i))[inside]
            target_y, source_y = _overlap(top, segment.shape[0], y, height)
            target_x, source_x = _overlap(left, segment.shape[1], x, width)
            if n_separate > 1:
                region[target_y, target_x, plane - samples[0]] = segment[source_y, source_x, 0]
            else:
                region[target_y, target_x] = segment[source_y, source_x, samples[0] : samples[-1] + 1]
        return region

    def close(self) -> None:
        """Let the decoded segments go."""
        self._cache.clear()

    def _decode(self, page: _Page, index: int) -> Num[np.ndarray, "z y x c"]:
        offset, n_bytes = page.dataoffsets[index], page.databytecounts[index]
        if n_bytes == 0:
            raise ValueError(f"tile or strip {index} was never written")
        with self._file_lock:
            self._file.seek(offset)
            encoded = self._file.read(n_bytes)
        if len(encoded) != n_bytes:
            raise ValueError(f"tile or strip {index} ends after {len(encoded)} of {n_bytes} bytes")
        tables = {"jpegtables": page.jpegtables, "jpegheader": page.keyframe.jpegheader}
        return page.keyframe.decode(encoded, index, **tables)[0]


def _segment_shape(page: tifffile.TiffPage) -> tuple[int, int]:
    """Height and width of the tiles or strips of a page."""
    if page.is_tiled:
        return page.tilelength, page.tilewidth
    return min(page.rowsperstrip, page.imagelength), page.imagewidth


def _segments_touched(
    page: tifffile.TiffPage, y: int, x: int, height: int, width: int, depth_plane: int
) -> Iterator[tuple[int, int, int, int]]:
    """Sample plane, index in the file's tables, top row and left column of each segment of a region."""
    n_separate, depth, length, breadth, _ = page.shaped
    rows, columns = _segment_shape(page)
    n_down, n_across = math.ceil(length / rows), math.ceil(breadth / columns)
    tile_depth = page.tiledepth if page.is_tiled else 1
    n_depth = math.ceil(depth / tile_depth)
    for sample in range(n_separate):
        first = (sample * n_depth + depth_plane // tile_depth) * n_down * n_across
        for down in range(y // rows, (y + height - 1) // rows + 1):
            for across in range(x // columns, (x + width - 1) // columns + 1):
                yield sample, first + down * n_across + across, down * rows, across * columns


def _overlap(start: int, length: int, wanted: int, wanted_length: int) -> tuple[slice, slice]:
    """Where a segment lands in a region along one axis, and which part of it does."""
    low, high = max(start, wanted), min(start + length, wanted + wanted_length)
    return slice(low - wanted, high - wanted), slice(low - start, high - start)


def _require_all_pages(path: Path, file: tifffile.TiffFile) -> None:
    """Every page names the next one; the last one names none.

    Raises:
        ImageReadError: The chain of pages breaks off.
    """
    if len(file.pages) == 0:
        raise _truncated(path, file)
    kind, handle = file.tiff, file.filehandle
    handle.seek(file.pages[-1].offset)
    (n_tags,) = struct.unpack(kind.tagnoformat, handle.read(kind.tagnosize))
    handle.seek(n_tags * kind.tagsize, 1)
    (following,) = struct.unpack(kind.offsetformat, handle.read(kind.offsetsize))
    if following:
        raise _truncated(path, file)


def _require_contiguous_pixels(path: Path, file: tifffile.TiffFile, series: tifffile.TiffPageSeries) -> None:
    """All pixels of a contiguous series lie inside the file.

    Raises:
        ImageReadError: They reach beyond its end.
    """
    n_bytes = math.prod(series.shape) * series.dtype.itemsize
    if series.dataoffset + n_bytes > file.filehandle.size:
        raise _truncated(path, file)


def _require_segments(path: Path, file: tifffile.TiffFile, pages: Sequence[_Page | None], max_pixels: int) -> None:
    """All tiles or strips of some pages lie inside the file and are small enough to decode one by one.

    Raises:
        ImageReadError: A page is in another file, a tile or strip is missing, beyond the end or too large.
    """
    for page in pages:
        if page is None or page.parent is not file:
            raise ImageReadError(
                f"Expected all planes in one file, found that {path} refers to other files. Export it as one OME-TIFF."
            )
        extents = list(zip(page.dataoffsets, page.databytecounts, strict=True))
        is_short = len(extents) < math.prod(page.keyframe.chunked)
        if is_short or any(n == 0 or start + n > file.filehandle.size for start, n in extents):
            raise _truncated(path, file)
        height, width = _segment_shape(page.keyframe)
        if height * width > max_pixels:
            raise ImageReadError(
                f"Expected tiles or strips of at most {max_pixels / 1e6:.0f} megapixels, found "
                f"{height} x {width} px in {path}, which must be decoded as a whole. "
                "Convert it to a tiled TIFF, or allow more where a command has --max-megapixels."
            )


def _truncated(path: Path, file: tifffile.TiffFile) -> ImageReadError:
    return ImageReadError(
        f"Expected a whole TIFF file, found that {path} is truncated: pixels or pages are missing in its "
        f"{file.filehandle.size} bytes. Copy or export it again."
    )


_CHANNEL_AXES = "CS"
"""Axes that are channels by name: C and the samples of a pixel. All but these, Y, X, Z and T are pages."""
_NO_PAGES = "YXZT" + _CHANNEL_AXES


@dataclass(frozen=True)
class _PlanePages:
    """Where the channels of one plane lie.

    Attributes:
        pages: One or more; their channels follow each other.
        samples: Which samples of each; None for all.
        depth: Which plane of pages that hold several.
    """

    pages: tuple[_Page, ...]
    samples: tuple[int, ...] | None = None
    depth: int = 0


def _level_of(series: tifffile.TiffPageSeries, base: tifffile.TiffPageSeries) -> Level:
    """Size of one level of a pyramid and how many base pixels one of its pixels spans."""
    height, width = _axis_size(series, "Y"), _axis_size(series, "X")
    if min(height, width) < 1:
        return Level(height, width, 1.0)
    downsample = (_axis_size(base, "Y") / height + _axis_size(base, "X") / width) / 2
    return Level(height, width, downsample)


def _axis_size(series: tifffile.TiffPageSeries, axis: str) -> int:
    """Length of an axis of a series, 1 where it has no such axis."""
    return series.shape[series.axes.index(axis)] if axis in series.axes else 1


def _n_channels(series: tifffile.TiffPageSeries) -> int:
    """Channels of a series: the product of its channel axes."""
    return math.prod(size for axis, size in zip(series.axes, series.shape, strict=True) if axis in _CHANNEL_AXES)


def _count_planes(series: tifffile.TiffPageSeries) -> Selection:
    """How many pages, z planes and time points a series has; the first of each is taken."""
    pages = math.prod(size for axis, size in zip(series.axes, series.shape, strict=True) if axis not in _NO_PAGES)
    return Selection(n_pages=pages, n_z=_axis_size(series, "Z"), n_t=_axis_size(series, "T"))


def _plane_pages(series: tifffile.TiffPageSeries, selection: Selection, z: int) -> _PlanePages:
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
    return _PlanePages(tuple(series.pages[int(number)] for number in numbers), samples, depth)


def _cut_region(
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
        slice(None) if axis in "YX" + _CHANNEL_AXES else places[axis] if axis in places else next(of_pages)
        for axis in series.axes
    ]


_WHITE_IS_ZERO, _BLACK_IS_ZERO, _RGB, _PALETTE, MASK, _YCBCR = 0, 1, 2, 3, 4, 6
#: Compressions whose decoders give RGB for YCbCr.
_CONVERTING = {6, 7, 22610, 33007, 34892, 34712, 50001, 50002}


class _Color:
    """What has to be done to the samples of one file.

    Palettes become 8-bit RGB; one bit becomes 0 and 255; where white is zero the samples are inverted, so
    that larger always means brighter.
    """

    def __init__(self, path: Path, page: tifffile.TiffPage, as_stored: bool) -> None:
        known = page.photometric in (_WHITE_IS_ZERO, _BLACK_IS_ZERO, _RGB, _PALETTE, MASK)
        converted = page.photometric == _YCBCR and page.compression in _CONVERTING
        if (not known and not converted) or page.dtype is None:
            raise ImageReadError(
                f"Expected gray or RGB samples in {path}, found {page.dtype or page.bitspersample}, "
                f"color space {page.photometric}. Export it as RGB or gray with 8 or 16 bits."
            )
        pixels = pixel_dtype(page.dtype, path)
        self._is_inverted = not as_stored and page.photometric == _WHITE_IS_ZERO and page.dtype.kind in "bu"
        self._palette = None
        if page.photometric == _PALETTE and page.colormap is not None and not as_stored:
            self._palette = (page.colormap >> 8).astype(np.uint8).T
        self.dtype = pixels if self._palette is None else np.dtype(np.uint8)
        self._is_bilevel = page.dtype.kind == "b"

    @property
    def has_palette(self) -> bool:
        """Whether one stored sample becomes three channels."""
        return self._palette is not None

    def n_channels(self, n_stored: int) -> int:
        """Channels after `apply`, from those of the file."""
        return n_stored if self._palette is None else 3 * n_stored

    def value_range(self, stored: tuple[float, float]) -> tuple[float, float]:
        """Black and white after `apply`, from those of the file."""
        return stored if self._palette is None and not self._is_bilevel else (0.0, 255.0)

    def apply(self, samples: Num[np.ndarray, "y x c"], value_range: tuple[float, float]) -> Num[np.ndarray, "y x c"]:
        """Intensities from samples."""
        if self._palette is not None:
            colors = self._palette[samples.astype(np.intp)]
            return colors.reshape(*samples.shape[:2], -1)
        samples = as_pixels(samples, self.dtype)
        return self.dtype.type(value_range[1]) - samples if self._is_inverted else samples


class _RangedArray:
    """An array that lies contiguously in a file; indexing reads only the rows that are asked for.

    Attributes:
        shape: Of the whole array.
        dtype: Of its values, in the byte order of the file.
    """

    def __init__(
        self,
        read_at: Callable[[int, int], bytes],
        dtype: np.dtype,
        offset: int,
        shape: tuple[int, ...],
        y_axis: int,
    ) -> None:
        """Describe an array; nothing is read.

        Args:
            read_at: Gives so many bytes from an offset in the file, or fewer at its end.
            dtype: With its byte order.
            offset: Of the first value, in bytes.
            shape: Of the whole array.
            y_axis: Of its axes the one of the rows.
        """
        self.shape, self.dtype = shape, dtype
        self._read_at, self._offset, self._y_axis = read_at, offset, y_axis

    def __getitem__(self, index: tuple[int | slice, ...]) -> Num[np.ndarray, "..."]:
        """A region.

        Args:
            index: A number or a slice without steps for each axis; a slice for the rows.

        Raises:
            OSError: The file ends before.
        """
        leading, rows, trailing = index[: self._y_axis], index[self._y_axis], index[self._y_axis + 1 :]
        chosen = [self._numbers(axis, cut) for axis, cut in enumerate(leading)]
        planes = [self._rows(place, rows)[(slice(None), *trailing)] for place in itertools.product(*chosen)]
        kept = [len(numbers) for numbers, cut in zip(chosen, leading, strict=True) if isinstance(cut, slice)]
        return np.stack(planes).reshape(*kept, *planes[0].shape)

    def _numbers(self, axis: int, cut: int | slice) -> range:
        return range(self.shape[axis])[cut] if isinstance(cut, slice) else range(cut, cut + 1)

    def _rows(self, place: tuple[int, ...], rows: slice) -> Num[np.ndarray, "y ..."]:
        start, stop, _ = rows.indices(self.shape[self._y_axis])
        row_shape = self.shape[self._y_axis + 1 :]
        row_bytes = math.prod(row_shape) * self.dtype.itemsize
        n_rows = self.shape[self._y_axis]
        plane = int(np.ravel_multi_index(place, self.shape[: self._y_axis])) if place else 0
        encoded = self._read_at(self._offset + (plane * n_rows + start) * row_bytes, (stop - start) * row_bytes)
        if len(encoded) != (stop - start) * row_bytes:
            raise OSError(f"the file ends after {len(encoded)} of {(stop - start) * row_bytes} bytes")
        return np.frombuffer(encoded, self.dtype).reshape(stop - start, *row_shape)


_SLIDE_KINDS = ("svs", "ndpi", "scn", "bif", "philips", "avs", "qpi")
"""Kinds whose further series are thumbnails, labels and overviews of the glass."""

_REDUCED, _MASK = 1, 4
_OLD_REDUCED = 2


@dataclass
class _Scene:
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


def _find_scenes(
    file: tifffile.TiffFile, matches: Callable[[tifffile.TiffPageSeries, tifffile.TiffPageSeries], bool]
) -> list[_Scene]:
    """The images of a file in its order, without masks, previews, and the labels of slides.

    A smaller series is a level of a larger one where it has the same proportions, channels and pixel type, and
    shows the same.

    Args:
        file: Open.
        matches: Whether the pixels of a smaller series are those of a larger one; asked only where the file does not
            say that they belong together.
    """
    series = _series_of(file)
    series = series[:1] if series[0].kind in _SLIDE_KINDS else series
    found = [(level, number) for number, one in enumerate(series) for level in one.levels]
    found = [pair for pair in found if not _is_mask(pair[0])] or found
    scenes: list[_Scene] = []
    previews: list[_Scene] = []
    for level, number in sorted(found, key=lambda pair: -_area(pair[0])):
        family_first = sorted(scenes, key=lambda scene: scene.number != number)
        owner = next((scene for scene in family_first if _is_level(level, number, scene, matches)), None)
        if owner is not None:
            owner.levels.append(level)
        else:
            (previews if _is_reduced(level) else scenes).append(_Scene(number, [level]))
    return sorted(scenes or previews, key=lambda scene: scene.number)


def _series_of(file: tifffile.TiffFile) -> list[tifffile.TiffPageSeries]:
    try:
        return file.series
    except RuntimeError:
        # Of many pages only some are compared before all are taken for alike.
        file.is_uniform = False
        return file.series


def _largest(scenes: list[_Scene]) -> int:
    """The number of the scene with the most pixels, the first of equals."""
    return max(range(len(scenes)), key=lambda number: (_area(scenes[number].base), -number))


_ReadGray = Callable[[int, int, int, int], np.ndarray]
"""Gives a region (row, column, height, width) as gray."""

_COMPARED_PX = 512
"""Side of the regions of the larger image that are compared."""

_ALIKE = 0.5
"""Correlation from which two regions show the same; unrelated ones stay near 0."""


def shows_the_same(small: Level, read_large: _ReadGray, read_small: _ReadGray) -> bool:
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


def _is_reduced(series: tifffile.TiffPageSeries) -> bool:
    """Whether the file says that a series is a smaller version of another."""
    page = series.keyframe
    return bool(page.subfiletype & _REDUCED) or page.tags.valueof("SubfileType", 0) == _OLD_REDUCED


def _is_mask(series: tifffile.TiffPageSeries) -> bool:
    return bool(series.keyframe.subfiletype & _MASK) or series.keyframe.photometric == _MASK


def _area(series: tifffile.TiffPageSeries) -> int:
    return _axis_size(series, "Y") * _axis_size(series, "X")


def _is_level(
    level: tifffile.TiffPageSeries,
    number: int,
    scene: _Scene,
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
    sizes = [(_axis_size(base, axis), _axis_size(level, axis)) for axis in "YX"]
    if min(size for _, size in sizes) < 1:
        return False
    factor = sum(large / small for large, small in sizes) / 2
    # Sizes of levels are rounded up or down, or up to whole tiles of the next larger level.
    return factor > 1 and all(abs(large - small * factor) <= 2 * factor for large, small in sizes)


# tifffile reports damage to its log, which ends on the terminal where nobody listens; damage is checked here.
logging.getLogger("tifffile").addHandler(logging.NullHandler())

_MAGIC = (b"II*\0", b"MM\0*", b"II+\0", b"MM\0+")
#: What the parser and the codecs raise for damaged or unknown content.
_DECODE_ERRORS = (
    ArithmeticError,
    AttributeError,
    LookupError,
    OSError,
    RuntimeError,
    TypeError,
    ValueError,
    struct.error,
)


def is_tiff(path: Path, head: bytes) -> bool:
    """Whether the first bytes are those of a TIFF file."""
    return head.startswith(_MAGIC)


class TiffSource:
    """A TIFF file: one of its images, with the levels of its pyramid.

    Channels are the axis C and the samples of a pixel; they are colors only where the file says so. Of z planes, time
    points, pages and images one is read, see `organscope.io.selection`. Contiguous pixels are mapped, else only
    the tiles or strips of a region are decoded.

    Attributes:
        orientation: What the tag of this name says.
    """

    def __init__(self, path: Path, max_pixels: int, choice: Choice, as_stored: bool = False) -> None:
        self._path = path
        self._channel: int | None = None
        try:
            # Kept, because tifffile closes only what it has opened itself.
            self._remote = UrlFile(path) if is_url(path) else None
            self._file = tifffile.TiffFile(path if self._remote is None else self._remote)
        except _DECODE_ERRORS as error:
            raise _damaged(path, error) from error
        try:
            self._describe(max_pixels, choice, as_stored)
        except _DECODE_ERRORS as error:
            self._file.close()
            raise _damaged(path, error) from error
        except OrganscopeError:
            self._file.close()
            raise

    def _describe(self, max_pixels: int, choice: Choice, as_stored: bool) -> None:
        _require_all_pages(self._path, self._file)
        self._segments = SegmentReader(self._file)
        self._max_pixels = max_pixels
        scenes = _find_scenes(self._file, self._shows_the_same)
        found = Selection(n_series=len(scenes), series=_largest(scenes))
        found = select(replace(choice, page=None, z=None, t=None, project=None), found, self._path)
        scene = scenes[found.series]
        base, page = scene.base, scene.base.keyframe
        planes = _count_planes(base)
        counted = replace(found, n_pages=planes.n_pages, n_z=planes.n_z, n_t=planes.n_t, n_channels=_n_channels(base))
        self.selection = select(choice, counted, self._path)
        self.notes = selection_notes(choice, self.selection)
        self._series = scene.levels
        self.levels: tuple[Level, ...] = tuple(_level_of(level, base) for level in self._series)
        _require_pixels(self._path, self.levels[0])
        self._colour = _Color(self._path, page, as_stored)
        self._planes = [self._checked_planes(level) for level in self._series]
        self.dtype = self._colour.dtype
        self.channels = self._named_channels(scene.number, base)
        self.n_channels = len(self.channels)
        stated = read_pixel_size(self._file, page, scene.number)
        self.um_per_px, self.pixel_notes = stated.um_per_px, stated.notes
        self.value_range = self._colour.value_range(read_value_range(self._file, page, page.dtype, scene.number))
        self.orientation = page.tags.valueof("Orientation", 1)

    def _named_channels(self, number: int, base: tifffile.TiffPageSeries) -> Channels:
        page, n_stored = base.keyframe, _n_channels(base)
        if self._colour.has_palette:
            return Channels.unnamed(3 * n_stored, is_color=True)
        n_samples = _axis_size(base, "S")
        has_alpha = n_samples > 1 and bool(page.extrasamples) and page.extrasamples[-1] in (1, 2)
        if page.photometric in (_RGB, _YCBCR) and n_samples >= 3:
            colors = Channels.unnamed(n_stored, is_color=True, has_alpha=has_alpha)
            n_images = n_stored // n_samples
            note = f"The first of {n_images} images in color was looked at; the others are channels {n_samples} and up."
            return colors if n_images == 1 else replace(colors, note=note)
        names = read_channel_names(self._file, number, n_stored)
        return named_channels(names, has_alpha=has_alpha and n_stored == n_samples)

    def _checked_planes(self, series: tifffile.TiffPageSeries) -> list[_PlanePages]:
        """Where the planes that are read lie, z by z; none where the pixels can be mapped."""
        if _is_mapped(series):
            _require_contiguous_pixels(self._path, self._file, series)
            return []
        planes = [_plane_pages(series, self.selection, z) for z in self.selection.planes]
        for plane in planes:
            _require_segments(self._path, self._file, plane.pages, self._max_pixels)
        return planes

    def choose_channel(self, channel: int) -> None:
        """Read only one channel from now on."""
        self._channel, self._n_stored, self.n_channels = channel, self.n_channels, 1

    def read(self, level: int, y_px: int, x_px: int, height_px: int, width_px: int) -> Num[np.ndarray, "y x c"]:
        """Pixels of a region; raises ImageReadError where the file is damaged."""
        region = (y_px, x_px, height_px, width_px)
        # A palette makes the channels, so that they can only be told apart afterwards.
        stored = None if self._colour.has_palette else self._channel
        try:
            # One after the other, so that a projection takes no more memory than two planes of a region.
            planes = (self._read_plane(level, number, stored, region) for number in range(len(self.selection.planes)))
            pixels = reduce(np.fmax, planes)
        except _DECODE_ERRORS as error:
            raise _damaged(self._path, error) from error
        return pixels if stored == self._channel else pixels[:, :, self._channel, None]

    def close(self) -> None:
        """Close the file."""
        self._segments.close()
        self._file.close()
        if self._remote is not None:
            self._remote.close()

    def _read_plane(
        self, level: int, number: int, channel: int | None, region: tuple[int, int, int, int]
    ) -> Num[np.ndarray, "y x c"]:
        series = self._series[level]
        if _is_mapped(series):
            pixels = self._read_mapped(series, self.selection.planes[number], channel, *region)
        else:
            pixels = self._read_segments(self._planes[level][number], channel, region)
        return self._colour.apply(pixels, self.value_range)

    def _read_mapped(
        self, series: tifffile.TiffPageSeries, z: int, channel: int | None, y: int, x: int, height: int, width: int
    ) -> Num[np.ndarray, "y x c"]:
        rows, columns = slice(y, y + height), slice(x, x + width)
        return _cut_region(self._map(series), series, self.selection, z, rows, columns, channel)

    def _map(self, series: tifffile.TiffPageSeries) -> np.ndarray | _RangedArray:
        dtype = np.dtype(self._file.byteorder + series.dtype.char)
        if self._remote is not None:
            return _RangedArray(self._remote.read_at, dtype, series.dataoffset, series.shape, series.axes.index("Y"))
        # Mapped for one read only: pages of a map that stays open count as memory of the process.
        return np.memmap(self._path, dtype, "r", series.dataoffset, series.shape)

    def _read_segments(
        self, plane: _PlanePages, channel: int | None, region: tuple[int, int, int, int]
    ) -> Num[np.ndarray, "y x c"]:
        if channel is None:
            planes = [
                self._segments.read(page, *region, samples=plane.samples, depth=plane.depth) for page in plane.pages
            ]
            return planes[0] if len(planes) == 1 else np.concatenate(planes, axis=2)
        page, sample = divmod(channel, self._n_stored // len(plane.pages))
        samples = (sample,) if plane.samples is None else plane.samples
        return self._segments.read(plane.pages[page], *region, samples=samples, depth=plane.depth)

    def _shows_the_same(self, large: tifffile.TiffPageSeries, small: tifffile.TiffPageSeries) -> bool:
        """Whether a smaller series shows the same as a larger one: parts of both go up and down together."""
        return shows_the_same(_level_of(small, large), partial(self._gray, large), partial(self._gray, small))

    def _gray(self, series: tifffile.TiffPageSeries, y: int, x: int, height: int, width: int) -> np.ndarray:
        first = Selection()
        if _is_mapped(series):
            _require_contiguous_pixels(self._path, self._file, series)
            pixels = _cut_region(self._map(series), series, first, 0, slice(y, y + height), slice(x, x + width))
        else:
            plane = _plane_pages(series, first, 0)
            _require_segments(self._path, self._file, plane.pages, self._max_pixels)
            pixels = self._segments.read(plane.pages[0], y, x, height, width, samples=plane.samples)
        return pixels.astype(np.float64).mean(axis=2)


def _is_mapped(series: tifffile.TiffPageSeries) -> bool:
    whole_bytes = series.keyframe.bitspersample == 8 * series.dtype.itemsize
    return series.dataoffset is not None and whole_bytes


def _damaged(path: Path, error: Exception) -> ImageReadError:
    reason = str(error) or type(error).__name__
    return ImageReadError(
        f"Expected a whole TIFF file of a known kind, found that {path} cannot be read ({reason}). "
        "Copy or export it again; where the compression is the cause, export with LZW or Deflate."
    )


def _require_pixels(path: Path, level: Level) -> None:
    if min(level.height_px, level.width_px) < 1:
        raise ImageReadError(
            f"Expected an image with pixels, found {level.height_px} x {level.width_px} px in {path}. Export it again."
        )
