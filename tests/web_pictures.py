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


def until(is_so: Callable[[], bool], patience_s: float = PATIENCE_S) -> None:
    """Wait for another process, not longer than patience allows."""
    started = time.monotonic()
    while not is_so():
        assert time.monotonic() - started < patience_s, "waited too long"
        time.sleep(0.05)
