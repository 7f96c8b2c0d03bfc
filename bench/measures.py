"""How long the measures on request take: made-up cells on a grid in an H&E-colored image.

    python bench/measures.py --cells 100000 1000000 --json bench-measures.json

One process; seconds of the processor, so that other work on the machine does not count. Kernels are compiled before.
"""

import argparse
import json
import math
import time
from pathlib import Path

import numpy as np

from organscope.ops.neighbors import measure_neighbors
from organscope.ops.regionprops import measure_cells
from organscope.ops.stains import measure_stains
from organscope.ops.texture import measure_texture

SPACING_PX, RADIUS_PX = 20, 7


def made_up(n_cells: int) -> tuple[np.ndarray, np.ndarray]:
    """Labels of discs on a grid, and noise of an H&E color."""
    side = math.ceil(math.sqrt(n_cells)) * SPACING_PX
    y, x = np.mgrid[:side, :side].astype(np.int32)
    row, column = y // SPACING_PX, x // SPACING_PX
    number = (row * (side // SPACING_PX) + column + 1).astype(np.int32)
    away = (y % SPACING_PX - SPACING_PX // 2) ** 2 + (x % SPACING_PX - SPACING_PX // 2) ** 2
    labels = np.where((away <= RADIUS_PX**2) & (number <= n_cells), number, 0)
    pixels = np.random.default_rng(0).integers(0, 60, (side, side, 3), np.uint8) + np.array([150, 90, 160], np.uint8)
    return labels, pixels


def timed(n_cells: int) -> dict[str, float]:
    """Seconds of the processor for each group of columns."""
    labels, pixels = made_up(n_cells)
    seconds: dict[str, float] = {"cells": n_cells, "megapixels": labels.size / 1e6}
    shape = {}

    def run(name, work):
        begun = time.process_time()
        shape[name] = work()
        seconds[name] = round(time.process_time() - begun, 2)

    run("shape", lambda: measure_cells(labels, pixels, (0.5, 0.5)))
    run("texture", lambda: measure_texture(labels, pixels, (0.0, 255.0)))
    run("stain", lambda: measure_stains(labels, pixels, um_per_px=(0.5, 0.5)))
    centers = np.stack([shape["shape"]["centroid_y_px"], shape["shape"]["centroid_x_px"]], axis=1)
    run("neighbors", lambda: measure_neighbors(centers, labels.shape, (0.5, 0.5)))
    return seconds


def main() -> None:
    """Print one line a number of cells."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--cells", type=int, nargs="+", default=[100_000, 1_000_000])
    parser.add_argument("--json", type=Path)
    options = parser.parse_args()
    timed(100)
    found = [timed(n_cells) for n_cells in options.cells]
    for row in found:
        print(row)
    if options.json is not None:
        options.json.write_text(json.dumps(found, indent=2) + "\n")


if __name__ == "__main__":
    main()
