"""Writes the results of sweeps and of the trainings after them into `docs/experiments.md`.

    python bench/experiments.py --sweep runs/sweep-organs --sweep runs/sweep-nuclei \\
        --compare organs runs/organs runs/organs-swept --compare nuclei runs/nuclei runs/nuclei-swept

Every figure in the page's section of results comes from here: from the study of each sweep, and from the bundles of
the default and of the winner, which are scored on the same pictures of the test folds, so that their difference has an
interval of its own (pictures drawn in pairs). Figures go to `docs/images/experiments/`. What is not given anew is lost.
"""

import argparse
import json
from contextlib import closing
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from organscope.bundle import Bundle, load_bundle
from organscope.dataset import read_index
from organscope.evaluate import Evaluation, evaluate_bundle
from organscope.metrics.paired import paired_mean_difference
from organscope.report.dataset.style import LIGHT, new_figure, themed
from organscope.sweep.figures import (
    SweepData,
    coordinates_figure,
    curves_figure,
    history_figure,
    importance_figure,
    slices_figure,
)
from organscope.sweep.kept import read_written_space
from organscope.sweep.page import sweep_data
from organscope.sweep.progress import shown_value
from organscope.sweep.study import SweepStudy
from organscope.sweep.table import trial_table

ROOT = Path(__file__).resolve().parents[1]
PAGE = ROOT / "docs" / "experiments.md"
FIGURES = ROOT / "docs" / "images" / "experiments"
BEGIN, END = "<!-- results: written by bench/experiments.py -->", "<!-- end of results -->"
SHOWN_TRIALS = 6
#: Scores that are compared, and the column of the table of pictures whose mean each is, where it is one.
COMPARED = {
    "classification": {"accuracy": "correct", "balanced_accuracy": None, "macro_f1": None, "ece": None},
    "segmentation": {"dice": "dice", "pq": "pq", "mean_ap": None},
}
CURVE = {"classification": "balanced_accuracy", "segmentation": "pq"}


def main() -> None:
    """Write the section of results anew."""
    arguments = _arguments()
    FIGURES.mkdir(parents=True, exist_ok=True)
    parts = [sweep_section(folder) for folder in arguments.sweep]
    parts += [compared_section(name, Path(default), Path(winner)) for name, default, winner in arguments.compare]
    text = PAGE.read_text(encoding="utf-8")
    before, _, rest = text.partition(BEGIN)
    _, _, after = rest.partition(END)
    PAGE.write_text(f"{before}{BEGIN}\n\n" + "\n".join(parts) + f"\n{END}{after}", encoding="utf-8")


def sweep_section(folder: Path) -> str:
    """What a sweep found, in words, a table and figures."""
    space = read_written_space(folder)
    with closing(SweepStudy(space, f"sqlite:///{(folder / 'study.db').resolve()}")) as study:
        data = sweep_data(study.study, space, trial_table(study.study, space))
    wanted = [("history", "Every trial in order", history_figure)]
    wanted += [("coordinates", "Parallel coordinates: a line is a trial, darker is better", coordinates_figure)]
    wanted += [("slices", "The score against each parameter", slices_figure)]
    wanted += [("curves", "Learning curves of the trials", curves_figure)] if data.curves else []
    wanted += [("importance", "Share of each parameter in the variance", importance_figure)] if data.importances else []
    with themed(LIGHT):
        figures = [_save(f"{space.name}-{kind}", title, draw(data, LIGHT)) for kind, title, draw in wanted]
    return "\n".join([f"### Sweep `{space.name}`", "", _facts(data), "", *_best_trials(data), "", *figures])


def compared_section(name: str, default: Path, winner: Path) -> str:
    """Default and winner on the same test pictures."""
    config = json.loads((default / "config.json").read_text())
    bundles = [load_bundle(run / "bundle") for run in (default, winner)]
    lines = [f"### `{name}`: the winner in full beside the default", ""]
    lines += ["| data | score | default | winner | difference (winner - default) |", "| --- | --- | --- | --- | --- |"]
    for source in config["data"]["sources"]:
        index = read_index(ROOT / source["index"])
        if index.samples(config["data"]["test_folds"]):
            scored = [evaluate_bundle(b, index, fold=config["data"]["test_folds"], baseline=False) for b in bundles]
            lines += _rows(index.folder.name, scored, bundles[0])
    lines += [
        "",
        "Test folds, which neither trained nor chose anything. In parentheses: 95 % bootstrap intervals; that",
    ]
    lines += ["of a difference draws pictures in pairs."]
    with themed(LIGHT):
        curves = _curves(default, winner, CURVE[bundles[0].manifest.spec.task])
        return "\n".join([*lines, "", _save(f"{name}-training", "Learning curves of both trainings", curves)])


