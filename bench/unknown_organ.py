"""Are organs that a classifier never saw told from those that it knows?

    python bench/unknown_organ.py runs/without-liver/bundle index --fold 1

The bundle was trained on an index that lacks some organs (leave one organ out); the index holds all. Images of organs
that the bundle does not know are unknown; of the others those of the given fold, on which it was not trained, are
known. Printed is the area under the ROC curve of three signs of the unknown with 95 % bootstrap intervals over
images, and how many images of each kind the bundle's policy accepts. Several bundles are summed up by their mean.
"""

import argparse

import numpy as np
import pandas as pd
from scipy.stats import rankdata

from organscope.data.index import Index, read_index
from organscope.evaluation.statistics import bootstrap_interval
from organscope.inference import classify_image
from organscope.models import Bundle, load_bundle

SIGNS = ("distance", "doubt of the answer", "both")


def main() -> None:
    """Score every bundle, print a row each and their mean."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("bundles", nargs="+")
    parser.add_argument("index")
    parser.add_argument("--fold", type=int, default=1)
    arguments = parser.parse_args()
    index = read_index(arguments.index)
    rows = [score(load_bundle(name), index, arguments.fold) for name in arguments.bundles]
    table = pd.DataFrame(rows)
    print(table.to_string(index=False, float_format="{:.3f}".format))
    print(table[list(SIGNS)].mean().to_string(float_format="{:.3f}".format))


def score(bundle: Bundle, index: Index, fold: int) -> dict:
    """How well each sign tells unknown from known images, and what is accepted."""
    known_organs = set(bundle.manifest.classes)
    samples = [sample for sample in index.samples() if sample.organ not in known_organs or sample.fold == fold]
    unknown = np.array([sample.organ not in known_organs for sample in samples])
    distance, confidence, accepted = [], [], []
    for sample in samples:
        with sample.open() as image:
            found = classify_image(image, bundle)
        distance.append(found.decision.distance)
        confidence.append(found.decision.confidence)
        accepted.append(found.decision.decision == "accept")
    signs = dict(zip(SIGNS, _signs(np.array(distance), np.array(confidence)), strict=True))
    row = {"organs": "; ".join(sorted({s.organ for s in samples if s.organ not in known_organs}))}
    for name, values in signs.items():
        low, high = bootstrap_interval(
            lambda drawn, values=values: {"": area(values[drawn], unknown[drawn])}, np.arange(len(samples))
        )[""]
        row |= {name: area(values, unknown), f"{name} 95 %": f"{low:.3f} to {high:.3f}"}
    accepted = np.array(accepted)
    return row | {"accepted known": accepted[~unknown].mean(), "accepted unknown": accepted[unknown].mean()}


def area(values: np.ndarray, positive: np.ndarray) -> float:
    """Area under the ROC curve; ties count one half, not-a-number where one kind is missing."""
    n_positive, n_negative = int(positive.sum()), int((~positive).sum())
    if not n_positive or not n_negative:
        return float("nan")
    wins = rankdata(values)[positive].sum() - n_positive * (n_positive + 1) / 2
    return float(wins / (n_positive * n_negative))


def _signs(distance: np.ndarray, confidence: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Distance, one minus confidence, and the sum of their ranks."""
    return distance, 1 - confidence, rankdata(distance) + rankdata(1 - confidence)


if __name__ == "__main__":
    main()
