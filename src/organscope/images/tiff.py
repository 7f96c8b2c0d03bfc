"""TIFF, BigTIFF and OME-TIFF, read by region."""

import logging
import struct
from dataclasses import replace
from functools import partial, reduce
from pathlib import Path

import numpy as np
import tifffile
from jaxtyping import Num

from organscope.errors import ImageReadError, OrganscopeError
from organscope.images.ranges import RangedArray
from organscope.images.selection import Channels, Choice, Selection, named_channels, select, selection_notes
from organscope.images.source import Level
from organscope.images.tiff_colour import RGB, YCBCR, Colour
from organscope.images.tiff_integrity import require_all_pages, require_contiguous_pixels, require_segments
from organscope.images.tiff_layout import (
    PlanePages,
    axis_size,
    count_planes,
    cut_region,
    level_of,
    n_channels,
    plane_pages,
)
from organscope.images.tiff_metadata import read_channel_names, read_pixel_size, read_value_range
from organscope.images.tiff_scenes import find_scenes, largest, shows_the_same
from organscope.images.tiff_segments import SegmentReader
from organscope.images.urls import UrlFile, is_url

# tifffile reports damage to its log, which ends on the terminal where nobody listens; damage is checked here.
logging.getLogger("tifffile").addHandler(logging.NullHandler())

MAGIC = (b"II*\0", b"MM\0*", b"II+\0", b"MM\0+")
#: What the parser and the codecs raise for damaged or unknown content.
DECODE_ERRORS = (
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
    return head.startswith(MAGIC)


class TiffSource:
    """A TIFF file: one of its images, with the levels of its pyramid.

    Channels are the axis C and the samples of a pixel; they are colors only where the file says so. Of z planes, time
    points, pages and images one is read, see `organscope.images.selection`. Contiguous pixels are mapped, else only
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
        except DECODE_ERRORS as error:
            raise _damaged(path, error) from error
        try:
            self._describe(max_pixels, choice, as_stored)
        except DECODE_ERRORS as error:
            self._file.close()
            raise _damaged(path, error) from error
        except OrganscopeError:
            self._file.close()
            raise

    def _describe(self, max_pixels: int, choice: Choice, as_stored: bool) -> None:
        require_all_pages(self._path, self._file)
        self._segments = SegmentReader(self._file)
        self._max_pixels = max_pixels
        scenes = find_scenes(self._file, self._shows_the_same)
        found = Selection(n_series=len(scenes), series=largest(scenes))
        found = select(replace(choice, page=None, z=None, t=None, project=None), found, self._path)
        scene = scenes[found.series]
        base, page = scene.base, scene.base.keyframe
        planes = count_planes(base)
        counted = replace(found, n_pages=planes.n_pages, n_z=planes.n_z, n_t=planes.n_t, n_channels=n_channels(base))
        self.selection = select(choice, counted, self._path)
        self.notes = selection_notes(choice, self.selection)
        self._series = scene.levels
        self.levels: tuple[Level, ...] = tuple(level_of(level, base) for level in self._series)
        _require_pixels(self._path, self.levels[0])
        self._colour = Colour(self._path, page, as_stored)
        self._planes = [self._checked_planes(level) for level in self._series]
        self.dtype = self._colour.dtype
        self.channels = self._named_channels(scene.number, base)
        self.n_channels = len(self.channels)
        stated = read_pixel_size(self._file, page, scene.number)
        self.um_per_px, self.pixel_notes = stated.um_per_px, stated.notes
        self.value_range = self._colour.value_range(read_value_range(self._file, page, page.dtype, scene.number))
        self.orientation = page.tags.valueof("Orientation", 1)

    def _named_channels(self, number: int, base: tifffile.TiffPageSeries) -> Channels:
        page, n_stored = base.keyframe, n_channels(base)
        if self._colour.has_palette:
            return Channels.unnamed(3 * n_stored, is_color=True)
        n_samples = axis_size(base, "S")
        has_alpha = n_samples > 1 and bool(page.extrasamples) and page.extrasamples[-1] in (1, 2)
        if page.photometric in (RGB, YCBCR) and n_samples >= 3:
            colors = Channels.unnamed(n_stored, is_color=True, has_alpha=has_alpha)
            n_images = n_stored // n_samples
            note = f"The first of {n_images} images in color was looked at; the others are channels {n_samples} and up."
            return colors if n_images == 1 else replace(colors, note=note)
        names = read_channel_names(self._file, number, n_stored)
        return named_channels(names, has_alpha=has_alpha and n_stored == n_samples)

    def _checked_planes(self, series: tifffile.TiffPageSeries) -> list[PlanePages]:
        """Where the planes that are read lie, z by z; none where the pixels can be mapped."""
        if _is_mapped(series):
            require_contiguous_pixels(self._path, self._file, series)
            return []
        planes = [plane_pages(series, self.selection, z) for z in self.selection.planes]
        for plane in planes:
            require_segments(self._path, self._file, plane.pages, self._max_pixels)
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
        except DECODE_ERRORS as error:
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
        return cut_region(self._map(series), series, self.selection, z, rows, columns, channel)

    def _map(self, series: tifffile.TiffPageSeries) -> np.ndarray | RangedArray:
        dtype = np.dtype(self._file.byteorder + series.dtype.char)
        if self._remote is not None:
            return RangedArray(self._remote.read_at, dtype, series.dataoffset, series.shape, series.axes.index("Y"))
        # Mapped for one read only: pages of a map that stays open count as memory of the process.
        return np.memmap(self._path, dtype, "r", series.dataoffset, series.shape)

    def _read_segments(
        self, plane: PlanePages, channel: int | None, region: tuple[int, int, int, int]
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
        return shows_the_same(level_of(small, large), partial(self._gray, large), partial(self._gray, small))

    def _gray(self, series: tifffile.TiffPageSeries, y: int, x: int, height: int, width: int) -> np.ndarray:
        first = Selection()
        if _is_mapped(series):
            require_contiguous_pixels(self._path, self._file, series)
            pixels = cut_region(self._map(series), series, first, 0, slice(y, y + height), slice(x, x + width))
        else:
            plane = plane_pages(series, first, 0)
            require_segments(self._path, self._file, plane.pages, self._max_pixels)
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
