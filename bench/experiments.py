"""Writes the results of sweeps and of the trainings after them into `docs/experiments/sweeps.md`.

    python bench/experiments.py --sweep runs/sweep-organs --sweep runs/sweep-nuclei \\
        --compare organs runs/organs runs/organs-swept --compare nuclei runs/nuclei runs/nuclei-swept

Every figure in the page's section of results comes from here: from the study of each sweep, and from the bundles of
the default and of the winner, which `organscope compare` scores on the same images of the test folds, so that their
difference has an interval of its own. Figures go to `docs/images/experiments/`. What is not given anew is lost.
"""

import argparse
import json
from contextlib import closing
from pathlib import Path
from typing import Any

import pandas as pd

from organscope.data import read_index
from organscope.evaluation.compare_models import compare_models, interval, p_text
from organscope.evaluation.comparison import Comparison, Model
from organscope.models import load_bundle
from organscope.reporting.dataset_figures import LIGHT, new_figure, themed
from organscope.sweep.plots import (
    SweepData,
    coordinates_figure,
    curves_figure,
    history_figure,
    importance_figure,
    slices_figure,
)
from organscope.sweep.report import sweep_data
from organscope.sweep.space import read_written_space, shown_value
from organscope.sweep.study import SweepStudy, trial_table

ROOT = Path(__file__).resolve().parents[1]
PAGE = ROOT / "docs" / "experiments" / "sweeps.md"
FIGURES = ROOT / "docs" / "images" / "experiments"
BEGIN, END = "<!-- results: written by bench/experiments.py -->", "<!-- end of results -->"
SHOWN_TRIALS = 6
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
    """Default and winner on the same test images."""
    config = json.loads((default / "config.json").read_text())
    models = [Model("default", load_bundle(default / "bundle"), default)]
    models += [Model("winner", load_bundle(winner / "bundle"), winner)]
    lines = [f"### `{name}`: the winner in full beside the default", ""]
    lines += ["| data | score | default | winner | difference (winner - default) | p (Holm) |"]
    lines += ["| --- | --- | --- | --- | --- | --- |"]
    for source in config["data"]["sources"]:
        index = read_index(ROOT / source["index"])
        if index.samples(folds := config["data"]["test_folds"]):
            lines += _rows(compare_models(models, index, fold=folds, reference="default", rounds=0))
    lines += ["", "Test folds, which neither trained nor chose anything. In parentheses: 95 % bootstrap intervals; the"]
    lines += ["difference and its p-value are those of `organscope compare`."]
    with themed(LIGHT):
        curves = _curves(default, winner, CURVE[models[0].bundle.manifest.spec.task])
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


def _rows(comparison: Comparison) -> list[str]:
    lines = []
    tests = comparison.tests.set_index(["dataset", "metric"])
    for dataset in comparison.datasets:
        for metric in comparison.measures.shown:
            cells = [interval(comparison.score(name, dataset, metric)) for name in ("default", "winner")]
            tested = ["", ""]
            if (dataset, metric) in tests.index:
                row = tests.loc[(dataset, metric)]
                tested = [interval(row, value="difference", sign="+"), p_text(row["p_holm"])]
            lines.append("| " + " | ".join([dataset, metric, *cells, *tested]) + " |")
    return lines


def _curves(default: Path, winner: Path, metric: str) -> Any:
    figure = new_figure(3.2)
    panels = figure.subplots(1, 2)
    for run, label, color in ((default, "default", LIGHT.bar), (winner, "winner", LIGHT.mark)):
        rows = pd.read_json(run / "metrics.jsonl", lines=True)
        for axes, key in zip(panels, ("loss", metric), strict=True):
            axes.plot(rows["epoch"], rows[key], color=color, label=label, linewidth=1.4)
            axes.set(xlabel="epoch", ylabel=key.replace("_", " "))
    panels[0].legend(frameon=False)
    return figure


def _save(name: str, title: str, figure: Any) -> str:
    """Write a figure and give the line that shows it."""
    figure.savefig(FIGURES / f"{name}.svg", metadata={"Date": None, "Creator": None})
    return f"![{title}](../images/experiments/{name}.svg)\n"


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--sweep", type=Path, action="append", default=[], metavar="FOLDER")
    parser.add_argument(
        "--compare", nargs=3, action="append", default=[], metavar=("NAME", "DEFAULT_RUN", "WINNER_RUN")
    )
    return parser.parse_args()


if __name__ == "__main__":
    main()
