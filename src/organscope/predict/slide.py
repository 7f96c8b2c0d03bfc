"""One slide, region by region: what a window says, and what the pieces over its seams say.

Each answer depends on the image, the bundles and the number of the region alone, so that any process can give it.
"""

from collections.abc import Callable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor, wait
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from jaxtyping import Bool, Float32, Int32, UInt8

from organscope.bundle import Bundle
from organscope.images import Image
from organscope.ops.instances import Decoder
from organscope.ops.measure import cell_outlines, measure_cells
from organscope.predict.cells import CellOrgans, classify_centres
from organscope.predict.maps import MAX_TILE_PX
from organscope.predict.open_pieces import Box, OpenPieces, decode_open, decode_window
from organscope.predict.prepare import Preparation
from organscope.predict.seam_groups import SeamBatch
from organscope.predict.segment import decoder_at
from organscope.predict.slide_fields import FieldAnswers, FieldReader
from organscope.predict.tissue import Tissue
from organscope.predict.windows import Window, WindowMaps, cut_windows

WINDOW_PX = 2048
"""Longest side of a window: large enough that one cell in thirty lies on a seam, small enough for a few hundred MB."""

STRIDE_PX = 16
"""On whose multiples windows begin where no network says it."""


@dataclass(frozen=True)
class SlideSettings:
    """How a slide is looked at.

    Attributes:
        factors: Pixels that the network for cells sees for one of the image, along y and x.
        window_px: Longest side of a window.
        max_tile_px: Most pixels that go through the network at a time.
        faint_threshold: As in `organscope.predict.segment_image`.
    """

    factors: tuple[float, float] = (1.0, 1.0)
    window_px: int = WINDOW_PX
    max_tile_px: int = MAX_TILE_PX
    faint_threshold: float | None = None


@dataclass(frozen=True)
class RegionCells:
    """Cells that lie in a region of a slide entirely.

    Attributes:
        labels: Over the region: 0 for background, then 1..n.
        corner_px: First row and column of the region.
        columns: One row a cell, as `measure_cells` gives them but without `id`, and `probability`.
        outlines: A closed ring for each, in pixels of the slide.
        organs: The organ of each; None where it was not asked for.
    """

    labels: Int32[np.ndarray, "y x"]
    corner_px: tuple[int, int]
    columns: dict[str, np.ndarray]
    outlines: list[np.ndarray]
    organs: CellOrgans | None


@dataclass(frozen=True)
class WindowFindings:
    """What one window says.

    Attributes:
        cells: Those that are complete in it; None where it shows only glass, or cells were not asked for.
        open: Pieces of foreground that go on beside it; None as `cells`.
        others: See `WindowCells.others`.
        fields: What the network says of the fields with tissue that begin in it; None where it was not asked.
    """

    cells: RegionCells | None
    open: OpenPieces | None
    others: UInt8[np.ndarray, " _"]
    fields: FieldAnswers | None


def slide_windows(image_px: tuple[int, int], window_px: int, cells: Bundle | None) -> list[tuple[slice, ...]]:
    """Rows and columns into which a slide is cut; their products, in raster order, are its windows."""
    stride = STRIDE_PX if cells is None else cells.manifest.spec.stride_px
    return [cut_windows(length, window_px, stride) for length in image_px]


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
        self._tissue = Tissue(image)
        self._fields = None if organs is None else FieldReader(image, organs)
        self._maps = None if cells is None else self._window_maps(cells)
        rows, columns = slide_windows(self._image_px, settings.window_px, cells)
        self._thread = ThreadPoolExecutor(1, "organscope-maps")
        self._begun: tuple[int, Future] | None = None
        self.windows: list[Window] = [(down, across) for down in rows for across in columns]

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
        fields = None if self._fields is None else self._fields.answers(self._fields_of(number))
        if maps is None:
            return WindowFindings(None, None, np.zeros(0, np.uint8), fields)
        rows, columns = self.windows[number]
        corner = (rows.start, columns.start)
        faint = self._settings.faint_threshold
        found = decode_window(maps, corner, self._image_px, self._decoder, faint_threshold=faint)
        # Read anew: the network saw them with a halo, scaled, and as floats.
        pixels = self._image.read(*corner, *found.labels.shape)
        return WindowFindings(
            self._described(found.labels, found.probability, corner, pixels), found.open, found.others, fields
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
            stride = self._cells.manifest.spec.stride_px
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
        return decoder_at(self._cells.manifest.spec.decoder, self._settings.factors)

    @cached_property
    def _crops(self) -> Preparation:
        return Preparation(self._image, self._cell_organs.manifest.preprocessing)

    def _fields_of(self, number: int) -> list[int]:
        grid = self._fields.grid
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
        calibration = self._cells.manifest.spec.cell_calibration
        columns = measure_cells(labels, pixels, self._image.um_per_px, origin_px=corner_px)
        del columns["id"]
        columns["probability"] = probability if calibration is None else calibration.apply(probability)
        across_down = np.array(corner_px[::-1], np.int32)
        outlines = [ring + across_down for ring in cell_outlines(labels)]
        organs = None
        if self._cell_organs is not None:
            centres = np.stack([columns["centroid_y_px"], columns["centroid_x_px"]], axis=1)
            organs = classify_centres(self._image, centres, self._cell_organs, preparation=self._crops)
        return RegionCells(labels, corner_px, columns, outlines, organs)


def column_order(columns: Sequence[str], named: bool) -> list[str]:
    """The columns of the table of a slide, as those of a small image."""
    names = [name for name in columns if name != "probability"]
    place = names.index("touches_border")
    return [*names[:place], "probability", *(("organ", "organ_probability") if named else ()), *names[place:]]
