"""What the slides of a run will take, said before it begins: regions, tiles, time, memory."""

import time
from collections.abc import Sequence

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
from organscope.pipeline.progress import SlidePlan

_PROBE_PX = 512
"""Side of the tile that the network is timed on."""

_BESIDE_NETWORK = 0.5
"""What reading, decoding, measuring, naming organs and writing take, of the time of the network for cells."""

_LOOKED_AT_SLIDES, _LOOKED_AT_WINDOWS = 16, 64
"""So many slides, and windows of each, are looked at to know how much of them is glass."""

_FINE_ENOUGH = 8
"""Glass is looked for beforehand only where the slide has a level that is at least so much smaller."""


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
    stride = models.cells.manifest.segmentation.stride_px
    side = _PROBE_PX // stride * stride or stride
    tile = np.zeros((1, side, side, 3), np.float32)
    models.cells.run(tile)
    started = time.perf_counter()
    models.cells.run(tile)
    return (time.perf_counter() - started) / side**2
