"""A network's maps over any window of an image, equal to the same part of the maps of the whole image.

The windows of one image are planned together, so that all tiles have one shape: onnxruntime then works in the same
memory from the first tile to the last, and a worker elsewhere computes the same tiles.

One slide, region by region: what a window says, and what the pieces over its seams say.

Each answer depends on the image, the bundles and the number of the region alone, so that any process can give it.
"""

import math
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor, wait
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from jaxtyping import Bool, Float32, Int32, UInt8
from shapely.geometry.base import BaseGeometry

from organscope.inference.cell_classification import CellOrgans, classify_centers
from organscope.inference.cell_kinds import KIND_COLUMNS, CellKinds, name_cell_kinds
from organscope.inference.classify import FieldAnswers, FieldReader
from organscope.inference.maps import MAX_TILE_PX, Factor, both_axes, run_tile, scale_image
from organscope.inference.prefetch import run_ahead
from organscope.inference.preprocess import ImageNormalizer, require_task
from organscope.inference.segment import decoder_at
from organscope.inference.stitching import Box, OpenPieces, SeamBatch, decode_open, decode_window
from organscope.inference.tissue import Tissue
from organscope.inference.trust import MapSums
from organscope.io import Image
from organscope.models import Bundle
from organscope.ops.instances import Decoder
from organscope.ops.polygons import cell_polygons, move_polygons
from organscope.ops.regionprops import measure_cells
from organscope.ops.resample import Taps, axis_taps, resample
from organscope.ops.tiling import Span, padded_length, read_tile

_HasTissue = Callable[[int, int, int, int], bool]
"""Whether there is anything in a rectangle of the image: first row, end row, first column, end column."""

_Window = tuple[slice, slice]
"""Rows and columns of the image; both bounds are given."""


@dataclass(frozen=True)
class _Axis:
    """How one axis of an image is cut into windows, and each window into tiles.

    Attributes:
        windows: In pixels of the image; they cover it once.
        spans: The tiles of each window, in pixels that the network sees; all of one length, unless the axis is
            shorter than a tile.
        taps: From pixels of the network to those of the image; None where they are the same.
    """

    windows: tuple[slice, ...]
    spans: tuple[tuple[Span, ...], ...]
    taps: Taps | None

    @property
    def tile_px(self) -> int:
        """Length of a tile in pixels that the network sees."""
        return self.spans[0][0].stop - self.spans[0][0].start


