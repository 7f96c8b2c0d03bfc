"""Put finished runs side by side: accuracy with intervals, size, cost, learning curves, and which differences are real.

    python bench/classification_compare.py RUNS_DIR -o FOLDER [--threads 2] [--rounds 7]

Every folder in RUNS_DIR that holds a finished run of `organscope train classification` takes part; all must have held
out the same pictures. Written: `table.md`, `results.json`, `cost.png`, `curves.png` and `curves/NAME.jsonl`. Pictures
are scored through the use side; the model with the highest accuracy is tested against each other one.
"""

import argparse
import json
import shutil
import statistics
from pathlib import Path

import matplotlib as mpl
import numpy as np
import pandas as pd
import torch
from torch import nn

from classification_speed import load_network, run_all
from organscope.bundle import Bundle, load_bundle
from organscope.evaluate.classification import score_pictures, summarise
from organscope.metrics.paired import holm, mcnemar, paired_mean_difference
from organscope.train.classification.config import ClassificationConfig
from organscope.train.classification.network import OrganNetwork
from organscope.train.settings import check_settings
from organscope.train.split import split_samples

mpl.use("Agg")
BATCH = 8
N_TIMED = 32


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("runs", type=Path)
    parser.add_argument("-o", "--output", type=Path, required=True)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--rounds", type=int, default=7)
    options = parser.parse_args()
    runs = sorted(path.parent.parent for path in options.runs.glob("*/bundle/manifest.json"))
    bundles = {run.name: load_bundle(run / "bundle", threads=options.threads) for run in runs}
    pictures = {run.name: held_out_pictures(run, bundles[run.name]) for run in runs}
    require_same_pictures(pictures)
    milliseconds = time_bundles(bundles, options.rounds)
    rows = [row_of(run, bundles[run.name], pictures[run.name], milliseconds[run.name]) for run in runs]
    rows.sort(key=lambda row: -row["accuracy"])
    add_tests(rows, pictures)
    write(options.output, rows, runs, options.threads)


def held_out_pictures(run: Path, bundle: Bundle) -> pd.DataFrame:
    """What the bundle says of each picture of its test folds, in the order of their names."""
    config = check_settings(ClassificationConfig, json.loads((run / "config.json").read_text()), str(run))
    print(f"{run.name}: scoring", flush=True)
    found = score_pictures(bundle, split_samples(config.data).test, lambda done, total: None)
    return found.sort_values("id", ignore_index=True)


def require_same_pictures(pictures: dict[str, pd.DataFrame]) -> None:
    """Paired tests need one and the same pictures."""
    ids = {name: tuple(table["id"]) for name, table in pictures.items()}
    if len(set(ids.values())) != 1:
        raise SystemExit("Expected runs that held out the same pictures; train all with the same data.test_folds.")


def row_of(run: Path, bundle: Bundle, pictures: pd.DataFrame, milliseconds: float) -> dict:
    """One line of the table."""
    network = load_network(bundle)
    scores = summarise(pictures, bundle.manifest.classes)[0].set_index("metric")
    epochs = [json.loads(line) for line in (run / "metrics.jsonl").read_text().splitlines()]
    row = {
        "name": run.name,
        "millions": sum(parameter.numel() for parameter in network.parameters()) / 1e6,
        "gflop": count_flop(network, bundle.manifest.spec.input_px) / 1e9,
        "ms": milliseconds,
        "epochs": len(epochs),
        "minutes": sum(epoch["seconds"] for epoch in epochs) / 60,
    }
    for metric in ("accuracy", "macro_f1"):
        row[metric] = float(scores.loc[metric, "value"])
        row[f"{metric}_low"], row[f"{metric}_high"] = (float(scores.loc[metric, end]) for end in ("low", "high"))
    return row


def count_flop(network: OrganNetwork, input_px: int) -> float:
    """Floating-point operations of all convolutions and linear functions for one field; a multiply-add is two."""
    total = 0

    def count(module: nn.Module, inputs: tuple, output: torch.Tensor) -> None:
        nonlocal total
        weights = module.weight.numel() / module.weight.shape[0]
        total += 2 * weights * output[0].numel()

    hooks = [m.register_forward_hook(count) for m in network.modules() if isinstance(m, nn.Conv2d | nn.Linear)]
    with torch.inference_mode():
        network(torch.zeros(1, 3, input_px, input_px))
    for hook in hooks:
        hook.remove()
    return float(total)


def time_bundles(bundles: dict[str, Bundle], rounds: int) -> dict[str, float]:
    """Milliseconds a field in onnxruntime, float32, in turns; the first turn only warms up."""
    random = np.random.default_rng(0)
    times: dict[str, list[float]] = {name: [] for name in bundles}
    for turn in range(rounds + 1):
        for name, bundle in bundles.items():
            side = bundle.manifest.spec.input_px
            fields = random.standard_normal((N_TIMED, side, side, 3), dtype=np.float32)
            seconds = run_all(bundle.run, fields, BATCH)
            if turn > 0:
                times[name].append(1000 * seconds)
    return {name: statistics.median(values) for name, values in times.items()}


