"""The page of a sweep: one file with all figures, which opens anywhere without a server.

What a sweep leaves: the table, the page, and the winner as a configuration.
"""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pandas as pd

import organscope
from organscope.io.paths import atomic_path
from organscope.reporting.dataset_figures import Theme, data_uri
from organscope.reporting.run_report import page_environment
from organscope.sweep.plots import (
    SweepData,
    coordinates_figure,
    curves_figure,
    draw,
    front_figure,
    history_figure,
    importance_figure,
    slices_figure,
)
from organscope.sweep.space import Space, shown_value, write_configuration
from organscope.sweep.study import best_numbers, learning_curves, trial_table

if TYPE_CHECKING:
    from matplotlib.figure import Figure
    from optuna import Study
    from optuna.trial import FrozenTrial


_FEWEST_FOR_IMPORTANCE = 4
_FEWEST_FOR_FIGURES = 2
_IMPORTANCE_SEED = 0
_GIVEN_UP = "Hollow: trials that were given up early, at the best that they had reached."


def render_sweep_page(study: "Study", space: Space, table: pd.DataFrame) -> str:
    """The page as HTML that needs no other file; every text from outside is escaped.

    Args:
        study: Of the sweep.
        space: What was searched.
        table: Its trials, see `trial_table`.
    """
    data = sweep_data(study, space, table)
    metrics = [objective.metric for objective in space.objectives]
    ranked = table.sort_values(metrics[0], ascending=space.objectives[0].direction == "minimize", na_position="last")
    return (
        page_environment()
        .get_template("sweep.html.j2")
        .render(
            space=space,
            facts=sweep_facts(space, table),
            drawings=[draw(title, caption, figure) for title, caption, figure in sweep_figures(data)],
            metrics=metrics,
            parameters=list(space.parameters),
            rows=[_shown_row(row, space) for row in ranked.to_dict("records")],
            created=datetime.now(UTC),
            version=organscope.__version__,
            data_uri=data_uri,
        )
    )


def sweep_data(study: "Study", space: Space, table: pd.DataFrame) -> SweepData:
    """What the figures of a study are drawn from."""
    return SweepData(space, table, learning_curves(study), _importances(study, space))


def sweep_figures(data: SweepData) -> list[tuple[str, str, Callable[[Theme], "Figure"]]]:
    """Title, caption and drawing of every figure that the trials allow, in the order of the page.

    None of fewer than two trials.
    """
    if len(data.judged) < _FEWEST_FOR_FIGURES:
        return []
    metric = data.space.objectives[0].metric
    wanted: list[tuple[str, str, Any]] = []
    if len(data.space.objectives) > 1:
        wanted.append(("Pareto front", "No trial is better than one of the front in every objective.", front_figure))
    lines = f"A line is a trial; the further it stands out, the better its {metric} (right). Faint: given up early."
    wanted += [
        ("Optimization history", f"The ring marks the best. {_GIVEN_UP}", history_figure),
        ("Parallel coordinates", lines, coordinates_figure),
        ("Slices", f"{metric} against each parameter by itself. {_GIVEN_UP}", slices_figure),
    ]
    if data.importances:
        n_done = int((data.table["state"] == "complete").sum())
        caption = f"Share in the variance of the results (fANOVA, Hutter et al. 2014), from {n_done} complete trials."
        wanted.append(("Importance of the parameters", caption, importance_figure))
    if data.curves:
        caption = f"Best {metric} so far in each trial. Faint: given up early."
        wanted.append(("Learning curves", caption, curves_figure))
    return [(title, caption, partial(figure, data)) for title, caption, figure in wanted]


def _importances(study: "Study", space: Space) -> dict[str, dict[str, float]]:
    """By objective; empty where the complete trials are too few, or all alike."""
    from optuna.importance import FanovaImportanceEvaluator, get_param_importances

    done = [trial for trial in study.get_trials(deepcopy=False) if trial.state.name == "COMPLETE"]
    varied = [name for name in space.parameters if len({trial.params.get(name) for trial in done}) > 1]
    spread = [place for place in range(len(space.objectives)) if len({trial.values[place] for trial in done}) > 1]
    if len(done) < _FEWEST_FOR_IMPORTANCE or not varied:
        return {}
    return {
        space.objectives[place].metric: get_param_importances(
            study,
            evaluator=FanovaImportanceEvaluator(seed=_IMPORTANCE_SEED),
            params=varied,
            target=partial(_value, place=place),
        )
        for place in spread
    }


