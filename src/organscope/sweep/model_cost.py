"""What a bundle costs its users: milliseconds and megabytes."""

import time

import numpy as np

from organscope.models import Bundle

_N_RUNS = 7
_SQUARE_PX = 512
"""Side of the image that a segmentation is timed on."""


def bundle_cost(bundle: Bundle, metric: str) -> float:
    """One cost of a bundle.

    Args:
        bundle: Loaded with one thread, so that machines of many cores and trials side by side agree.
        metric: `size_mb`: all its files, in 10^6 bytes. `ms_per_image`: the graph on one field of a classifier.
            `ms_per_megapixel`: the graph on a million pixels of the image. The median of several runs.
    """
    if metric == "size_mb":
        return sum(entry.size_bytes for entry in bundle.manifest.files.values()) / 1e6
    spec = bundle.manifest.spec
    if spec.task == "classification":
        side, seen_px = spec.input_px, spec.field_px**2
    else:
        side = -(-_SQUARE_PX // spec.stride_px) * spec.stride_px
        seen_px = side**2
    milliseconds = _median_ms(bundle, side)
    return milliseconds if metric == "ms_per_image" else milliseconds / (seen_px / 1e6)


def _median_ms(bundle: Bundle, side: int) -> float:
    batch = np.random.default_rng(0).random((1, side, side, 3), dtype=np.float32)
    bundle.run(batch)
    seconds = []
    for _ in range(_N_RUNS):
        start = time.perf_counter()
        bundle.run(batch)
        seconds.append(time.perf_counter() - start)
    return 1000 * float(np.median(seconds))
