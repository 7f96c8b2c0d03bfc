"""A generated stand-in of the mission's set, of exactly its shape but tiny.

`train/<organ>/*.tif` and `test/<organ>/*.tif`, 16-bit single-channel with 12 bits used, one COCO file with
polygons and run lengths. Organs differ in size and brightness of their cells, so that a network can learn them.
"""

import json
from pathlib import Path

import numpy as np
import tifffile
from skimage.draw import ellipse

from organscope.io.coco import encode_counts
from organscope.ops.polygons import cell_regions, trace_cell

ORGANS = (
    "colon", "endotherium_1", "endotherium_3", "kidney", "liver", "lung",
    "lymph node", "pancreas", "skin_1", "skin_2", "small intestine", "spleen",
)  # fmt: skip
COCO_NAME = "annotations.json"
HIGHEST_12_BIT = 4095


def write_mission_set(folder: Path, *, n_train: int = 2, n_test: int = 1, size_px: int = 64, seed: int = 0) -> Path:
    """Write the set into a folder and return it; `n_train` and `n_test` images an organ."""
    random = np.random.default_rng(seed)
    images, annotations = [], []
    for split, n_images in (("train", n_train), ("test", n_test)):
        for number, organ in enumerate(ORGANS):
            (folder / split / organ).mkdir(parents=True, exist_ok=True)
            for image in range(n_images):
                name = f"{split}/{organ}/{organ.replace(' ', '_')}_{image:03d}.tif"
                labels = draw_cells(random, size_px, radius_px=3 + number % 4)
                pixels = paint_pixels(random, labels, brightness=1200 + 220 * number)
                tifffile.imwrite(folder / name, pixels)
                images.append({"id": len(images) + 1, "file_name": name, "height": size_px, "width": size_px})
                annotations += describe_cells(labels, len(images), len(annotations))
    categories = [{"id": 1, "name": "cell"}]
    document = {"images": images, "annotations": annotations, "categories": categories}
    (folder / COCO_NAME).write_text(json.dumps(document), encoding="utf-8")
    return folder


def draw_cells(random: np.random.Generator, size_px: int, radius_px: int) -> np.ndarray:
    """int32 y x: about one ellipse in 200 pixels; later ones never cover earlier ones."""
    labels = np.zeros((size_px, size_px), np.int32)
    for _ in range(size_px * size_px // 200):
        center = random.integers(0, size_px, 2)
        rows, columns = ellipse(*center, radius_px + 0.5, radius_px + 1.5, shape=labels.shape)
        if not labels[rows, columns].any():
            labels[rows, columns] = labels.max() + 1
    return labels


def paint_pixels(random: np.random.Generator, labels: np.ndarray, brightness: int) -> np.ndarray:
    """uint16 y x: bright cells on a dark, noisy ground, in the range of a 12-bit camera."""
    pixels = 300 + random.normal(0, 40, labels.shape) + brightness * (labels > 0)
    return np.clip(pixels, 0, HIGHEST_12_BIT).astype(np.uint16)


def describe_cells(labels: np.ndarray, image_id: int, n_before: int) -> list[dict]:
    """COCO annotations; every third cell as compressed, every sixth as plain run lengths, the others as polygons."""
    described = []
    for number, top, left, mask in cell_regions(labels):
        if number % 6 == 0:
            segmentation: object = {"size": list(labels.shape), "counts": plain_counts(labels == number)}
        elif number % 3 == 0:
            counts = encode_counts(mask, top, left, *labels.shape)
            segmentation = {"size": list(labels.shape), "counts": counts}
        else:
            segmentation = [outline.exterior.reshape(-1).tolist() for outline in trace_cell(mask, top, left)]
        links = {"id": n_before + len(described) + 1, "image_id": image_id, "category_id": 1}
        bbox = [left, top, mask.shape[1], mask.shape[0]]
        described.append(links | {"segmentation": segmentation, "area": int(mask.sum()), "bbox": bbox, "iscrowd": 0})
    return described


def plain_counts(mask: np.ndarray) -> list[int]:
    """Run lengths down the columns, starting with background; written in the simplest way."""
    counts, value, run = [], False, 0
    for pixel in mask.T.reshape(-1):
        if pixel != value:
            counts.append(run)
            value, run = pixel, 0
        run += 1
    return [*counts, run]
