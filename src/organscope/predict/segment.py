"""The cells of one image."""

import time
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float32, Int32

from organscope.bundle import Bundle
from organscope.images import Image
from organscope.predict.maps import MAX_TILE_PX, map_bands
from organscope.predict.prepare import require_task
from organscope.predict.stitch import decode_bands


@dataclass(frozen=True)
class Segmentation:
    """The cells of one image.

    Attributes:
        labels: int32 y x; 0 for background, then 1..n without gaps, in raster order.
        probability: float32 n, in [0, 1]: that cell i + 1 is real, where the bundle has a calibration, else
            its mean foreground probability.
        seconds: From the first pixel read to the last label.
    """

    labels: Int32[np.ndarray, "y x"]
    probability: Float32[np.ndarray, " n"]
    seconds: float


def segment_image(
    image: Image,
    bundle: Bundle,
    *,
    max_tile_px: int | None = MAX_TILE_PX,
    progress: Callable[[float], None] | None = None,
) -> Segmentation:
    """Find every cell.

    The image is read, predicted and decoded in bands; only the labels are held whole. The result does not
    depend on the size of the tiles.

    Args:
        image: Any size from 1 x 1 px; gray, RGB, or one chosen channel.
        bundle: For segmentation.
        max_tile_px: Most pixels that go through the network at a time; `None` for all at once.
        progress: Told the fraction of the work that is done, in [0, 1].

    Raises:
        UsageError: The bundle is not for segmentation.
        InputError: The image is damaged, has no finite pixel, or has channels of which one must be chosen.
    """
    require_task(bundle, "segmentation")
    started = time.perf_counter()
    spec = bundle.manifest.spec
    bands = map_bands(image, bundle, max_tile_px=max_tile_px, progress=progress)
    labels, probability = decode_bands(bands, (image.height_px, image.width_px), spec.decoder)
    if spec.cell_calibration is not None:
        probability = spec.cell_calibration.apply(probability)
    return Segmentation(labels, probability, time.perf_counter() - started)
