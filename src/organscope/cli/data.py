"""organscope data: bring images and annotations into an index, check it, split it, take it out again."""

from pathlib import Path
from typing import Annotated

import typer

from organscope.cli import data_check, data_summary
from organscope.cli.guard import SOME_FAILED, say
from organscope.cli.options import (
    Channel,
    Debug,
    IndexFolder,
    Json,
    Page,
    PixelSize,
    Plane,
    Project,
    Series,
    Workers,
)

app = typer.Typer(
    no_args_is_help=True,
    rich_markup_mode=None,
    help="Import images and annotations into an index; check, summarise, split and export it; fetch public sets.",
)

N_SHOWN_PROBLEMS = 30

IMPORT_EXAMPLES = """\b
Examples:
  organscope data import images/ -o index
  organscope data import set/ -o index --annotations coco.json --group '(slide\\d+)_'
  organscope data import set/ -o index --holdout 0.15 --seed 0 --workers 8
"""
SPLIT_EXAMPLES = """\b
Examples:
  organscope data split index --folds 5
  organscope data split index --holdout 0.15 --seed 1 --group slide
"""
EXPORT_EXAMPLES = """\b
Examples:
  organscope data export index -o out --format coco
  organscope data export index -o out --format geojson --fold 1
"""
FETCH_EXAMPLES = """\b
Examples:
  organscope data fetch
  organscope data fetch dsb2018 -o data
"""

Holdout = Annotated[
    float | None, typer.Option(metavar="SHARE", help="Share of fold 1, such as 0.15.", show_default=False)
]
Folds = Annotated[
    int | None, typer.Option("--folds", min=2, help="Number of folds; 4 if left out.", show_default=False)
]
Seed = Annotated[int, typer.Option(help="Another seed gives another draw.")]
Group = Annotated[
    str | None,
    typer.Option(
        metavar="COLUMN_OR_REGEX",
        help="What must stay together: a column of the index, or an expression on the image path.",
        show_default=False,
    ),
]


@app.command("import", epilog=IMPORT_EXAMPLES)
def import_command(
    folder: Annotated[Path, typer.Argument(metavar="FOLDER", help="Folder of images.", show_default=False)],
    output: Annotated[
        Path, typer.Option("--output", "-o", metavar="INDEX", help="Folder for the index.", show_default=False)
    ],
    annotations: Annotated[
        Path | None,
        typer.Option(
            metavar="PATH",
            help="COCO file, or folder with one annotation an image (GeoJSON, ImageScope XML, ImageJ zip, labels).",
            show_default=False,
        ),
    ] = None,
    format: Annotated[
        str | None,
        typer.Option("--layout", "--format", metavar="NAME", help="Layout. Default: found out.", show_default=False),
    ] = None,
    masks: Annotated[
        str | None,
        typer.Option(
            metavar="KIND",
            help="What label images hold: instances (a number a cell), binary (one value for all), inverted (0 is the "
            "cells) or classes. Default: found out.",
            show_default=False,
        ),
    ] = None,
    name: Annotated[
        str | None, typer.Option(help="Name of the data set; the folder's if left out.", show_default=False)
    ] = None,
    group: Group = None,
    folds: Folds = None,
    holdout: Holdout = None,
    seed: Seed = 0,
    um_per_px: PixelSize = None,
    channel: Channel = None,
    page: Page = None,
    plane: Plane = None,
    series: Series = None,
    project: Project = None,
    workers: Workers = None,
    as_json: Json = False,
    debug: Debug = False,
) -> None:
    """Make an index of images and their annotations.

    Recognizes a sheet index.csv, folders of images beside folders of labels in the spelling of many tools, train/ and
    test/ with or without organs, COCO, one folder an organ, NuInsSeg and BBBC038 as published, and any folder of
    images. What was taken for what, and what was passed over, is said and kept in INDEX/import.json. Annotations become
    label images in INDEX/labels. Every image is decoded once; an interrupted import goes on where it stopped.

    Exit codes: 0 done, 1 some inputs failed (each is named, the others are finished), 2 wrong use.
    """
    import os

    from organscope.cli.planes import plane_from_text
    from organscope.cli.progress import counting
    from organscope.dataset import import_folder
    from organscope.images.selection import Choice

    with counting("importing") as progress:
        report = import_folder(
            folder, output, annotations=annotations, format=format, dataset=name, um_per_px=um_per_px,
            choice=Choice(channel=channel, page=page, series=series, project=project, **plane_from_text(plane)),
            masks=masks, group=group, n_folds=folds, holdout=holdout, seed=seed, workers=workers or os.cpu_count() or 1,
            progress=progress,
        )  # fmt: skip
    _tell_import(report, as_json)
    if report.n_failed:
        raise typer.Exit(SOME_FAILED)


