"""organscope sweep: search for good settings of a training."""

from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from organscope.cli._errors import SOME_FAILED, say
from organscope.cli._options import Debug, Json, Track, TrackTo
from organscope.training.loading import extra_installed

if TYPE_CHECKING:
    from organscope.sweep.run import SweepResult
    from organscope.sweep.space import Space


EXAMPLES = """\b
Examples:
  organscope sweep configs/sweep_segmentation.toml -n 16
  organscope sweep configs/sweep_classification.toml -n 24 --jobs 2 -o runs/sweep-organs
  organscope sweep configs/sweep_classification.toml -n 40 -o runs/sweep-organs --resume
  organscope sweep wandb.yaml --config configs/organs.toml --task classification -n 20
  organscope sweep configs/sweep_segmentation.toml -n 200 --storage postgresql://user@host/sweeps
"""
_SHOWN_ROWS = 10


class _TaskName(StrEnum):
    """What is trained."""

    CLASSIFICATION = "classification"
    SEGMENTATION = "segmentation"


class _Backend(StrEnum):
    """Who chooses the trials."""

    OPTUNA = "optuna"
    WANDB = "wandb"


def sweep(
    space: Annotated[
        Path,
        typer.Argument(
            metavar="SPACE", help="What to search: TOML, or a W&B sweep (.yaml).", exists=True, dir_okay=False,
            show_default=False,
        ),
    ],
    n_trials: Annotated[
        int | None,
        typer.Option("-n", "--trials", min=0, help="How many trials in all; the space may say it.", show_default=False),
    ] = None,
    output: Annotated[
        Path | None,
        typer.Option("--output", "-o", metavar="FOLDER", help="Folder of the sweep. Default: runs/sweep-NAME.",
                     show_default=False),
    ] = None,
    config: Annotated[
        Path | None,
        typer.Option(metavar="CONFIG.toml", help="Base configuration, where the space does not name it.",
                     exists=True, dir_okay=False, show_default=False),
    ] = None,
    task: Annotated[
        _TaskName | None, typer.Option(help="What is trained, where the space does not say it.", show_default=False)
    ] = None,
    storage: Annotated[
        str | None,
        typer.Option(metavar="URL", help="PostgreSQL or SQLite. Default: FOLDER/study.db.", show_default=False),
    ] = None,
    jobs: Annotated[int, typer.Option(min=1, help="Trials at a time on this computer.")] = 1,
    resume: Annotated[bool, typer.Option("--resume", help="Go on with the sweep in FOLDER.")] = False,
    track: Track = None,
    backend: Annotated[_Backend, typer.Option(help="Who chooses the trials.")] = _Backend.OPTUNA,
    as_json: Json = False,
    debug: Debug = False,
) -> None:  # fmt: skip
    """Search for good settings of a training: many short trainings, each in a process of its own.

    Writes FOLDER/best.toml, which `organscope train` takes, sweep.html with figures, trials.csv, study.db, and a run
    folder for each trial. A trial that crashes or is killed is recorded with its reason, and the sweep goes on. The
    same command on several computers with one PostgreSQL works on one sweep.

    Exit codes: 0 done, 1 no trial succeeded, 2 wrong use, 130 interrupted (go on with --resume).
    """
    with extra_installed():
        from organscope.sweep import read_space
        from organscope.sweep.run import Means, run_sweep
    known = read_space(space, config=config, task=task.value if task else None)
    for note in known.notes:
        say(f"Note: {note}.")
    n_wanted = n_trials if n_trials is not None else known.trials
    if n_wanted is None:
        raise typer.BadParameter("give the number of trials, or trials in the space.", param_hint="-n")
    folder = output or Path("runs") / f"sweep-{known.name}"
    means = Means(n_wanted, jobs, storage, resume, (track or TrackTo.MLFLOW).value)
    if backend is _Backend.WANDB:
        from organscope.sweep.wandb import run_wandb_sweep

        run_wandb_sweep(known, folder, n_wanted, say)
        return
    _print_result(run_sweep(known, folder, means, say), known, as_json)


def _print_result(result: "SweepResult", space: "Space", as_json: bool) -> None:
    from organscope.cli._output import output_console, print_json

    files = result.files
    done = result.table[result.table["state"] == "complete"]
    if as_json:
        print_json(
            {
                "trials": _plain(result.table.to_dict("records")),
                "best": str(files.best) if files.best else None,
                "page": str(files.page),
                "table": str(files.table),
            }
        )
    elif len(result.table):
        output_console().print(_best_table(result, space))
        print(f"Figures: {files.page}")
        if files.best is not None:
            print(f"Winner: {files.best}\nTrain it in full: organscope train {space.task} {files.best} -o RUN_DIR")
    if len(result.table) and not len(done):
        reasons = [reason for reason in result.table["reason"] if reason]
        say(f"No trial succeeded. The last one: {reasons[-1] if reasons else 'no reason is known'}")
        raise typer.Exit(SOME_FAILED)


def _best_table(result: "SweepResult", space: "Space") -> Any:
    """The best trials, and how many there are of each kind."""
    from organscope.cli._output import plain_table
    from organscope.sweep.space import shown_value

    first = space.objectives[0]
    metrics = [objective.metric for objective in space.objectives]
    names = [name.rpartition(".")[2] for name in space.parameters]
    ranked = result.table.sort_values(
        ["best", first.metric], ascending=[False, first.direction == "minimize"], na_position="last"
    )
    table = plain_table("trial", "state", *metrics, *names, numbers=("trial", *metrics))
    states = result.table["state"].value_counts()
    table.caption = ", ".join(f"{count} {state}" for state, count in states.items())
    for row in _plain(ranked.head(_SHOWN_ROWS).to_dict("records")):
        values = [row[name] for name in (*metrics, *space.parameters)]
        table.add_row(str(row["trial"]), row["state"], *("" if v is None else shown_value(v) for v in values))
    return table


def _plain(rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Rows without not-a-number."""
    return [{key: None if value != value else value for key, value in row.items()} for row in rows]
