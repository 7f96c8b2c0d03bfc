"""What the network for cells says of every pixel, as `maps.ome.zarr` beside the results of each image.

One channel for each map of the bundle (foreground, distance, flow, ...), float16, as large as the image. The network is
run once more, window by window, at the scale that the run chose, so that memory stays flat for slides of any size;
where a slide shows only glass the maps are 0.
"""

from dataclasses import replace

import numpy as np

from organscope.errors import OrganscopeError
from organscope.inference.maps import MAX_TILE_PX
from organscope.inference.regions import WINDOW_PX, WindowMaps
from organscope.inference.tissue import Tissue
from organscope.io.ome_zarr import create_maps_zarr
from organscope.pipeline.image import ReadOptions
from organscope.pipeline.models import Models
from organscope.pipeline.plan import MAPS_ZARR
from organscope.pipeline.results import Failure, ImageResult, RunResult
from organscope.pipeline.spatial import complete_path


def write_maps(result: RunResult, reading: ReadOptions, models: Models) -> RunResult:
    """Write the maps of every image of a run whose cells a network found.

    Args:
        result: Of the run.
        reading: How its images were opened.
        models: Those of the run.

    Returns:
        The result, with a failure for each image whose maps could not be written.
    """
    failures = []
    for image in result.images:
        if image.scale is None:
            continue
        try:
            _write(result, image, reading, models)
        except OrganscopeError as error:
            failures.append(Failure(str(image.target.source), str(error)))
    return replace(result, failures=(*result.failures, *failures))


def _write(result: RunResult, image: ImageResult, reading: ReadOptions, models: Models) -> None:
    names = [str(name) for name in models.cells.manifest.spec.maps]
    size = (image.height_px, image.width_px)
    is_slide = image.cell_count is not None
    with (
        reading.open(image.target.source) as opened,
        complete_path(result.out / image.target.stem / MAPS_ZARR) as path,
    ):
        maps = WindowMaps(
            opened,
            models.cells,
            factor=image.scale.factors,
            window_px=WINDOW_PX,
            max_tile_px=MAX_TILE_PX,
            has_tissue=Tissue(opened).found_in if is_slide else None,
        )
        written = create_maps_zarr(path, size, names, image.um_per_px)
        for number, (rows, columns) in enumerate(maps.windows()):
            found = maps.maps(number)
            if found is not None:
                written[:, rows, columns] = np.moveaxis(found, 2, 0).astype(np.float16)
