"""organscope evaluate: the scores of a bundle on a dataset index.

organscope compare: models on the same images.
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from organscope.cli._errors import say
from organscope.cli._options import Debug, Json, Threads
from organscope.errors import UsageError

if TYPE_CHECKING:
    from organscope.evaluation.comparison import Comparison


EVALUATE_EXAMPLES = """\b
Examples:
  organscope evaluate nuclei index/ --fold 1
  organscope evaluate runs/a/bundle index/ --fold 1 --fold 2 -o scores --json
  organscope evaluate cell-organs index/ --fold 1 --cells 50
  organscope evaluate organs index/ --fold 1 --checks
  organscope evaluate fold1/bundle fold2/bundle fold3/bundle fold4/bundle index/ --out-of-fold
"""

_BundleArguments = Annotated[
    list[str], typer.Argument(metavar="BUNDLE...", help="Names, folders or zip files.", show_default=False)
]
_IndexArgument = Annotated[
    Path, typer.Argument(metavar="INDEX", help="Folder made by `organscope data import`.", show_default=False)
]
_FoldOption = Annotated[
    list[int] | None,
    typer.Option(
        metavar="K",
        help="Score this fold only; may be given again. With --out-of-fold the fold of each bundle, in their order.",
        show_default=False,
    ),
]
_OutputOption = Annotated[Path, typer.Option("--output", "-o", metavar="OUT", help="Folder for the tables.")]
_CellsOption = Annotated[
    int | None,
    typer.Option(
        "--cells", min=1, metavar="N", help="Score at most N cells of an image (bundles for single cells).",
        show_default=False,
    ),
]  # fmt: skip
_BaselineOption = Annotated[bool, typer.Option(help="Also score organs named by color alone (classification).")]
_OutOfFoldOption = Annotated[
    bool,
    typer.Option(help="Score each bundle on the fold it was not trained on, all together.", show_default=False),
]
_ChecksOption = Annotated[
    bool,
    typer.Option("--checks", help="Also score gray, restained and spoilt copies, and look for leaks (classification)."),
]


def evaluate(
    bundles: _BundleArguments,
    index: _IndexArgument,
    fold: _FoldOption = None,
    output: _OutputOption = Path("evaluation"),
    baseline: _BaselineOption = True,
    out_of_fold: _OutOfFoldOption = False,
    checks: _ChecksOption = False,
    cells: _CellsOption = None,
    threads: Threads = None,
    as_json: Json = False,
    debug: Debug = False,
) -> None:
    """Score a bundle, or those of a cross-validation together, on the images of an index.

    Prints the scores with 95 % bootstrap intervals and writes them, with those of every image and a page with
    figures (evaluation.html), to OUT. The bundles `nuclei` and `cell-organs` were trained without fold 1, so --fold 1
    gives their honest figures; `organs` has learnt from every fold, and its card holds cross-validated ones.

    Exit codes: 0 done, 1 an image could not be read, 2 wrong use.
    """
    from organscope.cli._output import counting, print_json, print_scores
    from organscope.data.index import read_index
    from organscope.evaluation import evaluate_bundle, evaluate_out_of_fold, scores_document, write_evaluation
    from organscope.models import load_bundle
    from organscope.pipeline import prepare_output
    from organscope.reporting.evaluation_report import write_evaluation_page

    if len(bundles) > 1 and not out_of_fold:
        raise UsageError(
            f"Expected one bundle, found {len(bundles)}. Score them one by one, or together with --out-of-fold."
        )
    prepare_output(output)
    loaded, known = [load_bundle(name, threads=threads) for name in bundles], read_index(index)
    options: dict[str, Any] = {"baseline": baseline, "checks": checks, "cells_per_picture": cells}
    with counting("scoring") as progress:
        if out_of_fold:
            evaluation = evaluate_out_of_fold(loaded, known, folds=fold, progress=progress, **options)
        else:
            evaluation = evaluate_bundle(loaded[0], known, fold=fold, progress=progress, **options)
    files = [write_evaluation_page(evaluation, output), *write_evaluation(evaluation, output)]
    if as_json:
        print_json(scores_document(evaluation) | {"files": [str(path) for path in files]})
    else:
        print_scores(evaluation)
        print(f"\nTables: {output}\nReport: {files[0]}")


COMPARE_EXAMPLES = """\b
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
        typer.Option(metavar="NAME", help="Model that the others are tested against. Default: the best.",
                     show_default=False),
    ] = None,
    rounds: Annotated[int, typer.Option(min=0, help="How often each model is timed; 0 for not at all.")] = 5,
    pictures: Annotated[int, typer.Option(min=0, help="Images of disagreement on the page.")] = 8,
    threads: Threads = None,
    as_json: Json = False,
    debug: Debug = False,
) -> None:  # fmt: skip
    """Score several models on the same images, and say which differences are real.

    Writes compare.html (scores with intervals, paired tests with correction, quality against speed and size, organ by
    organ, and the images on which they disagree most), all tables as CSV, and tables.md. All models must be for
    one task.

    Exit codes: 0 done, 1 an image could not be read, 2 wrong use.
    """
    from organscope.cli._output import print_json
    from organscope.data.index import read_index
    from organscope.evaluation.compare_models import compare_models, write_comparison
    from organscope.evaluation.comparison import find_models, seen_images
    from organscope.pipeline import prepare_output
    from organscope.reporting.comparison_report import write_comparison_page

    models, index = find_models(names, threads=threads), read_index(on)
    prepare_output(output)
    with _watched() as progress:
        comparison = compare_models(models, index, fold=fold, reference=reference, rounds=rounds, progress=progress)
    files = write_comparison_page(comparison, seen_images(comparison, index, pictures), output)
    files += write_comparison(comparison, output)
    if as_json:
        print_json(_document(comparison) | {"files": [str(path) for path in files]})
        return
    _print_table(comparison)
    print(f"\nTables: {output}\nPage: {files[0]}")


@contextmanager
def _watched() -> Iterator[Callable[[str, int, int], None]]:
    """A bar in a terminal, elsewhere a line for each step."""
    from organscope.cli._output import counting

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
    from organscope.cli._output import output_console, plain_table

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
