"""What a sweep leaves: the table, the page, and the winner as a configuration."""

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from organscope.images.atomic import atomic_path
from organscope.sweep.configuration import write_configuration
from organscope.sweep.page import render_sweep_page
from organscope.sweep.space import Space
from organscope.sweep.table import best_numbers, trial_table

if TYPE_CHECKING:
    from optuna import Study
    from optuna.trial import FrozenTrial


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
