"""organscope decide: other decisions on stored probabilities."""

from pathlib import Path
from typing import Annotated

import typer

from organscope.cli import options

EXAMPLES = """\b
Examples:
  organscope decide results --positive melanoma --min-recall 0.9
  organscope decide results --costs costs.toml
"""

OutArgument = Annotated[
    Path, typer.Argument(metavar="OUT", help="Output folder of classify or analyze.", show_default=False)
]
OtherBundle = Annotated[
    str | None,
    typer.Option(
        metavar="NAME_OR_PATH", help="Decide as this bundle would, not as that of the run.", show_default=False
    ),
]


def decide(
    out: OutArgument,
    positive: options.Positive = None,
    min_recall: options.MinRecall = None,
    costs: options.CostsFile = None,
    bundle: OtherBundle = None,
    as_json: options.Json = False,
    debug: options.Debug = False,
) -> None:
    """Decide again on the probabilities of an earlier run, without the network.

    Reads OUT/predictions.csv and writes OUT/decisions.csv: image, organ, confidence, decision, reason, prediction_set,
    and flagged where an organ must not be missed. Prints what is promised for that organ and what it costs.

    Exit codes: 0 done, 2 wrong use.
    """
    from organscope.cli.decisions import as_data, print_decisions
    from organscope.cli.printing import print_json
    from organscope.jobs import decide_again

    found = decide_again(out, positive=positive, min_recall=min_recall, costs=costs, bundle=bundle)
    if as_json:
        print_json(as_data(found))
    else:
        print_decisions(found)
