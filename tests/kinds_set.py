"""Made-up cells of two kinds in an index of points with classes: small dark discs and large pale ones."""

from pathlib import Path

import numpy as np
import pandas as pd
from PIL import Image as PillowImage

from organscope.data.cell_classes import class_table, count_text, point_table, write_class_table
from organscope.data.index import write_index
from organscope.io import write_labels
from texture_set import index_row

KINDS = ("pale", "small")
SIDE_PX = 160
_STEP_PX = 32
_LOOKS = {"pale": (10, (150, 110, 190)), "small": (5, (60, 30, 110))}


def draw_kinds(random: np.random.Generator) -> tuple[np.ndarray, np.ndarray, list[str]]:
    """An H&E-like image of 25 cells (uint8 160 x 160 x 3), its labels, and the kind of each cell."""
    image = random.normal((225, 170, 210), 6, (SIDE_PX, SIDE_PX, 3))
    labels, kinds = np.zeros((SIDE_PX, SIDE_PX), np.int32), []
    y, x = np.mgrid[:SIDE_PX, :SIDE_PX]
    for top in range(_STEP_PX // 2, SIDE_PX, _STEP_PX):
        for left in range(_STEP_PX // 2, SIDE_PX, _STEP_PX):
            kinds.append(str(random.choice(KINDS)))
            radius, color = _LOOKS[kinds[-1]]
            disc = (y - top) ** 2 + (x - left) ** 2 <= radius**2
            image[disc] = random.normal(color, 8, (disc.sum(), 3))
            labels[disc] = len(kinds)
    return np.clip(image, 0, 255).astype(np.uint8), labels, kinds


def write_kinds_index(folder: Path, *, n_images: int = 6, labeled: bool = False) -> Path:
    """An index of images, a patient each, whose cells are points with a class, or labels with one."""
    random = np.random.default_rng(0)
    index = folder / "index"
    rows = []
    for number in range(n_images):
        image, labels, kinds = draw_kinds(random)
        path = folder / f"tissue_{number}.png"
        PillowImage.fromarray(image).save(path)
        table = class_table(labels, dict(enumerate(kinds, start=1)))
        if not labeled:
            table = point_table(list(table[["y_px", "x_px", "class"]].itertuples(index=False, name=None)))
        row = index_row(path, "", fold=1) | {"height_px": SIDE_PX, "width_px": SIDE_PX, "sha256": path.stem * 8}
        row |= {"classes": str(write_class_table(index, path.stem, table)), "class_counts": count_text(table)}
        if labeled:
            write_labels(folder / f"labels_{number}.tif", labels)
            row |= {"labels": str(folder / f"labels_{number}.tif"), "labeled": True, "n_cells": len(kinds)}
        rows.append(row)
    write_index(index, pd.DataFrame(rows))
    return index
