"""A generated set of discs with labels, and a configuration that learns it within seconds."""

from pathlib import Path

import numpy as np
from scipy import ndimage

from organscope.io import write_labels

CONFIG = """
[data]
sources = [{{ index = "{index}" }}]
validation_fraction = 0.2

[bundle]
name = "tiny"
summary = "Discs of a generated image."
data_statement = "Generated discs."
limits = "Knows discs alone."

[network]
base_filters = 8
depth = 2

[fit]
crop_px = 64
batch = 4
steps_per_epoch = 20
epochs = 3
learning_rate = 0.01
warm_up_epochs = 0.1
average = 0.8
precision = "float32"
"""


def write_discs(folder: Path, n_pictures: int) -> None:
    """Bright discs on a dark, noisy ground, as PNG and label TIFF."""
    from PIL import Image

    random = np.random.default_rng(3)
    for name in ("images", "labels"):
        (folder / name).mkdir(parents=True)
    y, x = np.mgrid[:96, :112]
    for number in range(n_pictures):
        centers = [
            (cy + random.integers(-4, 5), cx + random.integers(-4, 5)) for cy in (20, 50, 78) for cx in (24, 60, 92)
        ]
        disc = np.any([np.hypot(y - cy, x - cx) < random.uniform(6, 10) for cy, cx in centers], axis=0)
        labels, _ = ndimage.label(disc)
        image = 40 + 150 * ndimage.gaussian_filter(disc.astype(float), 1) + random.normal(0, 8, disc.shape)
        Image.fromarray(np.clip(image, 0, 255).astype(np.uint8)).save(folder / "images" / f"{number:02}.png")
        write_labels(folder / "labels" / f"{number:02}.tif", labels.astype(np.int32))
