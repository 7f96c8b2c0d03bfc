"""The entry point: every command in its place."""

from typing import Annotated

import typer

from organscope import __version__
from organscope.cli import (
    analyze,
    bundle,
    classify,
    compare,
    dashboard,
    data,
    decide,
    evaluate,
    reproduce,
    segment,
    serve,
    status,
    sweep,
    teach,
    train,
)
from organscope.cli.guard import GuardedGroup, remember_debug

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


app.command(epilog=segment.EXAMPLES)(segment.segment)
app.command(epilog=classify.EXAMPLES)(classify.classify)
app.command(epilog=analyze.EXAMPLES)(analyze.analyze)
app.command(epilog=decide.EXAMPLES)(decide.decide)
app.command(epilog=evaluate.EXAMPLES)(evaluate.evaluate)
app.command(epilog=compare.EXAMPLES)(compare.compare)
app.command(epilog=status.EXAMPLES)(status.status)
app.command(epilog=serve.EXAMPLES)(serve.serve)
app.add_typer(train.app, name="train")
app.add_typer(teach.app, name="teach")
app.command(epilog=sweep.EXAMPLES)(sweep.sweep)
app.command(epilog=dashboard.EXAMPLES)(dashboard.dashboard)
app.command(epilog=reproduce.EXAMPLES)(reproduce.reproduce)
app.add_typer(bundle.app, name="bundle")
app.add_typer(data.app, name="data")


def main() -> None:
    """Run the command line."""
    app(prog_name="organscope")
