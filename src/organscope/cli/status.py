"""organscope status: how far a run is."""

from pathlib import Path
from typing import Annotated

import typer

from organscope.cli import _options

EXAMPLES = """\b
Examples:
  organscope status results
  organscope status results --json
"""

_OutArgument = Annotated[
    Path,
    typer.Argument(metavar="OUT", help="Output folder of segment, classify or analyze.", show_default=False),
]


def status(out: _OutArgument, as_json: _options.Json = False, debug: _options.Debug = False) -> None:
    """Say how far a run is: progress, failures, time left.

    Reads the ledger of the output folder, while the run goes on or after it was interrupted. To go on, give the same
    command again: what is done is kept, what failed is tried again.

    Exit codes: 0 done, 2 wrong use.
    """
    from dataclasses import asdict

    from organscope.cli._output import print_json, print_status
    from organscope.pipeline.status import run_status

    found = run_status(out)
    if as_json:
        print_json(asdict(found) | {"n_waiting": found.n_waiting})
    else:
        print_status(found)
