"""Images as the bytes of files, and waiting for another process."""

import io
import time
from collections.abc import Callable

import numpy as np
from PIL import Image as PillowImage

PATIENCE_S = 90


def encoded(pixels: np.ndarray, kind: str = "PNG") -> bytes:
    """The bytes of an image file."""
    stream = io.BytesIO()
    PillowImage.fromarray(pixels).save(stream, kind)
    return stream.getvalue()


def dark_discs() -> np.ndarray:
    """36 dark discs on light ground, which the tiny bundle finds: uint8 256 x 256 x 3."""
    random = np.random.default_rng(0)
    y, x = np.mgrid[:256, :256]
    centers = [
        (cy + random.integers(-4, 5), cx + random.integers(-4, 5))
        for cy in range(24, 256, 42)
        for cx in range(24, 256, 42)
    ]
    is_disc = np.any([np.hypot(y - cy, x - cx) < random.uniform(7, 12) for cy, cx in centers], axis=0)
    pixels = np.where(is_disc[:, :, None], (90, 60, 120), (225, 215, 225)) + random.normal(0, 6, (256, 256, 3))
    return np.clip(pixels, 0, 255).astype(np.uint8)


def until(is_so: Callable[[], bool], patience_s: float = PATIENCE_S) -> None:
    """Wait for another process, not longer than patience allows."""
    started = time.monotonic()
    while not is_so():
        assert time.monotonic() - started < patience_s, "waited too long"
        time.sleep(0.05)