def _value(trial: Any, place: int) -> float:
    return trial.values[place]


def sweep_facts(space: Space, table: pd.DataFrame) -> list[tuple[str, str]]:
    """What a person wants to know of a sweep at a glance, with its name each."""
    states = table["state"].value_counts()
    hours = table["seconds"].fillna(0).sum() / 3600
    facts = [
        ("task", space.task),
        ("trials", ", ".join(f"{count} {state}" for state, count in states.items())),
        ("objectives", ", ".join(f"{objective.metric} ({objective.direction})" for objective in space.objectives)),
        ("sampler", f"{space.sampler.kind}, seed {space.sampler.seed}"),
        ("pruning", space.pruner.kind if space.prunes else "none"),
        ("budget of a trial", _budget(space)),
        ("time of all trials", f"{hours:.1f} h" if hours >= 1 else f"{hours * 60:.0f} min"),
        ("base configuration", space.config.name),
    ]
    return [fact for fact in facts if fact[1]]


def _budget(space: Space) -> str:
    parts = [
        f"{space.epochs} epochs" if space.epochs else "",
        f"{space.max_minutes:g} min" if space.max_minutes else "",
    ]
    return ", ".join(part for part in parts if part) or "that of the base configuration"


def _shown_row(row: dict[str, Any], space: Space) -> dict[str, Any]:
    known = {key: "" if pd.isna(value) else value for key, value in row.items()}
    values = [known[objective.metric] for objective in space.objectives]
    return known | {
        "values": ["" if value == "" else f"{value:.4g}" for value in values],
        "parameters": [shown_value(known[name]) for name in space.parameters],
    }


@dataclass(frozen=True)
class SweepFiles:
    """What was written.

    Attributes:
        table: `trials.csv`.
        page: `sweep.html`.
        best: `best.toml`, the winner; nothing where no trial is complete.
        front: With several objectives, one configuration for each trial of the Pareto front.
    """

    table: Path
    page: Path
    best: Path | None
    front: tuple[Path, ...] = ()


def write_outcome(study: "Study", space: Space, folder: Path) -> SweepFiles:
    """Write everything anew from the study, which other computers may have worked on too.

    Args:
        study: Of the sweep.
        space: What is searched.
        folder: Of the sweep.

    Raises:
        OutputError: A file cannot be written.
    """
    table = trial_table(study, space)
    with atomic_path(folder / "trials.csv") as temporary:
        table.to_csv(temporary, index=False)
    with atomic_path(folder / "sweep.html") as temporary:
        temporary.write_text(render_sweep_page(study, space, table), encoding="utf-8")
    best = best_numbers(study, space)
    trials = study.get_trials(deepcopy=False)
    if best:
        _write_winner(folder / "best.toml", trials[best[0]], space)
    front = []
    for number in best if len(space.objectives) > 1 else ():
        (folder / "front").mkdir(exist_ok=True)
        front.append(_write_winner(folder / "front" / f"{number:04}.toml", trials[number], space))
    winner = folder / "best.toml" if best else None
    return SweepFiles(folder / "trials.csv", folder / "sweep.html", winner, tuple(front))


def _write_winner(path: Path, trial: "FrozenTrial", space: Space) -> Path:
    """The base configuration with the trial's parameters, without the budget of the trials."""
    pairs = zip(space.objectives, trial.values, strict=True)
    scores = ", ".join(f"{objective.metric} {value:.4g}" for objective, value in pairs)
    remark = f"Trial {trial.number} of the sweep {space.name}: {scores} within the budget of a trial."
    write_configuration(path, space, space.overrides(trial.params), remark)
    return path
