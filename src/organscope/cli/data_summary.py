"""organscope data summary: what is in a data set, as one page and as tables."""

from pathlib import Path
from typing import Annotated

import typer

from organscope.cli.guard import SOME_FAILED, say
from organscope.cli.options import Debug, IndexFolder, Json, Workers

EXAMPLES = """\b
Examples:
  organscope data summary index -o summary
  organscope data summary index -o summary --no-umap --workers 8
"""


def summary(
    index: IndexFolder,
    output: Annotated[
        Path, typer.Option("--output", "-o", metavar="OUT", help="Folder for page and tables.", show_default=False)
    ],
    umap: Annotated[
        bool, typer.Option(help="Also draw the UMAP map, where umap-learn is installed (the extra [umap]).")
    ] = True,
    workers: Workers = None,
    as_json: Json = False,
    debug: Debug = False,
) -> None:
    """Show what is in a data set: one page with figures, and the tables behind them.

    Writes OUT/summary.html, which opens from disk, organs.csv, images.csv, distributions.csv, map.csv and the figures
    as PNG. An interrupted summary goes on where it stopped.

    Exit codes: 0 done, 1 some images could not be read (each is named), 2 wrong use.
    """
    import os

    from organscope.cli.printing import print_json, shown
    from organscope.cli.progress import counting
    from organscope.dataset import read_index
    from organscope.report.dataset import summarise_index

    known = read_index(index)
    with counting("summarising") as progress:
        report = summarise_index(known, output, workers=workers or os.cpu_count() or 1, umap=umap, progress=progress)
    if as_json:
        failures = [{"image": name, "message": message} for name, message in report.failures]
        print_json(report.counts() | {"failures": failures, "files": [str(path) for path in report.files]})
    else:
        print(f"{report.summary.n_images} images, {report.summary.n_cells} cells, {report.summary.n_organs} organs")
        print(f"Page: {report.files[0]}")
    for name, message in report.failures:
        say(f"Failed: {shown(name)}: {message}")
    if report.failures:
        raise typer.Exit(SOME_FAILED)