def _facts(data: SweepData) -> str:
    space, table = data.space, data.table
    states = ", ".join(f"{count} {state}" for state, count in table["state"].value_counts().items())
    metrics = " and ".join(objective.metric for objective in space.objectives)
    return (
        f"{len(table)} trials ({states}), {table['seconds'].fillna(0).sum() / 60:.0f} minutes of training in all, "
        f"at most {space.epochs} epochs each; sampler {space.sampler.kind}, seed {space.sampler.seed}, pruning "
        f"{space.pruner.kind if space.prunes else 'none'}. Judged by {metrics} on the inner validation."
    )


def _best_trials(data: SweepData) -> list[str]:
    space = data.space
    first = space.objectives[0]
    done = data.table[data.table["state"] == "complete"]
    best = done.sort_values(first.metric, ascending=first.direction == "minimize").head(SHOWN_TRIALS)
    columns = ["trial", *(objective.metric for objective in space.objectives), *space.parameters, "seconds"]
    rows = [[shown_value(value) for value in row] for row in best[columns].itertuples(index=False)]
    return ["| " + " | ".join(line) + " |" for line in (columns, ["---"] * len(columns), *rows)]


def _rows(dataset: str, scored: list[Evaluation], bundle: Bundle) -> list[str]:
    lines = []
    for metric, column in COMPARED[bundle.manifest.spec.task].items():
        cells = [_value(evaluation, metric) for evaluation in scored]
        difference = "" if column is None else _difference(*(evaluation.per_image for evaluation in scored), column)
        lines.append(f"| {dataset} | {metric} | {cells[0]} | {cells[1]} | {difference} |")
    return lines


def _value(evaluation: Evaluation, metric: str) -> str:
    table = evaluation.scores
    row = table[(table["metric"] == metric) & (table["model"] == "bundle")].iloc[0]
    return _interval(row["value"], row["low"], row["high"])


def _difference(default: pd.DataFrame, winner: pd.DataFrame, column: str) -> str:
    both = default.merge(winner, on="id", suffixes=("", "_winner")).dropna(subset=[column, f"{column}_winner"])
    first, second = (both[name].to_numpy(float) for name in (f"{column}_winner", column))
    found = paired_mean_difference(first, second, np.arange(len(both)))
    return _interval(found.value, found.low, found.high, sign="+")


def _interval(value: float, low: float, high: float, sign: str = "") -> str:
    return f"{value:{sign}.3f} ({low:{sign}.3f} to {high:{sign}.3f})"


def _curves(default: Path, winner: Path, metric: str) -> Any:
    figure = new_figure(3.2)
    panels = figure.subplots(1, 2)
    for run, label, colour in ((default, "default", LIGHT.bar), (winner, "winner", LIGHT.mark)):
        rows = pd.read_json(run / "metrics.jsonl", lines=True)
        for axes, key in zip(panels, ("loss", metric), strict=True):
            axes.plot(rows["epoch"], rows[key], color=colour, label=label, linewidth=1.4)
            axes.set(xlabel="epoch", ylabel=key.replace("_", " "))
    panels[0].legend(frameon=False)
    return figure


def _save(name: str, title: str, figure: Any) -> str:
    """Write a figure and give the line that shows it."""
    figure.savefig(FIGURES / f"{name}.svg", metadata={"Date": None, "Creator": None})
    return f"![{title}](images/experiments/{name}.svg)\n"


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--sweep", type=Path, action="append", default=[], metavar="FOLDER")
    parser.add_argument(
        "--compare", nargs=3, action="append", default=[], metavar=("NAME", "DEFAULT_RUN", "WINNER_RUN")
    )
    return parser.parse_args()


if __name__ == "__main__":
    main()
