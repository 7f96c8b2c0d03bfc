"""Compile and load what the first image would otherwise wait for."""

import tempfile
from contextlib import suppress
from pathlib import Path

import numpy as np
from PIL import Image as Picture

from organscope.jobs.models import Models
from organscope.jobs.one_image import Reading, work_on_image
from organscope.jobs.plan import Target

SIDE_PX = 96


def warm_up(models: Models) -> None:
    """Take a small made-up image all the way, so that the time of the first real one is that of any other.

    The first run on a machine compiles the kernels, which takes longer than a small image; later runs only
    load them. An error is kept quiet: if it is one of the bundle, every real image will name it.
    """
    with suppress(Exception), tempfile.TemporaryDirectory(prefix="organscope-") as folder:
        path = Path(folder) / "made-up.png"
        Picture.fromarray(_discs()).save(path)
        work_on_image(Target(path, Path("made-up")), Path(folder), models, Reading())


def _discs() -> np.ndarray:
    """Dark discs on a bright, noisy ground, uint8 y x 3."""
    pixels = np.random.default_rng(0).integers(200, 256, (SIDE_PX, SIDE_PX, 3)).astype(np.uint8)
    y, x = np.mgrid[:SIDE_PX, :SIDE_PX]
    pixels[(y % 24 - 12) ** 2 + (x % 24 - 12) ** 2 < 49] //= 4
    return pixels