class WindowMaps:
    """The maps of one image, window by window."""

    def __init__(
        self,
        image: Image,
        bundle: Bundle,
        *,
        factor: Factor,
        window_px: int,
        max_tile_px: int,
        has_tissue: _HasTissue | None = None,
        ahead: bool = True,
    ) -> None:
        """Plan the windows, and read a sample of the image to know its black and white.

        Args:
            image: Any size from 1 x 1 px.
            bundle: For segmentation.
            factor: Pixels that the network sees for one of the image, along both axes, or along y and x.
            window_px: Longest side of a window, in pixels of the image.
            max_tile_px: Most pixels that go through the network at a time.
            has_tissue: Tiles without any are not predicted; their maps are 0. All are where it is not given.
            ahead: Read the next tile in a thread of its own while the network works on the present one.

        Raises:
            UsageError: The bundle is not for segmentation.
            InputError: The image is damaged, or of a kind that cannot be prepared.
        """
        require_task(bundle, "segmentation")
        self._bundle = bundle
        self._factors = both_axes(factor)
        self._has_tissue = has_tissue
        self._ahead = ahead
        self._seen = image if self._factors == (1.0, 1.0) else scale_image(image, factor)
        self._preparation = ImageNormalizer(image, bundle.manifest.preprocessing)
        self.rows, self.columns = plan_windows(image, self._seen, bundle, window_px, max_tile_px)

    def windows(self) -> list[_Window]:
        """All windows in raster order."""
        return [(rows, columns) for rows in self.rows.windows for columns in self.columns.windows]

    def maps(self, number: int) -> Float32[np.ndarray, "y x k"] | None:
        """The maps of one window of `windows`; None where it has no tissue.

        Raises:
            InputError: The image is damaged there.
        """
        row, column = divmod(number, len(self.columns.windows))
        rows, columns = self.rows.spans[row], self.columns.spans[column]
        tiles = [(one, other) for one in rows for other in columns if self._is_wanted(one, other)]
        if not tiles:
            return None
        top, left = rows[0].core_start, columns[0].core_start
        n_maps = len(self._bundle.manifest.segmentation.maps)
        seen = np.zeros((rows[-1].core_stop - top, columns[-1].core_stop - left, n_maps), np.float32)
        for (one, other), pixels in zip(tiles, self._read(tiles), strict=True):
            maps = run_tile(self._bundle, pixels)[one.inner, other.inner]
            seen[one.core_start - top : one.core_stop - top, other.core_start - left : other.core_stop - left] = maps
        down, across = self.rows.taps, self.columns.taps
        if down is None or across is None:
            return seen
        wanted = self.rows.windows[row], self.columns.windows[column]
        taps = (one.part(cut.start, cut.stop) for one, cut in zip((down, across), wanted, strict=True))
        return resample(seen, *taps, top=top, left=left)

    def _is_wanted(self, row: Span, column: Span) -> bool:
        if self._has_tissue is None:
            return True
        down, across = self._factors
        top, bottom, left, right = row.start / down, row.stop / down, column.start / across, column.stop / across
        return self._has_tissue(math.floor(top), math.ceil(bottom), math.floor(left), math.ceil(right))

    def _read(self, tiles: Sequence[tuple[Span, Span]]) -> Iterator[Float32[np.ndarray, "h w 3"]]:
        shape = (self._seen.height_px, self._seen.width_px)
        prepared = (self._preparation.network_input(read_tile(self._seen.read, shape, *tile)) for tile in tiles)
        return run_ahead(prepared) if self._ahead and len(tiles) > 1 else prepared


