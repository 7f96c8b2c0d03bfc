"""organscope decide: other decisions on stored probabilities."""

from pathlib import Path
from typing import Annotated

import typer

from organscope.cli import _options

EXAMPLES = """\b
Examples:
  organscope decide results --positive melanoma --min-recall 0.9
  organscope decide results --costs costs.toml
"""

_OutArgument = Annotated[
    Path, typer.Argument(metavar="OUT", help="Output folder of classify or analyze.", show_default=False)
]
_OtherBundle = Annotated[
    str | None,
    typer.Option(
        metavar="NAME_OR_PATH", help="Decide as this bundle would, not as that of the run.", show_default=False
    ),
]


def decide(
    out: _OutArgument,
    positive: _options.Positive = None,
    min_recall: _options.MinRecall = None,
    costs: _options.CostsFile = None,
    bundle: _OtherBundle = None,
    as_json: _options.Json = False,
    debug: _options.Debug = False,
) -> None:
    """Decide again on the probabilities of an earlier run, without the network.

    Reads OUT/predictions.csv and writes OUT/decisions.csv: image, organ, confidence, decision, reason, prediction_set,
    and flagged where an organ must not be missed. Prints what is promised for that organ and what it costs.

    Exit codes: 0 done, 2 wrong use.
    """
    from organscope.cli._output import print_json
    from organscope.cli._run import print_decisions, redecision_as_data
    from organscope.pipeline import decide_again

    found = decide_again(out, positive=positive, min_recall=min_recall, costs=costs, bundle=bundle)
    if as_json:
        print_json(redecision_as_data(found))
    else:
        print_decisions(found)