def _tell_import(report, as_json: bool) -> None:
    from organscope.cli.printing import print_json, shown
    from organscope.dataset.import_record import problem_lists

    facts = {"index": str(report.index.folder), "layout": report.layout, **_facts(report.index)}
    if as_json:
        understood = {"n_reused": report.n_reused, "understood": report.understood}
        print_json(facts | understood | problem_lists(report.problems))
        return
    for sentence in report.understood:
        say(shown(sentence))
    for problem in report.problems[:N_SHOWN_PROBLEMS]:
        say(f"{'Failed' if problem.failed else 'Note'}: {shown(problem.source)}: {shown(problem.message)}")
    if len(report.problems) > N_SHOWN_PROBLEMS:
        say(f"... and {len(report.problems) - N_SHOWN_PROBLEMS} more; all with --json.")
    print(
        f"{facts['n_images']} images (layout {report.layout}), {facts['n_labelled']} with labels, "
        f"{facts['n_cells']} cells, {len(facts['organs'])} organs"
    )
    if facts["cell_classes"]:
        print(f"Classes of cells: {', '.join(f'{shown(name)} {n}' for name, n in facts['cell_classes'].items())}")
    _print_folds(report.index)
    print(f"Index: {report.index.folder}")


def _facts(index) -> dict:
    table = index.table
    return {
        "n_images": len(table),
        "n_labelled": int(table["labeled"].sum()),
        "n_cells": int(table["n_cells"].sum()),
        "cell_classes": index.cell_classes(),
        "organs": {organ: int(n) for organ, n in table["organ"].value_counts(sort=False).items() if organ},
        "folds": {str(fold): int(n) for fold, n in table["fold"].value_counts().sort_index().items()},
        "fingerprint": index.fingerprint(),
    }


def _print_folds(index) -> None:
    from organscope.cli.printing import output_console, plain_table, shown

    table = index.table
    folds = sorted(table["fold"].unique())
    names = [f"fold {fold}" for fold in folds]
    out = plain_table("organ", "images", *names, numbers=("images", *names))
    for organ, rows in [*(table.groupby("organ") if table["organ"].nunique() > 1 else ()), ("all", table)]:
        counts = [str((rows["fold"] == fold).sum()) for fold in folds]
        out.add_row(shown(organ) or "(unknown)", str(len(rows)), *counts)
    output_console().print(out)


app.command("check", epilog=data_check.EXAMPLES)(data_check.check)
app.command("summary", epilog=data_summary.EXAMPLES)(data_summary.summary)


@app.command("split", epilog=SPLIT_EXAMPLES)
def split_command(
    index: IndexFolder,
    group: Group = None,
    folds: Folds = None,
    holdout: Holdout = None,
    seed: Seed = 0,
    mix_test: Annotated[
        bool, typer.Option("--mix-test", help="Draw over the delivered test part too; else it stays fold 1.")
    ] = False,
    as_json: Json = False,
    debug: Debug = False,
) -> None:
    """Draw new folds: groups stay whole, every organ is divided alike, the seed decides.

    Fold 1 is the one that is only scored. Changes the index in place.

    Exit codes: 0 done, 2 wrong use.
    """
    from organscope.cli.printing import print_json
    from organscope.dataset import read_index, split_index, write_index

    known = split_index(
        read_index(index), group=group, n_folds=folds, holdout=holdout, seed=seed, keep_test=not mix_test
    )
    write_index(known.folder, known.table)
    if as_json:
        print_json({"index": str(known.folder), **_facts(known)})
    else:
        _print_folds(known)


