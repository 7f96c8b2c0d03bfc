"""A comparison on disk: CSV for people and programs, Markdown for pages."""

from pathlib import Path

import pandas as pd

from organscope.evaluate.compare.comparison import Comparison
from organscope.images.atomic import atomic_path

MARKDOWN = "tables.md"
TABLES = ("scores", "tests", "costs", "organs", "pictures")
SHOWN = {
    "dice": "Dice", "aji": "AJI", "pq": "PQ", "ap_50": "AP .5", "mean_ap": "mean AP", "missed_rate": "missed",
    "false_rate": "false", "balanced_accuracy": "balanced accuracy", "macro_f1": "macro-F1", "macro_auc": "macro-AUC",
    "nll": "NLL", "ece": "ECE", "accepted_fraction": "accepted", "accepted_accuracy": "right of accepted",
    "s_per_megapixel": "s a megapixel", "ms_per_image": "ms an image",
}  # fmt: skip


def write_comparison(comparison: Comparison, folder: str | Path) -> list[Path]:
    """Write `scores.csv`, `tests.csv`, `costs.csv`, `organs.csv`, `pictures.csv`, `tables.md` to a folder that exists.

    Raises:
        OutputError: The folder cannot be written.
    """
    folder = Path(folder)
    written = []
    for name in TABLES:
        with atomic_path(folder / f"{name}.csv") as path:
            getattr(comparison, name).to_csv(path, index=False)
        written.append(folder / f"{name}.csv")
    with atomic_path(folder / MARKDOWN) as path:
        path.write_text(comparison_markdown(comparison), encoding="utf-8")
    return [*written, folder / MARKDOWN]


def comparison_markdown(comparison: Comparison) -> str:
    """Costs, then scores and tests of each data set, as Markdown."""
    lines = _costs(comparison)
    for dataset in comparison.datasets:
        n_images = comparison.score(comparison.names[0], dataset, comparison.measures.main)["n_images"]
        lines += ["", f"{dataset}, {comparison.subset}, {n_images} pictures:", "", *_scores(comparison, dataset)]
    return "\n".join(lines) + "\n"


def _costs(comparison: Comparison) -> list[str]:
    speed = SHOWN[comparison.measures.speed]
    gflop = "GFLOP a megapixel" if comparison.task == "segmentation" else "GFLOP a field"
    lines = _head("model", "million parameters", "MB", gflop, speed, "epochs, minutes of training")
    for row in comparison.costs.itertuples():
        seconds = "" if pd.isna(row.speed) else f"{row.speed:.3g} ({row.speed_low:.3g} to {row.speed_high:.3g})"
        trained = "" if pd.isna(row.epochs) else f"{row.epochs:.0f}, {row.minutes:.1f}"
        counted = f"{row.million_parameters:.2f}", f"{row.size_mb:.1f}", f"{row.gflop:.2f}"
        lines.append(_line(row.model, *counted, seconds, trained))
    return lines


def _scores(comparison: Comparison, dataset: str) -> list[str]:
    measures = comparison.measures
    gap = f"{SHOWN.get(measures.main, measures.main)} minus that of {comparison.reference}"
    lines = _head("model", *(SHOWN.get(metric, metric) for metric in measures.shown), gap, "p (Holm)")
    tests = comparison.tests
    tests = tests[(tests["dataset"] == dataset) & (tests["metric"] == measures.main)].set_index("model")
    for name in comparison.names:
        cells = [interval(comparison.score(name, dataset, metric)) for metric in measures.shown]
        tested = ["", ""]
        if name in tests.index:
            row = tests.loc[name]
            tested = [interval(row, value="difference", sign="+"), p_text(row["p_holm"])]
        lines.append(_line(name, *cells, *tested))
    return lines


def interval(row: pd.Series, *, value: str = "value", sign: str = "") -> str:
    """A figure with its interval, three digits each."""
    if pd.isna(row[value]):
        return ""
    ends = "" if pd.isna(row["low"]) else f" ({row['low']:{sign}.3f} to {row['high']:{sign}.3f})"
    return f"{row[value]:{sign}.3f}{ends}"


def p_text(p_value: float) -> str:
    """A p-value in the digits that mean something."""
    return "< .001" if p_value < 0.001 else f"{p_value:.3f}" if p_value < 0.1 else f"{p_value:.2f}"


def _head(*cells: str) -> list[str]:
    return [_line(*cells), _line(*["---"] * len(cells))]


def _line(*cells: str) -> str:
    return "| " + " | ".join(cells) + " |"
