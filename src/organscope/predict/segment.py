"""The cells of one image."""

import time
from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np
from jaxtyping import Float32, Int32

from organscope.bundle import Bundle
from organscope.images import Image
from organscope.ops.instances import Decoder
from organscope.predict.ahead import run_ahead
from organscope.predict.cell_size import Scale, Sizing, known_scale, unscaled
from organscope.predict.estimate import estimate_scale, look_of
from organscope.predict.maps import MAX_TILE_PX, map_bands
from organscope.predict.prepare import require_task
from organscope.predict.stitch import decode_bands

WHOLE_LOOK_PX = 1 << 21
"""The size of the cells of a smaller image is judged by all of them, which are needed anyway."""

_AS_IT_IS = Scale()
_UNKNOWN = Sizing()


@dataclass(frozen=True)
class Segmentation:
    """The cells of one image.

    Attributes:
        labels: int32 y x; 0 for background, then 1..n without gaps, in raster order.
        probability: float32 n, in [0, 1]: that cell i + 1 is real, where the bundle has a calibration, else
            its mean foreground probability.
        seconds: From the first pixel read to the last label.
        scale: How the network saw the image.
    """

    labels: Int32[np.ndarray, "y x"]
    probability: Float32[np.ndarray, " n"]
    seconds: float
    scale: Scale = _AS_IT_IS


def segment_image(
    image: Image,
    bundle: Bundle,
    *,
    sizing: Sizing = _UNKNOWN,
    faint_threshold: float | None = None,
    max_tile_px: int | None = MAX_TILE_PX,
    progress: Callable[[float], None] | None = None,
) -> Segmentation:
    """Find every cell.

    The image is read, predicted and decoded in bands; only the labels are held whole. The result does not
    depend on the size of the tiles.

    Args:
        image: Any size from 1 x 1 px; gray, RGB, or one chosen channel.
        bundle: For segmentation.
        sizing: What is known about the size of the cells.
        faint_threshold: Also give the cells that only this lower threshold of the foreground shows; see
            `organscope.ops.faint` and `organscope.predict.operating_point`.
        max_tile_px: Most pixels that go through the network at a time; `None` for all at once.
        progress: Told the fraction of the work that is done, in [0, 1], from whichever thread did it.

    Raises:
        UsageError: The bundle is not for segmentation, or does not say how large its cells were where that is asked.
        InputError: The image is damaged, has no finite pixel, or has channels of which one must be chosen.
    """
    require_task(bundle, "segmentation")
    started = time.perf_counter()

    def segmented(scale: Scale) -> Segmentation:
        found = _segment(image, bundle, scale, faint_threshold, max_tile_px, progress)
        return replace(found, seconds=time.perf_counter() - started)

    scale = known_scale(image, bundle, sizing)
    if scale is not None:
        return segmented(scale)
    if image.height_px * image.width_px > WHOLE_LOOK_PX:
        return segmented(estimate_scale(image, bundle))
    first = segmented(unscaled(image))
    scale = estimate_scale(image, bundle, look_of(first.labels, first.probability))
    return first if scale.factor == 1.0 else segmented(scale)


def choose_scale(image: Image, bundle: Bundle, sizing: Sizing = _UNKNOWN) -> Scale:
    """How the network should see an image, from what is known or else from a few fields of it.

    Raises:
        UsageError: As `segment_image`.
    """
    return known_scale(image, bundle, sizing) or estimate_scale(image, bundle)


def decoder_at(decoder: Decoder, factors: tuple[float, float]) -> Decoder:
    """The decoder for maps that were brought from the network's scale back to that of the image.

    Args:
        decoder: As the bundle states it, in pixels of the network.
        factors: Pixels of the network for one of the image, along y and x.
    """
    # Averaging n times blurs as far as the square root of n pixels.
    pixels = {"min_area_px": decoder.min_area_px, "smoothing": decoder.smoothing}
    most = {"min_area_px": np.inf, "smoothing": 16}
    return decoder.model_copy(
        update={name: int(min(most[name], round(value / (factors[0] * factors[1])))) for name, value in pixels.items()}
    )


def _segment(
    image: Image,
    bundle: Bundle,
    scale: Scale,
    faint_threshold: float | None,
    max_tile_px: int | None,
    progress: Callable[[float], None] | None,
) -> Segmentation:
    spec = bundle.manifest.spec
    shape = (image.height_px, image.width_px)
    bands = map_bands(image, bundle, factor=scale.factors, max_tile_px=max_tile_px, progress=progress)
    decoder = decoder_at(spec.decoder, scale.factors)
    labels, probability = decode_bands(run_ahead(bands), shape, decoder, faint_threshold=faint_threshold)
    if spec.cell_calibration is not None:
        probability = spec.cell_calibration.apply(probability)
    return Segmentation(labels, probability, 0.0, scale)
