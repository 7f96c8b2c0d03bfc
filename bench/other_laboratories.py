"""What a changed stain and size cost: scores of bundles on copies of images as another laboratory might make them.

    python bench/other_laboratories.py nuclei runs/nuclei/bundle --on indexes/nuinsseg --fold 1 [--n 30]

Imitated, on `n` images evenly spaced over the fold: another stain (hue turned by up to 43 degrees, saturation .4 to
.9 times as high, one draw an image), half the size, and both. An imitation shows what breaks, not what another
laboratory's slides would give. Prints PQ and Dice, means over the images, one row a bundle and kind of copy.
"""

import argparse
import tempfile
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
from skimage.color import hsv2rgb, rgb2hsv
from skimage.io import imsave
from skimage.transform import resize

from organscope.data import read_index
from organscope.data.index import Sample
from organscope.evaluation.segmentation import score_images
from organscope.io import write_labels
from organscope.models import load_bundle

KINDS = {"as it is": (False, 1.0), "restained": (True, 1.0), "half size": (False, 0.5), "both": (True, 0.5)}


def main() -> None:
    """Copy, score, print."""
    arguments = _arguments()
    samples = [s for s in read_index(arguments.on).samples(arguments.fold) if s.labels_path is not None]
    chosen = [samples[i] for i in np.unique(np.linspace(0, len(samples) - 1, arguments.n).astype(int))]
    rows = []
    with tempfile.TemporaryDirectory() as folder:
        for kind, (stain, scale) in KINDS.items():
            place = Path(folder) / kind.replace(" ", "-")
            place.mkdir()
            copies = [_copy(sample, place, number, stain, scale) for number, sample in enumerate(chosen)]
            for name in arguments.bundles:
                scores, _ = score_images(load_bundle(name), copies, lambda done, total: None)
                rows.append({"bundle": name, "copies": kind, **scores[["pq", "dice"]].mean().round(3).to_dict()})
    print(pd.DataFrame(rows).sort_values(["bundle", "copies"]).to_string(index=False))


def _copy(sample: Sample, folder: Path, number: int, stain: bool, scale: float) -> Sample:
    """Write an altered copy of an image and its labels."""
    with sample.open() as image:
        pixels = image.read_whole()[..., :3]
    labels = sample.read_labels()
    if stain:
        pixels = _restained(pixels, np.random.default_rng(number))
    if scale != 1:
        shape = tuple(round(length * scale) for length in labels.shape)
        pixels = np.rint(resize(pixels, shape, anti_aliasing=True, preserve_range=True)).astype(np.uint8)
        labels = resize(labels, shape, order=0, anti_aliasing=False, preserve_range=True).astype(np.int32)
    picture, truth = (folder / f"{sample.id}{ending}" for ending in (".png", "-labels.tif"))
    imsave(picture, pixels, check_contrast=False)
    write_labels(truth, labels)
    return replace(sample, image_path=picture, labels_path=truth)


def _restained(pixels: np.ndarray, random: np.random.Generator) -> np.ndarray:
    hsv = rgb2hsv(pixels)
    hsv[..., 0] = (hsv[..., 0] + random.uniform(-43, 43) / 360) % 1
    hsv[..., 1] *= random.uniform(0.4, 0.9)
    return np.rint(hsv2rgb(hsv) * 255).astype(np.uint8)


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("bundles", nargs="+", help="names or folders of bundles")
    parser.add_argument("--on", type=Path, required=True, help="an index with labels")
    parser.add_argument("--fold", type=int, default=1)
    parser.add_argument("--n", type=int, default=30, help="pictures")
    return parser.parse_args()


if __name__ == "__main__":
    main()
