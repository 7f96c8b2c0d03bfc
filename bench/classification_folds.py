"""Two networks over all folds and several seeds: is one really better?

    python bench/classification_screen.py RUNS_DIR --only resnet18 resnet50d --folds 1 2 3 4 --seeds 0 1 2
    python bench/classification_folds.py RUNS_DIR INDEX

Each network of RUNS_DIR names every image once a seed, by the model that never saw it. Printed are the scores of each
seed, their mean and spread, and the difference of the first network (the most often right) to every other one:
McNemar's exact test of each seed with Holm's correction over all of them, and a bootstrap over images of the means
over seeds.
"""

import argparse
from pathlib import Path

import numpy as np

from organscope.data import read_index
from organscope.evaluation import evaluate_out_of_fold
from organscope.evaluation.results import Evaluation
from organscope.evaluation.statistics import holm, mcnemar, paired_mean_difference
from organscope.models import load_bundle


def main() -> None:
    """Score every network and compare them on the seeds that all have finished."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("runs", type=Path)
    parser.add_argument("index", type=Path)
    arguments = parser.parse_args()
    index = read_index(arguments.index)
    found = {folder.name: finished_seeds(folder, len(set(index.table["fold"]))) for folder in networks(arguments.runs)}
    seeds = sorted(set.intersection(*map(set, found.values())))
    scored = {
        name: [
            evaluate_out_of_fold([load_bundle(path) for path in by_seed[seed]], index, baseline=False) for seed in seeds
        ]
        for name, by_seed in found.items()
    }
    best, *others = sorted(scored, key=lambda name: -mean_and_spread(scored[name], "accuracy")[0])
    for name in (best, *others):
        print_scores(name, seeds, scored[name])
    for name in others:
        print_difference(best, name, scored[best], scored[name])


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


def mean_and_spread(by_seed: list[Evaluation], metric: str) -> tuple[float, float]:
    """Mean and standard deviation over the seeds."""
    values = [evaluation.score(metric) for evaluation in by_seed]
    return float(np.mean(values)), float(np.std(values))


def print_scores(name: str, seeds: list[int], by_seed: list[Evaluation]) -> None:
    """Accuracy and macro-F1 of each seed, and of all."""
    each = ", ".join(
        f"seed {seed}: {evaluation.score('accuracy'):.3f}, {evaluation.score('macro_f1'):.3f}"
        for seed, evaluation in zip(seeds, by_seed, strict=True)
    )
    accuracy, f1 = (mean_and_spread(by_seed, metric) for metric in ("accuracy", "macro_f1"))
    print(
        f"{name}: accuracy {accuracy[0]:.3f} (spread {accuracy[1]:.3f}), macro-F1 {f1[0]:.3f} (spread {f1[1]:.3f}); "
        f"{each}; {len(by_seed[0].per_image)} images"
    )


def print_difference(best: str, other: str, first: list[Evaluation], second: list[Evaluation]) -> None:
    """How much more often the first network is right, and whether that can be chance."""
    right = [[one.per_image["correct"].to_numpy(bool) for one in by_seed] for by_seed in (first, second)]
    pairs = list(zip(*right, strict=True))
    tests = [mcnemar(*pair) for pair in pairs]
    adjusted = holm(np.array([test.p_value for test in tests]))
    means = [np.mean(side, axis=0) for side in right]
    difference = paired_mean_difference(*means, np.arange(len(means[0])))
    counts = ", ".join(
        f"{test.only_first} against {test.only_second} (p = {p:.2g})" for test, p in zip(tests, adjusted, strict=True)
    )
    print(
        f"{best} minus {other}: accuracy {difference.value:+.3f} ({difference.low:+.3f} to {difference.high:+.3f}); "
        f"images that only one names rightly, by seed: {counts}"
    )


if __name__ == "__main__":
    main()
