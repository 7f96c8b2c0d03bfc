"""How right are an image and its cells together, where each alone was never shown the image?

    organscope evaluate cell-organs runs/cells2/bundle runs/cells3/bundle runs/cells4/bundle indexes/nuinsseg \\
        --out-of-fold -o scores
    python bench/joint_answer.py organs scores

The answers for images come from the calibration table of the first bundle, out of fold; those of the cells from an
evaluation. Both are joined as `analyze` joins them (`pool_answers`), before any temperature. Printed are the scores of
each with 95 % bootstrap intervals over images, and what the joint answer has over the first, on the same images.
"""

import argparse
from pathlib import Path

import numpy as np

from organscope.decision.aggregation import pool_answers
from organscope.evaluation.joint import read_both
from organscope.evaluation.metrics.classification import classification_scores
from organscope.evaluation.statistics import bootstrap_interval, mcnemar
from organscope.models import load_bundle

METRICS = ("accuracy", "balanced_accuracy", "macro_f1", "ece", "nll")


def main() -> None:
    """Score images, cells and both together on the images that all were asked about."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("bundle", help="for images, with an out-of-fold calibration table")
    parser.add_argument("cells", type=Path, help="folder of an evaluation of bundles for cells")
    arguments = parser.parse_args()
    both = read_both(load_bundle(arguments.bundle), arguments.cells)
    labels = both.labels
    together = np.stack([pool_answers(*pair) for pair in zip(both.image, both.cells, strict=True)])
    answers = {"image": both.image, "cells": both.cells, "together": together}
    print(f"{len(labels)} images")
    for name, probabilities in answers.items():
        print(name.ljust(10), "  ".join(score_in_words(probabilities, labels)))
    print(difference_in_words(answers["together"], answers["image"], labels))


def score_in_words(probabilities: np.ndarray, labels: np.ndarray) -> list[str]:
    """Each metric with its interval."""

    def scores(chosen: np.ndarray) -> dict[str, float]:
        found = classification_scores(probabilities[chosen], labels[chosen])
        return {name: found[name] for name in METRICS}

    everything = np.arange(len(labels))
    intervals = bootstrap_interval(scores, everything)
    return [
        f"{name} {value:.3f} ({intervals[name][0]:.3f} to {intervals[name][1]:.3f})"
        for name, value in scores(everything).items()
    ]


def difference_in_words(joint: np.ndarray, image: np.ndarray, labels: np.ndarray) -> str:
    """How much more often the joint answer is right, and whether that can be chance."""
    right = [part.argmax(axis=1) == labels for part in (joint, image)]
    test = mcnemar(*right)
    return (
        f"together minus image {right[0].mean() - right[1].mean():+.3f}: {test.only_first} images that only both "
        f"together name rightly, {test.only_second} that only the image does "
        f"(McNemar's exact test: p = {test.p_value:.2g})"
    )


if __name__ == "__main__":
    main()
