"""organscope reproduce: train a run again and print how far the numbers differ."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from organscope.cli.guard import SOME_FAILED, say
from organscope.cli.options import Debug, Json

if TYPE_CHECKING:
    from organscope.train.reproduce import Reproduction

EXAMPLES = (
    "\b\nExamples:\n  organscope reproduce runs/nuclei\n"
    "  organscope reproduce runs/nuclei -o runs/nuclei-elsewhere --data indexes/nuinsseg --data indexes/dsb2018"
)

Run = Annotated[
    Path, typer.Argument(metavar="RUN_DIR", help="Folder of a training, or of a trial of a sweep.", show_default=False)
]
NewRun = Annotated[
    Path | None,
    typer.Option(
        "--output",
        "-o",
        metavar="NEW_RUN",
        help="Folder of the new run; RUN_DIR-again if left out.",
        show_default=False,
    ),
]
Indexes = Annotated[
    list[Path] | None,
    typer.Option(
        "--data",
        metavar="INDEX",
        help="Where an index of the run lies now; once for each, in its order.",
        show_default=False,
    ),
]
From = Annotated[
    str | None,
    typer.Option("--from", metavar="BUNDLE", help="Bundle that a fine-tuning went on from.", show_default=False),
]
Resume = Annotated[bool, typer.Option("--resume", help="Go on with an interrupted reproduction.")]


def reproduce(
    run_dir: Run,
    new_run: NewRun = None,
    data: Indexes = None,
    base: From = None,
    resume: Resume = False,
    as_json: Json = False,
    debug: Debug = False,
) -> None:
    """Train again from what a run directory holds, and say how far the numbers differ.

    The same seed, data, software and machine give the same numbers; exit code 1 where they are not the same. Warns
    where data, packages, commit or computer are others.
    """
    from organscope.train.loading import extra_installed
    from organscope.train.reproduce import reproduce as train_again

    run_dir = Path(run_dir)
    target = new_run or run_dir.with_name(f"{run_dir.resolve().name}-again")
    found = train_again(
        run_dir, target, indexes=tuple(data or ()), base=base, resume=resume, report=say, loading=extra_installed
    )
    (_print_data if as_json else _print)(found)
    if not found.numbers.same:
        raise typer.Exit(SOME_FAILED)


def _print(found: "Reproduction") -> None:
    from organscope.cli.printing import output_console, plain_table

    for change in found.changes:
        say(f"Warning: {change}")
    for note in found.notes:
        say(f"Note: {note}")
    table = plain_table("part", "metric", "then", "now", "difference", numbers=("then", "now", "difference"))
    for row in found.numbers.table.itertuples():
        table.add_row(row.part, row.metric, f"{row.then:.6g}", f"{row.now:.6g}", f"{row.difference:+.2g}")
    output_console().print(table)
    print(f"\n{_verdict(found)}\nRun: {found.run}")


def _verdict(found: "Reproduction") -> str:
    numbers = found.numbers
    if numbers.same:
        outputs = "" if numbers.output_difference is None else ", every score and every output of the network"
        return f"The same numbers: all {numbers.n_epochs} epochs{outputs} agree to the last digit."
    said = [f"first in {numbers.first_difference}"] if numbers.first_difference else []
    if numbers.output_difference:
        said.append(f"outputs of the network for its test input by up to {numbers.output_difference:.2g}")
    return f"Not the same numbers: they differ {' and '.join(said) or 'in their scores'}."


def _print_data(found: "Reproduction") -> None:
    from organscope.cli.printing import print_json

    numbers = found.numbers
    rows = numbers.table.astype(object)
    print_json(
        {
            "run": str(found.run),
            "same": numbers.same,
            "n_epochs": numbers.n_epochs,
            "first_difference": numbers.first_difference,
            "output_difference": numbers.output_difference,
            "table": rows.where(rows.notna(), None).to_dict("records"),
            "changes": list(found.changes),
            "notes": list(found.notes),
        }
    )