def add_tests(rows: list[dict], pictures: dict[str, pd.DataFrame]) -> None:
    """The best model against each other one: McNemar's test, Holm-adjusted, and the paired bootstrap."""
    right = {name: table["correct"].to_numpy(bool) for name, table in pictures.items()}
    best = right[rows[0]["name"]]
    others = rows[1:]
    tests = [mcnemar(best, right[row["name"]]) for row in others]
    adjusted = holm(np.array([test.p_value for test in tests], dtype=np.float64))
    for row, test, p_value in zip(others, tests, adjusted, strict=True):
        gap = paired_mean_difference(best, right[row["name"]], np.arange(best.size))
        row |= {"only_best": test.only_first, "only_this": test.only_second, "p_holm": float(p_value)}
        row |= {"gap": gap.value, "gap_low": gap.low, "gap_high": gap.high}


def write(folder: Path, rows: list[dict], runs: list[Path], threads: int) -> None:
    """All results of the comparison."""
    (folder / "curves").mkdir(parents=True, exist_ok=True)
    for run in runs:
        shutil.copyfile(run / "metrics.jsonl", folder / "curves" / f"{run.name}.jsonl")
    (folder / "results.json").write_text(json.dumps({"threads": threads, "rows": rows}, indent=2) + "\n")
    (folder / "table.md").write_text(table(rows))
    draw_cost(folder / "cost.png", rows)
    draw_curves(folder / "curves.png", [row["name"] for row in rows], folder / "curves")
    print(table(rows))


def table(rows: list[dict]) -> str:
    """Markdown, the best first."""
    lines = [
        "| backbone | accuracy | macro-F1 | million parameters | GFLOP | ms a picture | epochs, minutes "
        "| right only by the best / only by this | p (Holm) | best ahead by |",
        "| --- | --- | --- | --- | --- | --- | --- | --- | --- | --- |",
    ]
    for row in rows:
        tests = ["", "", ""]
        if "gap" in row:
            tests = [
                f"{row['only_best']} / {row['only_this']}",
                f"{row['p_holm']:.2f}",
                f"{row['gap']:.3f} ({row['gap_low']:.3f} to {row['gap_high']:.3f})",
            ]
        cells = [
            row["name"],
            *(f"{row[m]:.3f} ({row[f'{m}_low']:.3f} to {row[f'{m}_high']:.3f})" for m in ("accuracy", "macro_f1")),
            f"{row['millions']:.1f}",
            f"{row['gflop']:.2f}",
            f"{row['ms']:.1f}",
            f"{row['epochs']}, {row['minutes']:.1f}",
            *tests,
        ]
        lines.append("| " + " | ".join(cells) + " |")
    return "\n".join(lines) + "\n"


def draw_cost(path: Path, rows: list[dict]) -> None:
    """Accuracy against milliseconds a picture, with its interval."""
    from matplotlib import pyplot as plt

    figure, axes = plt.subplots(figsize=(7.5, 4.5), layout="constrained")
    values = np.array([row["accuracy"] for row in rows])
    ends = np.array([[row["accuracy"] - row["accuracy_low"], row["accuracy_high"] - row["accuracy"]] for row in rows])
    ms = [row["ms"] for row in rows]
    axes.errorbar(ms, values, yerr=ends.T, fmt="o", color="#0072B2", ecolor="#999999", elinewidth=1, markersize=5)
    for row in rows:
        axes.annotate(row["name"], (row["ms"], row["accuracy"]), xytext=(5, 4), textcoords="offset points", fontsize=8)
    axes.set(xscale="log", xlabel="milliseconds a picture (onnxruntime, float32)", ylabel="accuracy, 95 % interval")
    figure.savefig(path, dpi=130)
    plt.close(figure)


def draw_curves(path: Path, names: list[str], folder: Path) -> None:
    """Negative log-likelihood and balanced accuracy on the inner validation pictures, by epoch."""
    from matplotlib import pyplot as plt

    figure, panels = plt.subplots(1, 2, figsize=(10, 4.5), layout="constrained")
    colours = plt.get_cmap("cividis")(np.linspace(0, 0.95, len(names)))
    styles = ("-", "--", ":", "-.")
    for place, name in enumerate(names):
        rows = [json.loads(line) for line in (folder / f"{name}.jsonl").read_text().splitlines()]
        for axes, metric in zip(panels, ("nll", "balanced_accuracy"), strict=True):
            epochs, values = [row["epoch"] for row in rows], [row[metric] for row in rows]
            axes.plot(epochs, values, styles[place % 4], color=colours[place], linewidth=1.2, label=name)
    panels[0].set(xlabel="epoch", ylabel="negative log-likelihood", yscale="log")
    panels[1].set(xlabel="epoch", ylabel="balanced accuracy")
    panels[1].legend(fontsize=7, ncols=2)
    figure.savefig(path, dpi=130)
    plt.close(figure)


if __name__ == "__main__":
    main()
