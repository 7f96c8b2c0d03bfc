"""How right are an image and its cells together where the image has lost its color?

    python bench/joint_gray.py indexes/nuinsseg cell-organs --images runs/organs{1,2,3,4}/bundle \\
        --cells cell-organs runs/cells{2,3,4}/bundle

The k-th bundle of either kind never saw fold k, whose images are shown to both in gray, with their contrast stretched
as `organscope evaluate --checks` does. Both answers are joined as the bundle for cells (second argument) says. Printed
are the scores of each and McNemar's exact test.
"""

import argparse
from pathlib import Path

import numpy as np

from organscope.data import read_index
from organscope.data.index import Sample
from organscope.evaluation.metrics.classification import classification_scores
from organscope.evaluation.robustness import gray_copy
from organscope.evaluation.statistics import mcnemar
from organscope.inference import classify_cells, classify_image
from organscope.models import Bundle, load_bundle

METRICS = ("accuracy", "balanced_accuracy", "macro_f1", "ece", "nll")


def main() -> None:
    """Score gray copies of every fold that has a pair of bundles."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("index", type=Path)
    parser.add_argument("together", help="bundle for cells that says how both decide")
    parser.add_argument("--images", nargs="+", required=True, help="bundles for images, of folds 1, 2, ...")
    parser.add_argument("--cells", nargs="+", required=True, help="bundles for cells, of the same folds")
    arguments = parser.parse_args()
    index, spec = read_index(arguments.index), load_bundle(arguments.together).manifest.spec
    answers, labels = [], []
    for fold, (images, cells) in enumerate(zip(arguments.images, arguments.cells, strict=True), start=1):
        bundles = load_bundle(images), load_bundle(cells)
        for sample in index.samples(fold):
            answers.append(answers_in_gray(sample, *bundles))
            labels.append(bundles[0].manifest.classes.index(sample.organ))
        print(f"fold {fold}: {len(labels)} images so far", flush=True)
    image, cells = (np.stack(part) for part in zip(*answers, strict=True))
    truth, together = np.array(labels), spec.together.probabilities(image, cells)
    for name, found in (("image", image), ("cells", cells), ("together", together)):
        scores = classification_scores(found, truth)
        print(name.ljust(10), "  ".join(f"{metric} {scores[metric]:.3f}" for metric in METRICS))
    test = mcnemar(together.argmax(axis=1) == truth, image.argmax(axis=1) == truth)
    print(f"only together {test.only_first}, only the image {test.only_second}: p = {test.p_value:.2g}")


def answers_in_gray(sample: Sample, images: Bundle, cells: Bundle) -> tuple[np.ndarray, np.ndarray]:
    """Probabilities of each organ, from the image and from its drawn cells, in the order of the bundle for images."""
    with sample.open() as opened:
        gray = gray_copy(opened)
        whole = classify_image(gray, images)
        found = classify_cells(gray, sample.read_labels(), cells)
    organs = images.manifest.classes
    pooled = np.full(len(organs), 1 / len(organs)) if found.pooled is None else found.pooled
    return whole.probabilities, pooled[[found.organs.index(organ) for organ in organs]]


if __name__ == "__main__":
    main()
