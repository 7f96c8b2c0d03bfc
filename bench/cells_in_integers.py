"""Make a bundle for single cells compute in eight-bit integers, and measure what that gains and costs.

    python bench/cells_in_integers.py configs/cell_organs.toml cell-organs --version 2026.11.6 -o OUT

Ranges come from crops, and their gray copies, of images that trained the network; accuracy as it is and in gray, of
cells and of the images that they name together, and seconds are of the images that were only scored. The new bundle is
scored on them whole, and its card says so.
"""

import argparse
import time
from pathlib import Path

import numpy as np

from organscope.data.index import Sample
from organscope.evaluation import evaluate_bundle, manifest_scores
from organscope.evaluation.cells import score_cells
from organscope.evaluation.equivalence import Certificate
from organscope.models import Bundle, Manifest, Score, load_bundle, write_bundle
from organscope.models.describe import score_table
from organscope.training.bundling import now, with_certificate
from organscope.training.classification.bundling import compare_framework, versions
from organscope.training.classification.config import ClassificationConfig
from organscope.training.classification.data import read_cells
from organscope.training.classification.export import calibration_batches, quantized_copy
from organscope.training.config import read_settings
from organscope.training.split import split_cells

N_CALIBRATION_IMAGES = 96
N_CALIBRATION_CELLS = 768
N_COMPARED_IMAGES = 6


def main() -> None:
    """Quantize, compare, certify."""
    told = _arguments()
    config = read_settings(ClassificationConfig, told.config)
    split = split_cells(config.data)
    plain = load_bundle(told.bundle)
    cells = read_cells(split.training[:: -(-len(split.training) // N_CALIBRATION_IMAGES)], config, np.inf)
    chosen = np.random.default_rng(0).permutation(len(cells))[:N_CALIBRATION_CELLS]
    integers = quantized_copy(plain, calibration_batches(config, cells.chosen(np.sort(chosen))), told.output)
    for name, bundle in (("floating point", plain), ("integers", integers)):
        print(name, scores(bundle, split.test, told.cells))
    certificate = Certificate(
        pictures=f"{N_COMPARED_IMAGES} images of {split.test[0].dataset} (fold 1)",
        made_with=versions(),
        comparisons=compare_framework(integers, split.test[:N_COMPARED_IMAGES]),
    )
    certified = with_certificate(integers, certificate, told.output)
    evaluations = [evaluate_bundle(certified, index, fold=config.data.test_folds) for index in split.indexes]
    found = tuple(score for evaluation in evaluations for score in manifest_scores(evaluation))
    # What image and cells say together was scored with the networks of all folds, which are not here.
    found += tuple(score for score in plain.manifest.scores if score.metric.startswith("together_"))
    write_bundle(told.output, *rewritten(certified, told.version, found))


def rewritten(bundle: Bundle, version: str, found: tuple[Score, ...]) -> tuple[Manifest, dict[str, bytes]]:
    """Manifest and files of the same bundle with a new version, its scores, and a card that says both."""
    old = bundle.manifest
    card = bundle.read(old.card).decode().replace(f"# {old.name} {old.version}", f"# {old.name} {version}")
    before, rest = card.split("## Measured\n\n")
    _, after = rest.split("\n\n## Limits", 1)
    before = before.replace("seen from all eight sides", "turned to all four sides").rstrip()
    network, data = before.split("\n\n## Data")
    network += "\n- It computes in eight-bit integers but for its first convolution and its head; figures of image and "
    network += "cells together are of floating point."
    card = f"{network}\n\n## Data{data}\n\n## Measured\n\n{score_table(found)}\n\n## Limits{after}"
    manifest = old.model_copy(update={"version": version, "scores": list(found), "created": now()})
    return manifest, {name: bundle.read(name) for name in old.files} | {old.card: card.encode()}


def scores(bundle: Bundle, samples: list[Sample], cells: int) -> dict[str, float]:
    """Shares of right answers, and seconds a thousand looks (each cell is looked at as it is and in gray)."""
    started = time.perf_counter()
    images, rows = score_cells(bundle, samples, cells, lambda done, n: None)
    seconds = time.perf_counter() - started
    found = {
        "cells": float(rows["correct"].mean()),
        "cells in gray": float((rows["gray_predicted"] == rows["organ"]).mean()),
        "images": float((images["predicted"] == images["organ"]).mean()),
    }
    return {name: round(value, 4) for name, value in found.items()} | {"s": round(500 * seconds / len(rows), 3)}


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("config", type=Path)
    parser.add_argument("bundle")
    parser.add_argument("--version", required=True, help="of the new bundle")
    parser.add_argument("--cells", type=int, default=60, help="of an image")
    parser.add_argument("-o", "--output", type=Path, required=True)
    return parser.parse_args()


if __name__ == "__main__":
    main()
