"""What bounds a score: the foreground or its parting, few images or the drawn outlines.

    python bench/segmentation_limits.py nuclei --on indexes/nuinsseg [--every 1]

One row a fold, so that images which trained the bundle stand beside images which it has not seen. Dice, AJI and PQ
as the bundle finds the cells; PQ if its foreground were parted as the truth is, and if the true foreground were parted
as it parts; and the share of wrong foreground pixels that lie within 3 px of a true outline. Means over images; the
network sees every image as it is, without a look at another scale.
"""

import argparse
from pathlib import Path

import numpy as np
import pandas as pd
from jaxtyping import Int32
from rich.progress import track
from scipy import ndimage
from skimage.segmentation import watershed

from organscope.data import read_index
from organscope.data.index import Sample
from organscope.evaluation.metrics.segmentation import segmentation_scores
from organscope.inference import predict_maps
from organscope.models import Bundle, load_bundle
from organscope.ops.instances import decode_cells

NEAR_PX = 3
SURE, NOT = 0.99, 0.01
"""The foreground of a pixel that is known."""


def main() -> None:
    """Score, average, print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("bundle", help="name or folder of a bundle")
    parser.add_argument("--on", type=Path, required=True, help="an index with labels")
    parser.add_argument("--every", type=int, default=1, help="take every n-th image of a fold")
    arguments = parser.parse_args()
    bundle, index = load_bundle(arguments.bundle), read_index(arguments.on)
    samples = [s for fold in index.table["fold"].unique() for s in index.samples(fold)[:: arguments.every]]
    labeled = [sample for sample in samples if sample.labels_path is not None]
    table = pd.DataFrame([_limits(bundle, sample) for sample in track(labeled)])
    means = table.groupby("fold").mean().round(3)
    print(means.assign(pictures=table.groupby("fold").size()).to_string())


def _limits(bundle: Bundle, sample: Sample) -> dict[str, float]:
    with sample.open() as image:
        maps = predict_maps(image, bundle)
    truth, decoder = sample.read_labels(), bundle.manifest.spec.decoder
    foreground = maps[..., 0] >= decoder.foreground_threshold
    known = maps.copy()
    known[..., 0] = np.where(truth > 0, SURE, NOT)
    found = segmentation_scores(truth, decode_cells(maps, decoder))
    return {
        "fold": sample.fold,
        **{name: found[name] for name in ("dice", "aji", "pq")},
        "pq_parted_as_truth": segmentation_scores(truth, _parted_as(truth, foreground))["pq"],
        "pq_of_true_foreground": segmentation_scores(truth, decode_cells(known, decoder))["pq"],
        "wrong_near_outline": _near_outline(truth > 0, foreground),
    }


def _parted_as(truth: Int32[np.ndarray, "y x"], foreground: np.ndarray) -> Int32[np.ndarray, "y x"]:
    """Each pixel of the foreground belongs to the true cell that it is nearest to within its piece."""
    labels = watershed(np.zeros(truth.shape), np.where(foreground, truth, 0), mask=foreground)
    alone, _ = ndimage.label(foreground & (labels == 0))
    return np.where(alone > 0, alone + truth.max(), labels).astype(np.int32)


def _near_outline(truth: np.ndarray, foreground: np.ndarray) -> float:
    inside, outside = (ndimage.distance_transform_edt(part) for part in (truth, ~truth))
    wrong = truth != foreground
    return float((wrong & (np.maximum(inside, outside) <= NEAR_PX)).sum() / max(wrong.sum(), 1))


if __name__ == "__main__":
    main()
