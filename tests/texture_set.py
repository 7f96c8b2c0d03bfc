"""Made-up textures as organs, and a training of seconds on them."""

from pathlib import Path

import numpy as np
import pandas as pd
from PIL import Image as PillowImage

from organscope.data.index import write_index

ORGANS = ("bark", "dots", "mesh")
SIDE_PX = 96

CONFIG = """
[data]
sources = [{ index = "index" }]
test_folds = [1]
validation_fraction = 0.25

[bundle]
name = "tiny-organs"
summary = "Tells three made-up textures apart; for tests only."

[network]
backbone = "resnet10t"
arguments = { channels = [8, 8, 16, 16] }
drop_rate = 0.1
stages = 3
texture = true

[loss]
per_stage = 0.5

[discriminant]
share = 0.5

[field]
field_px = 80
input_px = 64

[augmentation]
rotation_deg = 0.0
scale = 0.0
mix = 0.25

[fit]
epochs = 30
patience = 30
batch = 8
learning_rate = 0.01
warm_up_epochs = 1
ema_decay = 0.8
precision = "fp32"
"""


def texture(organ: str, random: np.random.Generator) -> np.ndarray:
    """Stripes, dots or a mesh at a random phase, in pink on white: uint8 96 x 96 x 3."""
    y, x = np.mgrid[:SIDE_PX, :SIDE_PX] + random.uniform(0, 20, (2, 1, 1))
    stripes, dots = np.sin(x / 2.0), np.sin(x / 2.0) * np.sin(y / 2.0)
    pattern = {"bark": stripes, "dots": dots, "mesh": np.maximum(np.sin(x / 5), np.sin(y / 5))}[organ]
    amount = 0.4 + 0.3 * pattern + random.normal(0, 0.03, pattern.shape)
    return (255 * (1 - np.clip(amount, 0, 1)[..., None] * [0.3, 0.8, 0.4])).astype(np.uint8)


def write_texture_set(folder: Path) -> Path:
    """An index of 8 images an organ, two of them in each fold, and the configuration `tiny.toml` beside it."""
    random = np.random.default_rng(0)
    rows = []
    for organ in ORGANS:
        for number in range(8):
            path = folder / f"{organ}_{number}.png"
            PillowImage.fromarray(texture(organ, random)).save(path)
            rows.append(index_row(path, organ, fold=1 + number // 2))
    write_index(folder / "index", pd.DataFrame(rows))
    (folder / "tiny.toml").write_text(CONFIG)
    return folder / "tiny.toml"


def index_row(path: Path, organ: str, fold: int) -> dict:
    facts = {
        "height_px": SIDE_PX,
        "width_px": SIDE_PX,
        "n_channels": 3,
        "dtype": "uint8",
        "um_per_px_y": np.nan,
        "um_per_px_x": np.nan,
    }
    texts = dict.fromkeys(("species", "labels", "split", "labels_sha256"), "")
    names = {"id": path.stem, "image": str(path), "organ": organ, "group": path.stem, "dataset": "textures"}
    return {**names, **facts, **texts, "fold": fold, "n_cells": pd.NA, "sha256": path.stem}
