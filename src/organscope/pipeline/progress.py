"""Who is told how a run goes on.

What the slides of a run will take, said before it begins: regions, tiles, time, memory.
"""

import time
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from organscope.errors import OrganscopeError
from organscope.inference.maps import scale_image
from organscope.inference.regions import plan_windows, slide_windows
from organscope.inference.scale import Scale, known_scale
from organscope.inference.tissue import Tissue
from organscope.io import Image
from organscope.pipeline.image import ReadOptions
from organscope.pipeline.memory import Streaming, expected_bytes_of_all
from organscope.pipeline.models import Models
from organscope.pipeline.plan import Target
from organscope.pipeline.results import Failure, ImageResult

_PROBE_PX = 512
"""Side of the tile that the network is timed on."""

_BESIDE_NETWORK = 0.5
"""What reading, decoding, measuring, naming organs and writing take, of the time of the network for cells."""

_LOOKED_AT_SLIDES, _LOOKED_AT_WINDOWS = 16, 64
"""So many slides, and windows of each, are looked at to know how much of them is glass."""

_FINE_ENOUGH = 8
"""Glass is looked for beforehand only where the slide has a level that is at least so much smaller."""


@dataclass(frozen=True)
class SlidePlan:
    """What is ahead.

    Attributes:
        n_slides: Slides that are not done.
        megapixels: Of all of them.
        n_windows: Regions.
        n_tiles: Tiles of the network for cells; 0 where cells are not asked for.
        tissue: Share of them that are expected to show tissue.
        seconds: Expected time; None where cells are not asked for.
        memory_mb: The most that all processes of this machine are expected to need.
    """

    n_slides: int
    megapixels: float
    n_windows: int
    n_tiles: int
    tissue: float
    seconds: float | None
    memory_mb: float

    def sentence(self) -> str:
        """For a person, before the work begins."""
        slides = "1 slide" if self.n_slides == 1 else f"{self.n_slides:,} slides"
        tiles = f", {self.n_tiles:,} tiles of which about {self.tissue:.0%} show tissue" if self.n_tiles else ""
        takes = "" if self.seconds is None else f"; about {duration_text(self.seconds)}"
        return (
            f"Plan: {slides}, {self.megapixels:,.0f} megapixels, {self.n_windows:,} regions{tiles}{takes}, "
            f"at most {self.memory_mb:,.0f} MB of memory."
        )


def plan_slides(
    targets: Sequence[Target], models: Models, reading: ReadOptions, streaming: Streaming, workers: int
) -> SlidePlan:
    """Look at the sizes of slides, and at some of them for glass; time the network on one tile."""
    tile_px = streaming.tile_px(models, workers)
    pixels = n_windows = n_tiles = tile_area = 0
    tissue: list[float] = []
    for place, target in enumerate(targets):
        try:
            with reading.open(target.source) as image:
                rows, columns = slide_windows((image.height_px, image.width_px), streaming.window_px, models.cells)
                if models.cells is not None:
                    found = _tiles(image, models, reading, tile_px, streaming.window_px)
                    n_tiles, tile_area = n_tiles + found[0], tile_area + found[0] * found[1]
                if place < _LOOKED_AT_SLIDES:
                    tissue.append(_tissue_share(image, rows, columns))
        except OrganscopeError:
            # Said when it is its turn.
            continue
        pixels += image.height_px * image.width_px
        n_windows += len(rows) * len(columns)
    share = float(np.mean(tissue)) if tissue else 1.0
    seconds = None
    if models.cells is not None:
        seconds = _seconds_per_px(models) * tile_area * share * (1 + _BESIDE_NETWORK)
    memory_mb = expected_bytes_of_all(tile_px if models.cells is not None else 0, workers) / 1e6
    return SlidePlan(len(targets), pixels / 1e6, n_windows, n_tiles, share, seconds, memory_mb)


def duration_text(seconds: float) -> str:
    """A duration as people say it."""
    if seconds < 90:
        return f"{max(1, round(seconds))} s"
    minutes = round(seconds / 60)
    return f"{minutes} min" if minutes < 90 else f"{minutes // 60} h {minutes % 60} min"


def _tiles(image: Image, models: Models, reading: ReadOptions, tile_px: int, window_px: int) -> tuple[int, int]:
    """Number of tiles and pixels of each; at the scale that is known without asking the network."""
    scale = known_scale(image, models.cells, reading.sizing) or Scale()
    seen = scale_image(image, scale.factors) if scale.resamples else image
    rows, columns = plan_windows(image, seen, models.cells, window_px, tile_px)
    n_down, n_across = (sum(len(spans) for spans in axis.spans) for axis in (rows, columns))
    return n_down * n_across, rows.tile_px * columns.tile_px


def _tissue_share(image: Image, rows: Sequence[slice], columns: Sequence[slice]) -> float:
    if image.levels[-1].downsample < _FINE_ENOUGH:
        return 1.0
    tissue = Tissue(image)
    windows = [(row, column) for row in rows for column in columns]
    chosen = [windows[i] for i in np.unique(np.linspace(0, len(windows) - 1, _LOOKED_AT_WINDOWS, dtype=int)).tolist()]
    return float(np.mean([tissue.found_in(row.start, row.stop, col.start, col.stop) for row, col in chosen]))


def _seconds_per_px(models: Models) -> float:
    stride = models.cells.manifest.spec.stride_px
    side = _PROBE_PX // stride * stride or stride
    tile = np.zeros((1, side, side, 3), np.float32)
    models.cells.run(tile)
    started = time.perf_counter()
    models.cells.run(tile)
    return (time.perf_counter() - started) / side**2


class Listener:
    """Told how a run goes on; the base class stays silent.

    Images that other processes work on are told of only at their end.
    """

    def slides_planned(self, plan: SlidePlan) -> None:
        """What the slides of the run will take; told before they begin, and only where there are any."""

    def image_started(self, target: Target) -> None:
        """Work on this image begins."""

    def image_advanced(self, fraction: float) -> None:
        """So much of the present image is done, from 0 to 1."""

    def image_ended(self, outcome: ImageResult | Failure) -> None:
        """An image is finished, or has failed."""
