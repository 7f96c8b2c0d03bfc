"""Put finished segmentation runs side by side: scores with intervals, cost, learning curves, real differences.

    python bench/segmentation_compare.py RUNS_DIR -o FOLDER [--threads 2] [--rounds 5] [--side 1024]

Every folder in RUNS_DIR that holds a finished run of `organscope train segmentation` takes part; all must have held
out the same pictures. Written: `table.md`, `results.json`, `cost.png`, `curves.png` and `curves/NAME.jsonl`. Pictures
are scored through the use side; the run of highest PQ is compared with each other one on the same pictures, data set
by data set. Seconds a megapixel are those of the whole path on one generated picture, in turns.
"""

import argparse
import json
import os
import shutil
import statistics
import tempfile
import time
from pathlib import Path

import matplotlib as mpl
import numpy as np
import pandas as pd

from mosaic import write_mosaic
from organscope.bundle import Bundle, load_bundle
from organscope.evaluate.segmentation import score_pictures, summarise
from organscope.images import open_image
from organscope.metrics.paired import paired_mean_difference
from organscope.predict import segment_image
from organscope.train.settings import check_settings
from organscope.train.split import split_samples

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
mpl.use("Agg")
METRICS = ("dice", "aji", "pq", "ap_50", "mean_ap", "missed_rate", "false_rate")
SHOWN = ("Dice", "AJI", "PQ", "AP .5", "mean AP", "missed", "false")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("runs", type=Path)
    parser.add_argument("-o", "--output", type=Path, required=True)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--side", type=int, default=1024)
    options = parser.parse_args()
    runs = sorted(path.parent.parent for path in options.runs.glob("*/bundle/manifest.json"))
    if not runs:
        raise SystemExit(f"Expected finished runs in {options.runs}, found none.")
    bundles = {run.name: load_bundle(run / "bundle", threads=options.threads) for run in runs}
    pictures = {run.name: held_out_pictures(run, bundles[run.name]) for run in runs}
    seconds = time_bundles(bundles, options.rounds, options.side)
    rows = [row_of(run, bundles[run.name], pictures[run.name], seconds[run.name]) for run in runs]
    rows.sort(key=lambda row: -np.mean([scores["pq"]["value"] for scores in row["scores"].values()]))
    add_differences(rows, pictures)
    write(options.output, rows, runs, options.threads)


def held_out_pictures(run: Path, bundle: Bundle) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Scores of each picture of the run's test folds, in the order of their names, and of each cell."""
    from organscope.train.segmentation.config import SegmentationConfig

    config = check_settings(SegmentationConfig, json.loads((run / "config.json").read_text()), str(run))
    print(f"{run.name}: scoring", flush=True)
    found, cells = score_pictures(bundle, split_samples(config.data).test, lambda done, total: None)
    return found.sort_values(["dataset", "id"], ignore_index=True), cells


def row_of(run: Path, bundle: Bundle, pictures: tuple[pd.DataFrame, pd.DataFrame], seconds: float) -> dict:
    """One network of the table."""
    from organscope.train.segmentation.config import NetworkSettings
    from organscope.train.segmentation.describe import describe_network

    settings = NetworkSettings(**bundle.manifest.weights.architecture)
    facts = describe_network(settings)
    epochs = [json.loads(line) for line in (run / "metrics.jsonl").read_text().splitlines()]
    found, cells = pictures
    scores = {}
    for dataset, part in found.groupby("dataset"):
        summary = summarise(part, cells[cells["id"].isin(part["id"])])[0].set_index("metric")
        scores[dataset] = {m: summary.loc[m, ["value", "low", "high"]].astype(float).to_dict() for m in METRICS}
    return {
        "name": run.name,
        "network": settings.model_dump(),
        "million_parameters": facts.n_parameters / 1e6,
        "gflop_per_mp": facts.gflop_per_megapixel,
        "receptive_field_px": facts.receptive_field_px,
        "s_per_mp": seconds,
        "epochs": len(epochs),
        "minutes": sum(epoch["seconds"] for epoch in epochs) / 60,
        "scores": scores,
    }


def time_bundles(bundles: dict[str, Bundle], rounds: int, side_px: int) -> dict[str, float]:
    """Seconds a megapixel from file to labels, in turns; the first turn only warms up."""
    times: dict[str, list[float]] = {name: [] for name in bundles}
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "mosaic.tif"
        write_mosaic(path, side_px)
        for turn in range(rounds + 1):
            for name, bundle in bundles.items():
                started = time.perf_counter()
                with open_image(path) as image:
                    segment_image(image, bundle)
                if turn > 0:
                    times[name].append(time.perf_counter() - started)
    return {name: statistics.median(values) / (side_px**2 / 1e6) for name, values in times.items()}


