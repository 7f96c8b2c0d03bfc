"""organscope evaluate: the scores of a bundle on a dataset index."""

from pathlib import Path
from typing import Annotated

import typer

from organscope.cli.options import Debug, Json, Threads

EXAMPLES = """\b
Examples:
  organscope evaluate nuclei index/ --fold 1
  organscope evaluate runs/a/bundle index/ --fold 1 --fold 2 -o scores --json
  organscope evaluate cell-organs index/ --fold 1 --cells 50
"""

BundleArgument = Annotated[
    str, typer.Argument(metavar="BUNDLE", help="A name, a folder or a zip file.", show_default=False)
]
IndexArgument = Annotated[
    Path, typer.Argument(metavar="INDEX", help="Folder made by `organscope data import`.", show_default=False)
]
FoldOption = Annotated[
    list[int] | None,
    typer.Option(metavar="K", help="Score this fold only; may be given again.", show_default=False),
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


def evaluate(
    bundle: BundleArgument,
    index: IndexArgument,
    fold: FoldOption = None,
    output: OutputOption = Path("evaluation"),
    baseline: BaselineOption = True,
    cells: CellsOption = None,
    threads: Threads = None,
    as_json: Json = False,
    debug: Debug = False,
) -> None:
    """Score a bundle on the pictures of an index.

    Prints the scores with 95 % bootstrap intervals and writes them, with those of every picture, to OUT. The
    bundles inside the package were trained without fold 1, so --fold 1 gives their honest figures.

    Exit codes: 0 done, 1 a picture could not be read, 2 wrong use.
    """
    from organscope.bundle import load_bundle
    from organscope.cli.printing import print_json
    from organscope.cli.progress import counting
    from organscope.cli.scores import print_scores
    from organscope.dataset.index import read_index
    from organscope.evaluate import evaluate_bundle, scores_document, write_evaluation
    from organscope.jobs import prepare_output

    prepare_output(output)
    loaded, known = load_bundle(bundle, threads=threads), read_index(index)
    with counting("scoring") as progress:
        evaluation = evaluate_bundle(
            loaded, known, fold=fold, baseline=baseline, cells_per_picture=cells, progress=progress
        )
    files = write_evaluation(evaluation, output)
    if as_json:
        print_json(scores_document(evaluation) | {"files": [str(path) for path in files]})
    else:
        print_scores(evaluation)
        print(f"\nTables: {output}")