@app.command("export", epilog=EXPORT_EXAMPLES)
def export_command(
    index: IndexFolder,
    output: Annotated[
        Path, typer.Option("--output", "-o", metavar="OUT", help="Folder to write to.", show_default=False)
    ],
    format: Annotated[
        str,
        typer.Option(metavar="NAME", help="masks (label TIFF), coco (one file) or geojson (QuPath)."),
    ] = "coco",
    fold: Annotated[
        list[int] | None,
        typer.Option(metavar="K", help="Only this fold; may be given again.", show_default=False),
    ] = None,
    split: Annotated[
        str | None, typer.Option(help="Only the delivered part: train or test.", show_default=False)
    ] = None,
    workers: Workers = None,
    as_json: Json = False,
    debug: Debug = False,
) -> None:
    """Write the labels of an index for other tools; reading them gives back exactly the same cells.

    masks: OUT/<id>.tif. coco: OUT/annotations.json, organs as categories, polygons, run lengths for cells with
    holes. geojson: OUT/<id>.geojson, one detection a cell.

    Exit codes: 0 done, 1 some labels could not be read (each is named), 2 wrong use.
    """
    import os

    from organscope.cli.printing import print_json, shown
    from organscope.cli.progress import counting
    from organscope.dataset import export_labels, read_index

    with counting("exporting") as progress:
        report = export_labels(
            read_index(index), output, format, fold=fold, split=split,
            workers=workers or os.cpu_count() or 1, progress=progress,
        )  # fmt: skip
    if as_json:
        failures = [{"source": problem.source, "message": problem.message} for problem in report.problems]
        counts = {"n_images": report.n_images, "n_cells": report.n_cells, "n_without_labels": report.n_without}
        print_json({"path": str(report.path), **counts, "failures": failures})
    else:
        for problem in report.problems:
            say(f"Failed: {shown(problem.source)}: {shown(problem.message)}")
        print(f"{report.n_cells} cells of {report.n_images} images: {report.path}")
    if report.problems:
        raise typer.Exit(SOME_FAILED)


@app.command("fetch", epilog=FETCH_EXAMPLES)
def fetch_command(
    name: Annotated[
        str | None, typer.Argument(metavar="NAME", help="A set; left out, the sets are listed.", show_default=False)
    ] = None,
    output: Annotated[
        Path, typer.Option("--output", "-o", metavar="FOLDER", help="Folder in which the set's folder is made.")
    ] = Path("data"),
    as_json: Json = False,
    debug: Debug = False,
) -> None:
    """Download a public data set from its official address, check its SHA-256 and unpack it.

    Exit codes: 0 done, 1 the download failed, 2 wrong use, or the file is not the one that is known.
    """
    from organscope.cli.printing import print_json
    from organscope.cli.progress import counting
    from organscope.dataset import fetch_set
    from organscope.dataset.public_sets import PUBLIC_SETS

    if name is None:
        _list_sets(as_json)
        return
    with counting("downloading") as progress:
        fetched = fetch_set(name, output, progress=progress)
    if as_json:
        print_json({"folder": str(fetched.folder), "sha256": fetched.sha256, "verified": fetched.verified})
        return
    public = PUBLIC_SETS[name]
    if not fetched.sha256:
        print("The folder was there before; nothing was downloaded.")
    else:
        print(f"SHA-256 {fetched.sha256}: {'verified' if fetched.verified else 'not verified, none is known'}")
    print(f"Licence: {public.licence}. Cite: {public.citation}")
    print(f"Next: organscope data import {fetched.folder} -o index")


def _list_sets(as_json: bool) -> None:
    from dataclasses import asdict

    from organscope.cli.printing import output_console, plain_table, print_json
    from organscope.dataset.public_sets import PUBLIC_SETS

    if as_json:
        print_json([asdict(public) for public in PUBLIC_SETS.values()])
        return
    table = plain_table("name", "MB", "licence", "what it is", numbers=("MB",))
    for public in PUBLIC_SETS.values():
        table.add_row(public.name, str(public.size_mb or ""), public.licence, public.title)
    output_console().print(table)