def add_differences(rows: list[dict], pictures: dict[str, tuple[pd.DataFrame, pd.DataFrame]]) -> None:
    """How far the best is ahead of each other one in PQ, on the same pictures; groups (slides) are drawn together."""
    best = pictures[rows[0]["name"]][0]
    for row in rows[1:]:
        other = pictures[row["name"]][0]
        if list(other["id"]) != list(best["id"]):
            raise SystemExit("Expected runs that held out the same pictures; train all with the same data.test_folds.")
        row["pq_behind"] = {}
        for dataset, part in best.groupby("dataset"):
            gap = paired_mean_difference(
                part["pq"].to_numpy(), other.loc[part.index, "pq"].to_numpy(), part["group"].to_numpy()
            )
            row["pq_behind"][dataset] = {"value": gap.value, "low": gap.low, "high": gap.high}


def write(folder: Path, rows: list[dict], runs: list[Path], threads: int) -> None:
    """All results of the comparison."""
    (folder / "curves").mkdir(parents=True, exist_ok=True)
    for run in runs:
        shutil.copyfile(run / "metrics.jsonl", folder / "curves" / f"{run.name}.jsonl")
    (folder / "results.json").write_text(json.dumps({"threads": threads, "rows": rows}, indent=2) + "\n")
    (folder / "table.md").write_text(tables(rows))
    draw_cost(folder / "cost.png", rows)
    draw_curves(folder / "curves.png", [row["name"] for row in rows], folder / "curves")
    print(tables(rows))


def tables(rows: list[dict]) -> str:
    """Markdown, the best first: one table of costs, and one of scores a data set."""
    lines = [
        "| network | million parameters | GFLOP a megapixel | s a megapixel | receptive field (px) | epochs, minutes |",
        "| --- | --- | --- | --- | --- | --- |",
    ]
    for row in rows:
        costs = [f"{row['million_parameters']:.2f}", f"{row['gflop_per_mp']:.1f}", f"{row['s_per_mp']:.2f}"]
        trained = f"{row['epochs']}, {row['minutes']:.1f}"
        lines.append(_line([row["name"], *costs, str(row["receptive_field_px"]), trained]))
    for dataset in rows[0]["scores"]:
        lines += ["", f"Held-out pictures of {dataset}:", ""]
        lines.append(_line(["network", *SHOWN, "best ahead in PQ by"]))
        lines.append(_line(["---"] * (len(SHOWN) + 2)))
        for row in rows:
            behind = row.get("pq_behind", {}).get(dataset)
            shown = [_interval(row["scores"][dataset][metric]) for metric in METRICS]
            lines.append(_line([row["name"], *shown, "" if behind is None else _interval(behind)]))
    return "\n".join(lines) + "\n"


def _line(cells: list[str]) -> str:
    return "| " + " | ".join(cells) + " |"


def _interval(score: dict[str, float]) -> str:
    return f"{score['value']:.3f} ({score['low']:.3f} to {score['high']:.3f})"


def draw_cost(path: Path, rows: list[dict]) -> None:
    """PQ with its interval against seconds a megapixel, one panel a data set."""
    from matplotlib import pyplot as plt

    datasets = list(rows[0]["scores"])
    figure, panels = plt.subplots(
        1, len(datasets), figsize=(5 * len(datasets), 4.2), layout="constrained", squeeze=False
    )
    for axes, dataset in zip(panels[0], datasets, strict=True):
        for row in rows:
            score = row["scores"][dataset]["pq"]
            ends = [[score["value"] - score["low"]], [score["high"] - score["value"]]]
            axes.errorbar(row["s_per_mp"], score["value"], yerr=ends, fmt="o", color="#0072B2", ecolor="#999999")
            axes.annotate(
                row["name"], (row["s_per_mp"], score["value"]), xytext=(5, 4), textcoords="offset points", fontsize=8
            )
        axes.set(xlabel="seconds a megapixel, file to labels", ylabel="PQ, 95 % interval", title=dataset)
    figure.savefig(path, dpi=130)
    plt.close(figure)


def draw_curves(path: Path, names: list[str], folder: Path) -> None:
    """Loss and PQ on the inner validation pictures, by epoch."""
    from matplotlib import pyplot as plt

    figure, panels = plt.subplots(1, 2, figsize=(10, 4.5), layout="constrained")
    colours = plt.get_cmap("cividis")(np.linspace(0, 0.95, len(names)))
    styles = ("-", "--", ":", "-.")
    for place, name in enumerate(names):
        rows = [json.loads(line) for line in (folder / f"{name}.jsonl").read_text().splitlines()]
        for axes, metric in zip(panels, ("loss", "pq"), strict=True):
            epochs, values = [row["epoch"] for row in rows], [row[metric] for row in rows]
            axes.plot(epochs, values, styles[place % 4], color=colours[place], linewidth=1.2, label=name)
    panels[0].set(xlabel="epoch", ylabel="training loss (heads and losses differ)")
    panels[1].set(xlabel="epoch", ylabel="PQ on validation pictures, thresholds not tuned")
    panels[1].legend(fontsize=7, ncols=2)
    figure.savefig(path, dpi=130)
    plt.close(figure)


if __name__ == "__main__":
    main()
