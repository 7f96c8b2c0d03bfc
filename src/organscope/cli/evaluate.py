"""organscope evaluate: the scores of a bundle on a dataset index."""

from pathlib import Path
from typing import Annotated

import typer

from organscope.cli.options import Debug, Json, Threads
from organscope.errors import UsageError

EXAMPLES = """\b
Examples:
  organscope evaluate nuclei index/ --fold 1
  organscope evaluate runs/a/bundle index/ --fold 1 --fold 2 -o scores --json
  organscope evaluate cell-organs index/ --fold 1 --cells 50
  organscope evaluate organs index/ --fold 1 --checks
  organscope evaluate fold1/bundle fold2/bundle fold3/bundle fold4/bundle index/ --out-of-fold
"""

BundleArguments = Annotated[
    list[str], typer.Argument(metavar="BUNDLE...", help="Names, folders or zip files.", show_default=False)
]
IndexArgument = Annotated[
    Path, typer.Argument(metavar="INDEX", help="Folder made by `organscope data import`.", show_default=False)
]
FoldOption = Annotated[
    list[int] | None,
    typer.Option(
        metavar="K",
        help="Score this fold only; may be given again. With --out-of-fold the fold of each bundle, in their order.",
        show_default=False,
    ),
]
OutputOption = Annotated[Path, typer.Option("--output", "-o", metavar="OUT", help="Folder for the tables.")]
CellsOption = Annotated[
    int | None,
    typer.Option(
        "--cells", min=1, metavar="N", help="Score at most N cells of a picture (bundles for single cells).",
        show_default=False,
    ),
]  # fmt: skip
BaselineOption = Annotated[bool, typer.Option(help="Also score organs named by colour alone (classification).")]
OutOfFoldOption = Annotated[
    bool,
    typer.Option(help="Score each bundle on the fold it was not trained on, all together.", show_default=False),
]
ChecksOption = Annotated[
    bool,
    typer.Option("--checks", help="Also score gray, restained and spoilt copies, and look for leaks (classification)."),
]


def evaluate(
    bundles: BundleArguments,
    index: IndexArgument,
    fold: FoldOption = None,
    output: OutputOption = Path("evaluation"),
    baseline: BaselineOption = True,
    out_of_fold: OutOfFoldOption = False,
    checks: ChecksOption = False,
    cells: CellsOption = None,
    threads: Threads = None,
    as_json: Json = False,
    debug: Debug = False,
) -> None:
    """Score a bundle, or those of a cross-validation together, on the pictures of an index.

    Prints the scores with 95 % bootstrap intervals and writes them, with those of every picture and a page with
    figures (evaluation.html), to OUT. The bundles `nuclei` and `cell-organs` were trained without fold 1, so --fold 1
    gives their honest figures; `organs` has learnt from every fold, and its card holds cross-validated ones.

    Exit codes: 0 done, 1 a picture could not be read, 2 wrong use.
    """
    from organscope.bundle import load_bundle
    from organscope.cli.printing import print_json
    from organscope.cli.progress import counting
    from organscope.cli.scores import print_scores
    from organscope.dataset.index import read_index
    from organscope.evaluate import evaluate_bundle, evaluate_out_of_fold, scores_document, write_evaluation
    from organscope.jobs import prepare_output
    from organscope.report.evaluation import write_evaluation_page

    if len(bundles) > 1 and not out_of_fold:
        raise UsageError(
            f"Expected one bundle, found {len(bundles)}. Score them one by one, or together with --out-of-fold."
        )
    prepare_output(output)
    loaded, known = [load_bundle(name, threads=threads) for name in bundles], read_index(index)
    options = {"baseline": baseline, "checks": checks, "cells_per_picture": cells}
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
