"""Large images for measurements: mosaics of the human-colon image of scikit-image, mirrored at every seam."""

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import tifffile
from skimage.data import immunohistochemistry

from organscope.models import load_bundle

TILE_PX = 256


def trained_diameter_px(bundles: list[str]) -> float:
    """The size of cells that makes the segmenting bundle see a mosaic as it is; else it would estimate."""
    specs = (load_bundle(name).manifest.spec for name in (*bundles, "nuclei"))
    return next(spec.typical_diameter_px for spec in specs if spec.task == "segmentation")


def write_mosaic(path: Path, side_px: int) -> None:
    """A square mosaic as a tiled TIFF, tile by tile, so that this process stays small."""
    image = immunohistochemistry()
    period = np.concatenate([image, image[:, ::-1]], axis=1)
    period = np.concatenate([period, period[::-1]])

    def tiles() -> Iterator[np.ndarray]:
        for y in range(0, side_px, TILE_PX):
            for x in range(0, side_px, TILE_PX):
                top, left = y % len(period), x % len(period)
                yield period[top : top + TILE_PX, left : left + TILE_PX]

    tifffile.imwrite(
        path,
        tiles(),
        shape=(side_px, side_px, 3),
        dtype=np.uint8,
        tile=(TILE_PX, TILE_PX),
        photometric="rgb",
        compression="zlib",
        bigtiff=True,
    )
