"""How well a click on the page finds a cell that was missed: true cells are taken out one by one and clicked.

organscope data import path/to/nuinsseg -o indexes/nuinsseg
python bench/click_to_cell.py indexes/nuinsseg --every 25
"""

import argparse

import numpy as np

from organscope.data.index import Sample, read_index
from organscope.server.click import grow_cell

#: What the page reads around a click, in typical diameters.
_CONTEXT = 4


def main() -> None:
    """Print the overlap of the grown cells with the true ones."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("index")
    parser.add_argument("--every", type=int, default=1, help="Take every so manieth image.")
    parser.add_argument("--cells", type=int, default=6, help="Cells of each image.")
    parser.add_argument("--seed", type=int, default=0)
    asked = parser.parse_args()
    random = np.random.default_rng(asked.seed)
    samples = [sample for sample in read_index(asked.index).samples() if sample.labels_path is not None]
    found = np.array([iou for sample in samples[:: asked.every] for iou in _overlaps(sample, asked.cells, random)])
    print(
        f"{len(found)} cells: median IoU {np.median(found):.2f}, IoU > .5 for {(found > 0.5).mean():.0%}, "
        f"nothing found for {(found == 0).mean():.0%}"
    )


def _overlaps(sample: Sample, n_cells: int, random: np.random.Generator) -> list[float]:
    labels = sample.read_labels()
    ids, areas = np.unique(labels[labels > 0], return_counts=True)
    if len(ids) < 2:
        return []
    with sample.open() as image:
        pixels = image.visible(image.read_whole())
    diameter_px = float(np.sqrt(4 * np.median(areas) / np.pi))
    chosen = random.choice(ids, min(n_cells, len(ids)), replace=False)
    return [_overlap(pixels, labels, int(cell), diameter_px) for cell in chosen]


def _overlap(pixels: np.ndarray, labels: np.ndarray, cell: int, diameter_px: float) -> float:
    y, x = np.nonzero(labels == cell)
    middle = int(np.argmin(np.hypot(y - y.mean(), x - x.mean())))
    reach = int(_CONTEXT * diameter_px)
    top, left = max(0, int(y[middle]) - reach), max(0, int(x[middle]) - reach)
    box = np.s_[top : int(y[middle]) + reach, left : int(x[middle]) + reach]
    truth = labels[box] == cell
    grown = grow_cell(
        pixels[box], np.where(truth, 0, labels[box]), (int(y[middle]) - top, int(x[middle]) - left), diameter_px
    )
    return float((grown & truth).sum() / (grown | truth).sum())


if __name__ == "__main__":
    main()
