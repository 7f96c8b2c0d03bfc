"""The entry point: every command in its place."""

from typing import Annotated

import typer

from organscope import __version__
from organscope.cli import bundle, dashboard, data, decide, evaluate, predict, serve, status, sweep, teach, train
from organscope.cli._errors import GuardedGroup, remember_debug

app = typer.Typer(
    cls=GuardedGroup,
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
    context_settings={"help_option_names": ["-h", "--help"]},
    epilog="Research use, not a medical device.",
)


def _print_version(value: bool) -> None:
    if value:
        print(f"organscope {__version__}")
        raise typer.Exit


@app.callback()
def top(
    version: Annotated[
        bool, typer.Option("--version", callback=_print_version, is_eager=True, help="Print the version and stop.")
    ] = False,
    debug: Annotated[
        bool, typer.Option("--debug", callback=remember_debug, help="Show the traceback of unexpected errors.")
    ] = False,
) -> None:
    """Where is every cell, and which organ is this? Microscope images in, cells and organ out."""


app.command(epilog=predict.SEGMENT_EXAMPLES)(predict.segment)
app.command(epilog=predict.CLASSIFY_EXAMPLES)(predict.classify)
app.command(epilog=predict.ANALYZE_EXAMPLES)(predict.analyze)
app.command(epilog=decide.EXAMPLES)(decide.decide)
app.command(epilog=evaluate.EVALUATE_EXAMPLES)(evaluate.evaluate)
app.command(epilog=evaluate.COMPARE_EXAMPLES)(evaluate.compare)
app.command(epilog=status.EXAMPLES)(status.status)
app.command(epilog=serve.EXAMPLES)(serve.serve)
app.add_typer(train.app, name="train")
app.add_typer(teach.app, name="teach")
app.command(epilog=sweep.EXAMPLES)(sweep.sweep)
app.command(epilog=dashboard.EXAMPLES)(dashboard.dashboard)
app.command(epilog=train.EXAMPLES)(train.reproduce)
app.add_typer(bundle.app, name="bundle")
app.add_typer(data.app, name="data")


def main() -> None:
    """Run the command line."""
    app(prog_name="organscope")
