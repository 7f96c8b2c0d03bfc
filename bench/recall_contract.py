"""Is the recall contract kept, and what can be promised for each organ?

    python bench/recall_contract.py                       # simulated scores of known true recall
    python bench/recall_contract.py --mapie               # and the same thresholds from MAPIE, where it is installed
    python bench/recall_contract.py --bundle organs       # what a bundle can promise; also a calibration.parquet

Simulation: n positives get scores from a known distribution, the contract's threshold is computed from them, and the
true recall of that threshold is read off the distribution. A contract of confidence .90 must be kept in at least 90 %
of the trials. Where n are just enough for a level, as 22 for .90 and 45 for .95, it is kept with a probability of
hardly more, and the share in 2,000 trials varies by 1.3 points around it (95 %); the exact one stands beside it.
"""

import argparse
import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
from scipy.stats import beta, binom

from organscope.decision import RecallGuaranteeTable, fit_recall_guarantees, recall_guarantee
from organscope.decision.fitting import by_image
from organscope.decision.risk_control import CONFIDENCE, allowed_misses, highest_level, recall_threshold
from organscope.models import load_bundle

SIZES = (22, 30, 45, 60, 77, 100, 150, 250, 500)
LEVELS = (0.80, 0.90, 0.95)
ENOUGH_POSITIVES = 22
BEARABLE_FALSE_ALARMS = 0.30
Draw = Callable[[np.random.Generator, tuple[int, int]], np.ndarray]


def main() -> None:
    """Simulate, or tabulate what a bundle promises; print a table, write JSON."""
    arguments = _arguments()
    rows = promised_by(arguments.bundle) if arguments.bundle else simulate(arguments.trials, arguments.seed)
    print(pd.DataFrame(rows).to_string(index=False, float_format="{:.3f}".format))
    if arguments.bundle:
        _print_target(rows)
    else:
        table = pd.DataFrame(rows)
        print(table.groupby("n")[["kept", "exact"]].agg(["mean", "min"]).to_string(float_format="{:.4f}".format))
        print(f"kept in {table['kept'].mean():.2%} of all {len(table) * arguments.trials:,} trials")
    if arguments.mapie:
        print(compare_with_mapie(arguments.seed))
    if arguments.json:
        arguments.json.write_text(json.dumps(rows, indent=2) + "\n")


def simulate(n_trials: int, seed: int) -> list[dict]:
    """Share of trials in which the true recall is at least what was promised."""
    generator = np.random.default_rng(seed)
    rows = []
    for name, (draw, true_recall) in DISTRIBUTIONS.items():
        for n in SIZES:
            highest = highest_level(n, CONFIDENCE)
            for level in sorted({level for level in LEVELS if level < highest} | {highest}):
                misses = allowed_misses(n, level, CONFIDENCE)
                scores = np.sort(draw(generator, (n_trials, n)), axis=1)
                recall = true_recall(scores[:, misses])
                rows.append(
                    {
                        "scores": name,
                        "n": n,
                        "promised": level,
                        "highest": level == highest,
                        "kept": float((recall >= level).mean()),
                        # P(fewer than misses + 1 fall below the quantile): the order statistic lies above it.
                        "exact": float(1 - binom.cdf(misses, n, 1 - level)),
                        "mean_recall": float(recall.mean()),
                    }
                )
    return rows


def promised_by(source: str) -> list[dict]:
    """The highest level that each organ allows, and its price."""
    contract = _contract_of(source)
    rows = []
    for organ in contract.organs:
        found = recall_guarantee(contract, organ.organ, 0.999)
        low, high = found.false_alarm_interval
        asked = recall_guarantee(contract, organ.organ, 0.90)
        rows.append(
            {
                "organ": organ.organ,
                "positives": found.n_positive,
                "promised": found.level,
                "false_alarms": found.false_alarm_rate,
                "low": low,
                "high": high,
                "false_alarms_at_90": asked.false_alarm_rate if asked.kept else float("nan"),
            }
        )
    return sorted(rows, key=lambda row: -row["positives"])


def compare_with_mapie(seed: int, n_trials: int = 20) -> str:
    """Thresholds of MAPIE's fixed-sequence control on a grid of every score, beside the contract's."""
    from mapie.risk_control import BinaryClassificationController

    generator = np.random.default_rng(seed)
    equal = lower = higher = 0
    for _ in range(n_trials):
        for n in SIZES:
            positives = np.sort(generator.beta(4, 2, n))
            probabilities = np.stack([1 - positives, positives], axis=1)
            controller = BinaryClassificationController(
                lambda rows: rows, "recall", 0.90, CONFIDENCE,
                list_predict_params=positives, fwer_method="fixed_sequence",
            )  # fmt: skip
            controller.calibrate(probabilities, np.ones(n, int))
            theirs = controller.valid_predict_params.max(initial=0.0)
            ours = recall_threshold(positives, 0.90, CONFIDENCE)
            equal, lower, higher = equal + (theirs == ours), lower + (theirs < ours), higher + (theirs > ours)
    n_thresholds = n_trials * len(SIZES)
    return f"MAPIE, {n_thresholds} thresholds: {equal} equal, {lower} lower (a miss rounded up), {higher} higher"


def _contract_of(source: str) -> RecallGuaranteeTable:
    if not source.endswith(".parquet"):
        bundle = load_bundle(source)
        together = bundle.manifest.spec.together
        return bundle.policy.contract if together is None else together.policy.contract
    table = pd.read_parquet(source)
    columns = [column for column in table.columns if column.startswith("p_")]
    images = by_image(table, columns)
    organs = [column.removeprefix("p_") for column in columns]
    return fit_recall_guarantees(images[columns].to_numpy(float), images["label"].to_numpy(int), organs)


def _print_target(rows: list[dict]) -> None:
    asked = [row for row in rows if row["positives"] >= ENOUGH_POSITIVES]
    cheap = [row for row in asked if row["false_alarms"] <= BEARABLE_FALSE_ALARMS]
    print(
        f"{len(cheap)} of {len(asked)} organs with at least {ENOUGH_POSITIVES} positives promise their highest level "
        f"at false alarms of at most {BEARABLE_FALSE_ALARMS:.0%}"
    )


def _rounded_beta(generator: np.random.Generator, shape: tuple[int, int]) -> np.ndarray:
    return np.round(generator.beta(4, 2, shape), 2)


DISTRIBUTIONS: dict[str, tuple[Draw, Callable[[np.ndarray], np.ndarray]]] = {
    "uniform": (lambda generator, shape: generator.random(shape), lambda t: 1 - t),
    "beta(8, 1)": (lambda generator, shape: generator.beta(8, 1, shape), lambda t: beta.sf(t, 8, 1)),
    # Ties: all scores that round to t or more are flagged.
    "beta(4, 2), 2 digits": (_rounded_beta, lambda t: beta.sf(t - 0.005, 4, 2)),
}


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--trials", type=int, default=2000)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--bundle", help="bundle, or its calibration.parquet")
    parser.add_argument("--mapie", action="store_true")
    parser.add_argument("--json", type=Path)
    return parser.parse_args()


if __name__ == "__main__":
    main()