def plan_windows(image: Image, seen: Image, bundle: Bundle, window_px: int, max_tile_px: int) -> tuple[_Axis, _Axis]:
    """Cut both axes of an image.

    Args:
        image: As it is.
        seen: As the network sees it.
        bundle: Says how tiles must lie.
        window_px: Longest side of a window.
        max_tile_px: Most pixels of a tile; no core becomes narrower than its halo.
    """
    spec = bundle.manifest.segmentation
    halo = padded_length(spec.halo_px, spec.stride_px)
    side = max(math.isqrt(max_tile_px), 3 * halo + spec.stride_px)
    core = max(spec.stride_px, (side - 2 * halo) // spec.stride_px * spec.stride_px)
    return (
        _plan_axis(image.height_px, seen.height_px, window_px, core, spec.stride_px, halo),
        _plan_axis(image.width_px, seen.width_px, window_px, core, spec.stride_px, halo),
    )


def _plan_axis(length: int, seen_length: int, window_px: int, core: int, stride: int, halo: int) -> _Axis:
    taps = None if seen_length == length else axis_taps(seen_length, length)
    windows = _cut_windows(length, window_px, stride)
    needed = [(cut.start, cut.stop) if taps is None else _bounds(taps.part(cut.start, cut.stop)) for cut in windows]
    cores = [_cores(start, stop, core, stride) for start, stop in needed]
    padded = padded_length(seen_length, stride)
    tile = max(padded_length(stop, stride) - start // stride * stride for cut in cores for start, stop in cut)
    tile = min(tile + 2 * halo, padded)
    spans = tuple(tuple(_span(start, stop, tile, padded, stride, halo) for start, stop in cut) for cut in cores)
    return _Axis(windows, spans, taps)


def _cut_windows(length: int, window_px: int, stride: int) -> tuple[slice, ...]:
    """Even parts of an axis, of at most `window_px` rounded up to the stride."""
    n_windows = -(-length // window_px)
    step = padded_length(-(-length // n_windows), stride)
    return tuple(slice(start, min(start + step, length)) for start in range(0, length, step))


def _bounds(taps: Taps) -> tuple[int, int]:
    return int(taps.index.min()), int(taps.index.max()) + 1


def _cores(start: int, stop: int, core: int, stride: int) -> list[tuple[int, int]]:
    """Even parts of a stretch that are about as long as the core of a tile, or shorter."""
    n_parts = -(-(stop - start) // core)
    step = padded_length(-(-(stop - start) // n_parts), stride)
    return [(first, min(first + step, stop)) for first in range(start, stop, step)]


def _span(start: int, stop: int, tile: int, padded: int, stride: int, halo: int) -> Span:
    """A tile of the common length that sees at least a halo around its core, or the edge of the image."""
    first = max(0, min(start // stride * stride - halo, padded - tile))
    return Span(first, first + tile, start, stop)


WINDOW_PX = 2048
"""Longest side of a window: large enough that one cell in thirty lies on a seam, small enough for a few hundred MB."""

_STRIDE_PX = 16
"""On whose multiples windows begin where no network says it."""


@dataclass(frozen=True)
class SlideSettings:
    """How a slide is looked at.

    Attributes:
        factors: Pixels that the network for cells sees for one of the image, along y and x.
        window_px: Longest side of a window.
        max_tile_px: Most pixels that go through the network at a time.
        faint_threshold: As in `organscope.inference.segment_image`.
        factor: Pixels for one of the image that make its cells as large as those of the training, for classifiers;
            None where cells are not asked for.
    """

    factors: tuple[float, float] = (1.0, 1.0)
    window_px: int = WINDOW_PX
    max_tile_px: int = MAX_TILE_PX
    faint_threshold: float | None = None
    factor: float | None = None


@dataclass(frozen=True)
class RegionCells:
    """Cells that lie in a region of a slide entirely.

    Attributes:
        labels: Over the region: 0 for background, then 1..n.
        corner_px: First row and column of the region.
        columns: One row a cell, as `measure_cells` gives them but without `id`, and `probability`.
        outlines: A valid polygon for each, in pixels of the slide.
        organs: The organ of each; None where it was not asked for.
        kinds: The kind of each; None where it was not asked for.
    """

    labels: Int32[np.ndarray, "y x"]
    corner_px: tuple[int, int]
    columns: dict[str, np.ndarray]
    outlines: list[BaseGeometry]
    organs: CellOrgans | None
    kinds: CellKinds | None = None


@dataclass(frozen=True)
class WindowFindings:
    """What one window says.

    Attributes:
        cells: Those that are complete in it; None where it shows only glass, or cells were not asked for.
        open: Pieces of foreground that go on beside it; None as `cells`.
        others: See `WindowCells.others`.
        fields: What the network says of the fields with tissue that begin in it; None where it was not asked.
        sums: What its maps add up to; None as `cells`, and where the bundle does not judge its answers.
    """

    cells: RegionCells | None
    open: OpenPieces | None
    others: UInt8[np.ndarray, " _"]
    fields: FieldAnswers | None
    sums: MapSums | None = None


def slide_windows(image_px: tuple[int, int], window_px: int, cells: Bundle | None) -> list[tuple[slice, ...]]:
    """Rows and columns into which a slide is cut; their products, in raster order, are its windows."""
    stride = _STRIDE_PX if cells is None else cells.manifest.segmentation.stride_px
    return [_cut_windows(length, window_px, stride) for length in image_px]


class SlideReader:
    """One open slide and the bundles that look at it."""

    def __init__(
        self,
        image: Image,
        settings: SlideSettings,
        *,
        cells: Bundle | None = None,
        organs: Bundle | None = None,
        cell_organs: Bundle | None = None,
        cell_kinds: Bundle | None = None,
    ) -> None:
        """Read a sample of the slide to know its black and white.

        Raises:
            InputError: The image is damaged, or of a kind that cannot be prepared.
        """
        self._image = image
        self._image_px = (image.height_px, image.width_px)
        self._settings = settings
        self._cells = cells
        self._cell_organs = cell_organs
        self._cell_kinds = cell_kinds
        self._tissue = Tissue(image)
        self._fields = None if organs is None else FieldReader(image, organs, settings.factor)
        self._maps = None if cells is None else self._window_maps(cells)
        rows, columns = slide_windows(self._image_px, settings.window_px, cells)
        self._thread = ThreadPoolExecutor(1, "organscope-maps")
        self._begun: tuple[int, Future] | None = None
        self.windows: list[_Window] = [(down, across) for down in rows for across in columns]

    def window(self, number: int, then: int | None = None) -> WindowFindings:
        """What the network and the classifier say of one window.

        Args:
            number: In `windows`.
            then: The window that will be asked for next, if it is known: the network begins with it in a thread of
                its own, while cells of this one are decoded and measured.

        Raises:
            InputError: The image is damaged there.
        """
        maps = self._maps_of(number, then)
        fields = None if self._fields is None else self._fields.answers(self._fields_of(self._fields, number))
        if maps is None or self._cells is None:
            return WindowFindings(None, None, np.zeros(0, np.uint8), fields)
        rows, columns = self.windows[number]
        corner = (rows.start, columns.start)
        faint = self._settings.faint_threshold
        # Before decoding, which changes the maps in place.
        judges = self._cells.manifest.segmentation.trust is not None
        sums = MapSums.of(maps, self._decoder.foreground_threshold) if judges else None
        found = decode_window(maps, corner, self._image_px, self._decoder, faint_threshold=faint)
        # Read anew: the network saw them with a halo, scaled, and as floats.
        pixels = self._image.read(*corner, *found.labels.shape)
        return WindowFindings(
            self._described(found.labels, found.probability, corner, pixels), found.open, found.others, fields, sums
        )

    def seam(
        self,
        batch: SeamBatch,
        open_of: Callable[[int], OpenPieces],
        others_of: Callable[[int], UInt8[np.ndarray, " _"]],
    ) -> RegionCells:
        """The cells of pieces that windows were cut through.

        Args:
            batch: The pieces.
            open_of: Open pieces of a window that has part in them.
            others_of: `WindowFindings.others` of any window; empty where it has none.

        Raises:
            InputError: The image is damaged there.
        """
        numbers = sorted({window for window, _ in batch.members})
        parts = [open_of(number) for number in numbers]
        chosen = [np.zeros(len(part.boxes), bool) for part in parts]
        for window, piece in batch.members:
            chosen[numbers.index(window)][piece] = True
        ends = self._ends(batch.box, others_of) if self._decoder.fill_holes else None
        faint = self._settings.faint_threshold
        labels, probability = decode_open(parts, chosen, batch.box, ends, self._decoder, faint_threshold=faint)
        top, bottom, left, right = batch.box
        # With one pixel more around it, only the edge of the image is a border that a cell touches.
        before, after = (min(1, top), min(1, left)), (self._image_px[0] - bottom, self._image_px[1] - right)
        labels = np.pad(labels, [(start, min(1, end)) for start, end in zip(before, after, strict=True)])
        corner = (top - before[0], left - before[1])
        return self._described(labels, probability, corner, self._image.read(*corner, *labels.shape))

    def close(self) -> None:
        """Give back the memory of the network."""
        self._thread.shutdown(wait=True, cancel_futures=True)
        if self._cells is not None:
            # onnxruntime keeps that of the last shape: after a tiny one it gives back that of the tiles.
            stride = self._cells.manifest.segmentation.stride_px
            self._cells.run(np.zeros((1, stride, stride, 3), np.float32))

    def _maps_of(self, number: int, then: int | None) -> Float32[np.ndarray, "y x k"] | None:
        if self._maps is None:
            return None
        begun, self._begun = self._begun, None
        if begun is not None:
            wait([begun[1]])
        maps = begun[1].result() if begun is not None and begun[0] == number else self._maps.maps(number)
        if then is not None:
            self._begun = then, self._thread.submit(self._maps.maps, then)
        return maps

    def _window_maps(self, cells: Bundle) -> WindowMaps:
        settings = self._settings
        return WindowMaps(
            self._image,
            cells,
            factor=settings.factors,
            window_px=settings.window_px,
            max_tile_px=settings.max_tile_px,
            has_tissue=self._tissue.found_in,
        )

    @cached_property
    def _decoder(self) -> Decoder:
        assert self._cells is not None
        return decoder_at(self._cells.manifest.segmentation.decoder, self._settings.factors)

    @cached_property
    def _crops(self) -> ImageNormalizer:
        assert self._cell_organs is not None
        return ImageNormalizer(self._image, self._cell_organs.manifest.preprocessing)

    @cached_property
    def _kind_pixels(self) -> ImageNormalizer:
        assert self._cell_kinds is not None
        return ImageNormalizer(self._image, self._cell_kinds.manifest.preprocessing)

    def _fields_of(self, fields: FieldReader, number: int) -> list[int]:
        grid = fields.grid
        spans = ((field, grid.spans(field, self._image_px)) for field in grid.starting_in(*self.windows[number]))
        return [
            field
            for field, (row, column) in spans
            if self._tissue.found_in(row.core_start, row.core_stop, column.core_start, column.core_stop)
        ]

    def _ends(self, box: Box, others_of: Callable[[int], UInt8[np.ndarray, " _"]]) -> Bool[np.ndarray, "y x"]:
        """Where in a box windows have foreground of their own."""
        top, bottom, left, right = box
        ends = np.zeros((bottom - top, right - left), bool)
        for number, (rows, columns) in enumerate(self.windows):
            y, y_end = max(top, rows.start), min(bottom, rows.stop)
            x, x_end = max(left, columns.start), min(right, columns.stop)
            if y >= y_end or x >= x_end or not (packed := others_of(number)).size:
                continue
            shape = (rows.stop - rows.start, columns.stop - columns.start)
            whole = np.unpackbits(packed, count=shape[0] * shape[1]).reshape(shape)
            mine = whole[y - rows.start : y_end - rows.start, x - columns.start : x_end - columns.start]
            ends[y - top : y_end - top, x - left : x_end - left] = mine
        return ends

    def _described(
        self,
        labels: Int32[np.ndarray, "y x"],
        probability: Float32[np.ndarray, " n"],
        corner_px: tuple[int, int],
        pixels: np.ndarray,
    ) -> RegionCells:
        assert self._cells is not None
        calibration = self._cells.manifest.segmentation.cell_calibration
        columns = measure_cells(labels, pixels, self._image.um_per_px, origin_px=corner_px)
        del columns["id"]
        columns["probability"] = probability if calibration is None else calibration.apply(probability)
        outlines = move_polygons(cell_polygons(labels), *corner_px)
        centers = np.stack([columns["centroid_y_px"], columns["centroid_x_px"]], axis=1)
        organs = kinds = None
        if self._cell_organs is not None:
            organs = classify_centers(
                self._image, centers, self._cell_organs, preparation=self._crops, factor=self._settings.factor or 1.0
            )
        if self._cell_kinds is not None:
            kinds = name_cell_kinds(
                self._image,
                centers,
                self._cell_kinds,
                # A region is too small to say how large cells are; the network for cells saw the whole slide alike.
                diameter_px=_seen_diameter_px(self._cells, self._settings.factors),
                preparation=self._kind_pixels,
            )
        return RegionCells(labels, corner_px, columns, outlines, organs, kinds)


def _seen_diameter_px(cells: Bundle, factors: tuple[float, float]) -> float | None:
    """Diameter in the image of cells that are as large as those of the training, as the network sees the image."""
    typical_px = cells.manifest.segmentation.typical_diameter_px
    return None if typical_px is None or factors == (1.0, 1.0) else typical_px / (factors[0] * factors[1]) ** 0.5


def column_order(columns: Sequence[str], named: bool, kinds: bool = False) -> list[str]:
    """The columns of the table of a slide, as those of a small image."""
    names = [name for name in columns if name != "probability"]
    place = names.index("touches_border")
    return [
        *names[:place],
        "probability",
        *(("organ", "organ_probability") if named else ()),
        *(KIND_COLUMNS if kinds else ()),
        *names[place:],
    ]
