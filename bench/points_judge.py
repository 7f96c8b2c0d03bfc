"""How well bundles find cells that are marked by points: F1 of detection and error of the count, with paired intervals.

    python bench/points_judge.py nuclei runs/nuclei/bundle --on indexes/brca_m2c --points brca_m2c/points --fold 1

A point and a cell are a pair if the point lies in the cell or within `--within` pixels of its centroid; each is in one
pair at most, and pairs are chosen for the least distance in all (Hungarian method). Intervals: bootstrap over patients.
"""

import argparse
from pathlib import Path

import numpy as np
import pandas as pd
from scipy.optimize import linear_sum_assignment
from skimage.measure import regionprops

from organscope.data.index import read_index
from organscope.inference import segment_image
from organscope.models import load_bundle

ROUNDS = 2000


def main() -> None:
    told = _arguments()
    samples = read_index(told.on).samples(told.fold)
    points = {s.id: pd.read_csv(told.points / f"{s.id}.csv")[["y", "x"]].to_numpy() for s in samples}
    tables = [_counts(name, samples, points, told.within) for name in told.bundles]
    groups = np.array([sample.group for sample in samples])
    random = np.random.default_rng(0)
    draws = [random.choice(np.unique(groups), len(np.unique(groups))) for _ in range(ROUNDS)]
    chosen = [np.concatenate([np.flatnonzero(groups == group) for group in draw]) for draw in draws]
    first = None
    for name, table in zip(told.bundles, tables, strict=True):
        drawn = np.array([_figures(table[rows]) for rows in chosen])
        first = drawn if first is None else first
        for k, figure in enumerate(("F1", "count error")):
            low, high = np.percentile(drawn[:, k], (2.5, 97.5))
            less, more = np.percentile(drawn[:, k] - first[:, k], (2.5, 97.5))
            value = _figures(table)[k]
            gain = f"against the first {less:+.3f} to {more:+.3f}"
            print(f"{name}: {figure} {value:.3f} ({low:.3f} to {high:.3f}); {gain}")


def _counts(name: str, samples: list, points: dict[str, np.ndarray], within_px: float) -> np.ndarray:
    """One row an image: points, cells, pairs."""
    bundle = load_bundle(name)
    rows = []
    for sample in samples:
        with sample.open() as image:
            labels = segment_image(image, bundle).labels
        rows.append((len(points[sample.id]), labels.max(), _n_pairs(points[sample.id], labels, within_px)))
    return np.array(rows)


def _n_pairs(points: np.ndarray, labels: np.ndarray, within_px: float) -> int:
    cells = regionprops(labels)
    if not cells or not len(points):
        return 0
    distance = np.linalg.norm(points[:, None] - np.array([cell.centroid for cell in cells])[None], axis=2)
    place = np.clip(np.round(points).astype(int), 0, np.array(labels.shape) - 1)
    inside = labels[tuple(place.T)][:, None] == np.array([cell.label for cell in cells])[None]
    allowed = inside | (distance <= within_px)
    rows, columns = linear_sum_assignment(np.where(allowed, np.minimum(distance, 1e3), 1e6))
    return int(allowed[rows, columns].sum())


def _figures(counts: np.ndarray) -> tuple[float, float]:
    """F1 over all cells, and the mean over images of how far the count is off, as a share of the points."""
    n_points, n_cells, n_pairs = counts.T
    return 2 * n_pairs.sum() / (n_points + n_cells).sum(), float(np.mean(np.abs(n_cells - n_points) / n_points))


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("bundles", nargs="+", help="the others are compared with the first")
    parser.add_argument("--on", type=Path, required=True, help="index of the images")
    parser.add_argument("--points", type=Path, required=True, help="folder of NAME.csv with columns y, x")
    parser.add_argument("--fold", type=int, default=1)
    parser.add_argument("--within", type=float, default=8.0, help="pixels between a point and a centroid")
    return parser.parse_args()


if __name__ == "__main__":
    main()
