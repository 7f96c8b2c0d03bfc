"""organscope dashboard: runs and sweeps on one page."""

from pathlib import Path
from typing import Annotated

import typer

from organscope.cli._errors import say
from organscope.cli._options import Debug
from organscope.errors import MissingExtraError

EXAMPLES = """\b
Examples:
  organscope dashboard
  organscope dashboard runs --port 8800 --no-browser
  organscope dashboard --wandb lab/organscope
"""


def dashboard(
    runs: Annotated[Path, typer.Argument(metavar="RUNS", help="Folder that holds run folders and sweeps.")] = Path(
        "runs"
    ),
    port: Annotated[int, typer.Option(min=0, max=65535, help="Port to listen on; 0 for any that is free.")] = 8766,
    browser: Annotated[bool, typer.Option("--browser/--no-browser", help="Open the page in the browser.")] = True,
    wandb: Annotated[
        str | None,
        typer.Option(
            metavar="ENTITY/PROJECT", help="Build the same as a report of Weights & Biases, and end.",
            show_default=False,
        ),
    ] = None,
    debug: Debug = False,
) -> None:  # fmt: skip
    """Look at tracked runs and sweeps side by side, on a page for this machine alone.

    Shows the runs of MLflow in RUNS (filter, sort, group, learning curves overlaid, settings that differ, confusion
    matrices and sample predictions side by side) and its sweeps (parallel coordinates, importance, slices, Pareto
    front). Opens MLflow's page and optuna-dashboard beside it, which end with it on Ctrl-C. Nothing is written.

    Exit codes: 0 ended, 2 wrong use.
    """
    try:
        if wandb is not None:
            from organscope.tracking.wandb_report import build_report

            say(f"The report: {build_report(wandb)}")
            return
        from organscope.dashboard.serving import serve_dashboard
    except ModuleNotFoundError as error:
        raise MissingExtraError(
            f"Expected the packages of the dashboard, found no {error.name}. Run: pip install 'organscope[train,web]'."
        ) from error
    serve_dashboard(runs, port, browser=browser, report=say)
