"""Label images for a set whose cells are marked by points: each point grows over the foreground that a bundle finds.

    python bench/points_to_labels.py indexes/brca_m2c POINTS_FOLDER --bundle nuclei -o indexes/brca_labels

Foreground without a point counts as none, and a point without foreground becomes a small disc; so each image is labeled
whole, as often as it has points. Images of fold 1 stay without labels: their points judge.
"""

import argparse
from pathlib import Path

import numpy as np
import pandas as pd
from PIL import Image
from scipy import ndimage
from skimage.segmentation import watershed

from organscope.data.index import read_index, write_index
from organscope.inference import predict_maps
from organscope.models import load_bundle

FOREGROUND = 0.4
DISC_PX = 4.0
"""Radius of the disc around a point where the bundle sees no cell."""
FARTHEST_PX = 22.0
"""Foreground farther from every point belongs to a cell that nobody has marked."""


def main() -> None:
    told = _arguments()
    index, bundle = read_index(told.index), load_bundle(told.bundle)
    folder = told.output.resolve() / "labels"
    folder.mkdir(parents=True, exist_ok=True)
    rows = []
    for row, sample in zip(index.table.to_dict("records"), index.samples(), strict=True):
        if sample.fold == 1:
            continue
        with sample.open() as image:
            maps = predict_maps(image, bundle)
        points = pd.read_csv(told.points / f"{sample.id}.csv")[["y", "x"]].to_numpy()
        labels = grow_points(maps[..., 0], maps[..., 1], points)
        file = folder / f"{sample.id}.png"
        Image.fromarray(labels.astype(np.uint16)).save(file)
        files = {"labels": str(file), "image": str(sample.image_path)}
        rows.append(row | files | {"n_cells": labels.max(), "labeled": True})
    made = write_index(told.output, pd.DataFrame(rows).assign(dataset=told.output.name))
    print(f"{told.output}: {len(made)} images, {made.table['n_cells'].sum()} cells")


def grow_points(foreground: np.ndarray, height: np.ndarray, points: np.ndarray) -> np.ndarray:
    """One cell a point, by flooding from the points over the foreground along the distance to the edge."""
    seeds = np.zeros(foreground.shape, np.int32)
    places = np.clip(np.round(points).astype(int), 0, np.array(foreground.shape) - 1)
    seeds[tuple(places.T)] = np.arange(1, len(places) + 1)
    away = ndimage.distance_transform_edt(seeds == 0)
    mask = ((foreground > FOREGROUND) & (away < FARTHEST_PX)) | (away <= DISC_PX / 2)
    labels = watershed(-height + 0.02 * away, seeds, mask=mask)
    small = np.bincount(labels.ravel(), minlength=len(places) + 1) < 40
    small[0] = False
    nearest = ndimage.distance_transform_edt(seeds == 0, return_distances=False, return_indices=True)
    disc = seeds[tuple(nearest)] * (away <= DISC_PX)
    fill = (labels == 0) | small[labels]
    return np.where(fill & small[disc], disc, np.where(small[labels], 0, labels))


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("index", type=Path)
    parser.add_argument("points", type=Path, help="folder of NAME.csv with columns y, x")
    parser.add_argument("--bundle", required=True)
    parser.add_argument("-o", "--output", type=Path, required=True)
    return parser.parse_args()


if __name__ == "__main__":
    main()
