"""organscope compare: models on the same pictures."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from organscope.cli.guard import say
from organscope.cli.options import Debug, Json, Threads

if TYPE_CHECKING:
    from organscope.evaluate.compare import Comparison

EXAMPLES = """\b
Examples:
  organscope compare runs/plain runs/attention --on indexes/nuinsseg --fold 1 -o compared
  organscope compare nuclei runs/nuclei --on indexes/dsb2018 --fold 1 --reference nuclei
  organscope compare runs/screen --on indexes/nuinsseg --fold 1 --rounds 9
"""


def compare(
    names: Annotated[
        list[str],
        typer.Argument(
            metavar="RUN_OR_BUNDLE...", show_default=False,
            help="Run directories, folders of run directories, bundles by path, or names of bundles.",
        ),
    ],
    on: Annotated[
        Path,
        typer.Option("--on", metavar="INDEX", help="Folder made by `organscope data import`.", show_default=False),
    ],
    fold: Annotated[
        list[int] | None,
        typer.Option(metavar="K", help="Score this fold only; may be given again.", show_default=False),
    ] = None,
    output: Annotated[Path, typer.Option("--output", "-o", metavar="OUT", help="Folder for page and tables.")] = Path(
        "compared"
    ),
    reference: Annotated[
        str | None,
        typer.Option(metavar="NAME", help="Model that the others are tested against; the best if left out.",
                     show_default=False),
    ] = None,
    rounds: Annotated[int, typer.Option(min=0, help="How often each model is timed; 0 for not at all.")] = 5,
    pictures: Annotated[int, typer.Option(min=0, help="Pictures of disagreement on the page.")] = 8,
    threads: Threads = None,
    as_json: Json = False,
    debug: Debug = False,
) -> None:  # fmt: skip
    """Score several models on the same pictures, and say which differences are real.

    Writes compare.html (scores with intervals, paired tests with correction, quality against speed and size, organ by
    organ, and the pictures on which they disagree most), all tables as CSV, and tables.md. All models must be for
    one task.

    Exit codes: 0 done, 1 a picture could not be read, 2 wrong use.
    """
    from organscope.cli.printing import print_json
    from organscope.dataset.index import read_index
    from organscope.evaluate.compare import compare_models, find_models, seen_pictures, write_comparison
    from organscope.jobs import prepare_output
    from organscope.report.compare import write_comparison_page

    models, index = find_models(names, threads=threads), read_index(on)
    prepare_output(output)
    with _watched() as progress:
        comparison = compare_models(models, index, fold=fold, reference=reference, rounds=rounds, progress=progress)
    files = write_comparison_page(comparison, seen_pictures(comparison, index, pictures), output)
    files += write_comparison(comparison, output)
    if as_json:
        print_json(_document(comparison) | {"files": [str(path) for path in files]})
        return
    _print_table(comparison)
    print(f"\nTables: {output}\nPage: {files[0]}")


@contextmanager
def _watched() -> Iterator[Callable[[str, int, int], None]]:
    """A bar in a terminal, elsewhere a line for each step."""
    from organscope.cli.progress import counting

    with counting("comparing") as count:
        told: set[str] = set()

        def tell(what: str, done: int, total: int) -> None:
            if count is not None:
                count(done, total)
            elif what not in told:
                told.add(what)
                say(what)

        yield tell


def _print_table(comparison: "Comparison") -> None:
    from organscope.cli.printing import output_console, plain_table

    console = output_console()
    main = comparison.measures.main
    table = plain_table("model", "data", main, "95 % interval", "difference", "p (Holm)", numbers=(main, "difference"))
    tests = comparison.tests[comparison.tests["metric"] == main].set_index(["model", "dataset"])
    for dataset in comparison.datasets:
        for name in comparison.names:
            row = comparison.score(name, dataset, main)
            tested = ["", ""]
            if (name, dataset) in tests.index:
                test = tests.loc[(name, dataset)]
                tested = [f"{test['difference']:+.3f}", f"{test['p_holm']:.3g}"]
            table.add_row(name, dataset, f"{row['value']:.3f}", f"{row['low']:.3f} to {row['high']:.3f}", *tested)
    console.print(table)
    console.print(f"\nDifferences are to {comparison.reference}.")
    for note in comparison.notes:
        console.print(f"\n{note}")


def _document(comparison: "Comparison") -> dict:
    def records(name: str) -> list[dict]:
        table = getattr(comparison, name).astype(object)
        return table.where(table.notna(), None).to_dict("records")

    return {
        "task": comparison.task,
        "subset": comparison.subset,
        "data_fingerprint": comparison.fingerprint,
        "reference": comparison.reference,
        "models": comparison.names,
        "notes": list(comparison.notes),
        **{name: records(name) for name in ("scores", "tests", "costs")},
    }
