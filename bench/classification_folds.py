"""Two networks over all folds and several seeds: is one really better?

    python bench/classification_screen.py RUNS_DIR --only resnet18 resnet50d --folds 1 2 3 4 --seeds 0 1 2
    python bench/classification_folds.py RUNS_DIR INDEX

Each network of RUNS_DIR names every picture once a seed, by the model that never saw it. Printed are the scores of each
seed, their mean and spread, and the difference of the first network (the most often right) to every other one:
McNemar's exact test of each seed with Holm's correction over all of them, and a bootstrap over pictures of the means
over seeds.
"""

import argparse
from pathlib import Path

import numpy as np
import pandas as pd
from sklearn.metrics import f1_score

from organscope.bundle import load_bundle
from organscope.dataset import read_index
from organscope.evaluate import evaluate_out_of_fold
from organscope.metrics.paired import holm, mcnemar, paired_mean_difference


def main() -> None:
    """Score every network and compare them on the seeds that all have finished."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("runs", type=Path)
    parser.add_argument("index", type=Path)
    arguments = parser.parse_args()
    index = read_index(arguments.index)
    found = {folder.name: finished_seeds(folder, len(set(index.table["fold"]))) for folder in networks(arguments.runs)}
    seeds = sorted(set.intersection(*map(set, found.values())))
    answers = {
        name: [evaluate_out_of_fold([load_bundle(path) for path in by_seed[seed]], index, baseline=False).per_image
               for seed in seeds]
        for name, by_seed in found.items()
    }  # fmt: skip
    best_first = sorted(answers, key=lambda name: -np.mean([right(table).mean() for table in answers[name]]))
    for name in best_first:
        print_scores(name, seeds, answers[name])
    for name in best_first[1:]:
        print_difference(best_first[0], name, answers[best_first[0]], answers[name])


def networks(runs: Path) -> list[Path]:
    """Folders that hold trainings of several folds."""
    found = sorted(path for path in runs.iterdir() if list(path.glob("fold*-seed*")))
    if not found:
        raise SystemExit(f"Expected folders NAME/foldK-seedS below {runs}, found none. Train with --folds first.")
    return found


def finished_seeds(folder: Path, n_folds: int) -> dict[int, list[Path]]:
    """Bundles of all folds, by seed; seeds of which a fold is missing are left out."""
    by_seed: dict[int, list[Path]] = {}
    for manifest in sorted(folder.glob("fold*-seed*/bundle/manifest.json")):
        seed = int(manifest.parts[-3].partition("-seed")[2])
        by_seed.setdefault(seed, []).append(manifest.parent)
    return {seed: paths for seed, paths in by_seed.items() if len(paths) == n_folds}


def right(table: pd.DataFrame) -> np.ndarray:
    return table["correct"].to_numpy(bool)


def print_scores(name: str, seeds: list[int], tables: list[pd.DataFrame]) -> None:
    """Accuracy and macro-F1 of each seed, and of all."""
    accuracies = [right(table).mean() for table in tables]
    scores = [f1_score(table["organ"], table["predicted"], average="macro") for table in tables]
    each = ", ".join(
        f"seed {seed}: {accuracy:.3f}, {f1:.3f}" for seed, accuracy, f1 in zip(seeds, accuracies, scores, strict=True)
    )
    print(
        f"{name}: accuracy {np.mean(accuracies):.3f} (spread {np.std(accuracies):.3f}), macro-F1 {np.mean(scores):.3f} "
        f"(spread {np.std(scores):.3f}); {each}; {len(tables[0])} pictures"
    )


def print_difference(best: str, other: str, first: list[pd.DataFrame], second: list[pd.DataFrame]) -> None:
    """How much more often the first network is right, and whether that can be chance."""
    pairs = [(right(a), right(b)) for a, b in zip(first, second, strict=True)]
    tests = [mcnemar(*pair) for pair in pairs]
    adjusted = holm(np.array([test.p_value for test in tests]))
    means = [np.mean(side, axis=0) for side in zip(*pairs, strict=True)]
    difference = paired_mean_difference(*means, np.arange(len(means[0])))
    counts = ", ".join(
        f"{test.only_first} against {test.only_second} (p = {p:.2g})" for test, p in zip(tests, adjusted, strict=True)
    )
    print(
        f"{best} minus {other}: accuracy {difference.value:+.3f} ({difference.low:+.3f} to {difference.high:+.3f}); "
        f"pictures that only one names rightly, by seed: {counts}"
    )


if __name__ == "__main__":
    main()
