"""organscope data: bring images and annotations into an index, check it, split it, take it out again.

organscope data check: what is wrong with a data set, and what to do about it.

organscope data summary: what is in a data set, as one page and as tables.
"""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from organscope.cli._errors import SOME_FAILED, say
from organscope.cli._options import Channel, Debug, IndexFolder, Json, Page, PixelSize, Plane, Project, Series, Workers

if TYPE_CHECKING:
    from organscope.data.checks.finding import Finding
    from organscope.data.checks.runner import CheckReport


_CHECK_EXAMPLES = """\b
Examples:
  organscope data check index
  organscope data check index --strict --json -o checked
"""


def check(
    index: IndexFolder,
    output: Annotated[
        Path | None,
        typer.Option(
            "--output", "-o", metavar="OUT", help="Folder for findings.csv. Default: INDEX.", show_default=False
        ),
    ] = None,
    strict: Annotated[bool, typer.Option("--strict", help="Warnings count as errors for the exit code.")] = False,
    workers: Workers = None,
    as_json: Json = False,
    debug: Debug = False,
) -> None:
    """Read every file of an index and say what is wrong with the set.

    Finds files that are unreadable or have changed, labels that do not fit, are empty, occur twice or have cells in
    pieces, copies of images, slides on both sides of the split, images without content, rare organs, mixed pixel types
    and sizes, and organs that are told by their color or by how they were taken. Writes OUT/findings.csv. An
    interrupted check goes on where it stopped.

    Exit codes: 0 no errors, 1 errors were found (with --strict also warnings), 2 wrong use.
    """
    import os

    from organscope.cli._output import counting, print_json
    from organscope.data import read_index
    from organscope.data.checks.finding import Severity
    from organscope.data.checks.runner import check_index

    known = read_index(index)
    with counting("checking") as progress:
        report = check_index(known, output, workers=workers or os.cpu_count() or 1, progress=progress)
    if as_json:
        print_json(_as_data(report))
    else:
        _print_findings(report)
    if report.count(Severity.ERROR) or (strict and report.count(Severity.WARNING)):
        raise typer.Exit(SOME_FAILED)


def _as_data(report: "CheckReport") -> dict:
    from dataclasses import asdict

    from organscope.data.checks.finding import Severity

    counts = {f"n_{severity}s": report.count(severity) for severity in Severity}
    findings = [asdict(finding) for finding in report.findings]
    return {"n_images": report.n_samples, **counts, "findings": findings, "file": str(report.path)}


def _print_findings(report: "CheckReport") -> None:
    """A table with one row a check that found something: how often, the first finding, and the remedy."""
    from organscope.cli._output import output_console, plain_table
    from organscope.data.checks.finding import Severity

    console = output_console()
    table = plain_table("severity", "check", "found", "what, and what to do", numbers=("found",))
    by_check: dict[tuple[str, str], list[Finding]] = {}
    for finding in report.findings:
        by_check.setdefault((finding.severity, finding.check), []).append(finding)
    for (severity, name), findings in by_check.items():
        table.add_row(severity, name, str(len(findings)), _describe(findings))
    if by_check:
        console.print(table)
    counts = [
        f"{report.count(severity)} {severity}{'' if report.count(severity) == 1 else 's'}" for severity in Severity
    ]
    console.print(f"\n{report.n_samples} images: {', '.join(counts)}.")
    console.print(f"Findings: {report.path}", soft_wrap=True)


def _describe(findings: "list[Finding]") -> str:
    from organscope.cli._output import shown

    first = findings[0]
    where = f"{shown(first.sample)}: " if first.sample else ""
    more = f" (and {len(findings) - 1} more)" if len(findings) > 1 else ""
    return f"{where}{shown(first.message)}{more}\n> {first.remedy}"


_SUMMARY_EXAMPLES = """\b
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

    from organscope.cli._output import counting, print_json, shown
    from organscope.data import read_index
    from organscope.reporting.dataset_report import summarize_index

    known = read_index(index)
    with counting("summarising") as progress:
        report = summarize_index(known, output, workers=workers or os.cpu_count() or 1, umap=umap, progress=progress)
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


app = typer.Typer(
    no_args_is_help=True,
    rich_markup_mode=None,
    help="Import images and annotations into an index; check, summarize, split and export it; fetch public sets.",
)

_N_SHOWN_PROBLEMS = 30

_IMPORT_EXAMPLES = """\b
Examples:
  organscope data import images/ -o index
  organscope data import set/ -o index --annotations coco.json --group '(slide\\d+)_'
  organscope data import set/ -o index --holdout 0.15 --seed 0 --workers 8
"""
_SPLIT_EXAMPLES = """\b
Examples:
  organscope data split index --folds 5
  organscope data split index --holdout 0.15 --seed 1 --group slide
"""
_EXPORT_EXAMPLES = """\b
Examples:
  organscope data export index -o out --format coco
  organscope data export index -o out --format geojson --fold 1
"""
_FETCH_EXAMPLES = """\b
Examples:
  organscope data fetch
  organscope data fetch dsb2018 -o data
"""

_Holdout = Annotated[
    float | None, typer.Option(metavar="SHARE", help="Share of fold 1, such as 0.15.", show_default=False)
]
_Folds = Annotated[int | None, typer.Option("--folds", min=2, help="Number of folds. Default: 4.", show_default=False)]
_Seed = Annotated[int, typer.Option(help="Another seed gives another draw.")]
_Group = Annotated[
    str | None,
    typer.Option(
        metavar="COLUMN_OR_REGEX",
        help="What must stay together: a column of the index, or an expression on the image path.",
        show_default=False,
    ),
]


@app.command("import", epilog=_IMPORT_EXAMPLES)
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
        str | None, typer.Option(help="Name of the data set. Default: the folder's.", show_default=False)
    ] = None,
    group: _Group = None,
    folds: _Folds = None,
    holdout: _Holdout = None,
    seed: _Seed = 0,
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

    from organscope.cli._options import plane_from_text
    from organscope.cli._output import counting
    from organscope.data import import_folder
    from organscope.io.selection import Choice

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
    from organscope.cli._output import print_json, shown
    from organscope.data.records import problem_lists

    facts = {"index": str(report.index.folder), "layout": report.layout, **_facts(report.index)}
    if as_json:
        understood = {"n_reused": report.n_reused, "understood": report.understood}
        print_json(facts | understood | problem_lists(report.problems))
        return
    for sentence in report.understood:
        say(shown(sentence))
    for problem in report.problems[:_N_SHOWN_PROBLEMS]:
        say(f"{'Failed' if problem.failed else 'Note'}: {shown(problem.source)}: {shown(problem.message)}")
    if len(report.problems) > _N_SHOWN_PROBLEMS:
        say(f"... and {len(report.problems) - _N_SHOWN_PROBLEMS} more; all with --json.")
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
    from organscope.cli._output import output_console, plain_table, shown

    table = index.table
    folds = sorted(table["fold"].unique())
    names = [f"fold {fold}" for fold in folds]
    out = plain_table("organ", "images", *names, numbers=("images", *names))
    for organ, rows in [*(table.groupby("organ") if table["organ"].nunique() > 1 else ()), ("all", table)]:
        counts = [str((rows["fold"] == fold).sum()) for fold in folds]
        out.add_row(shown(organ) or "(unknown)", str(len(rows)), *counts)
    output_console().print(out)


app.command("check", epilog=_CHECK_EXAMPLES)(check)
app.command("summary", epilog=_SUMMARY_EXAMPLES)(summary)


@app.command("split", epilog=_SPLIT_EXAMPLES)
def split_command(
    index: IndexFolder,
    group: _Group = None,
    folds: _Folds = None,
    holdout: _Holdout = None,
    seed: _Seed = 0,
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
    from organscope.cli._output import print_json
    from organscope.data import read_index, split_index, write_index

    known = split_index(
        read_index(index), group=group, n_folds=folds, holdout=holdout, seed=seed, keep_test=not mix_test
    )
    write_index(known.folder, known.table)
    if as_json:
        print_json({"index": str(known.folder), **_facts(known)})
    else:
        _print_folds(known)


@app.command("export", epilog=_EXPORT_EXAMPLES)
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

    from organscope.cli._output import counting, print_json, shown
    from organscope.data import export_labels, read_index

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


@app.command("fetch", epilog=_FETCH_EXAMPLES)
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
    from organscope.cli._output import counting, print_json
    from organscope.data import fetch_set
    from organscope.data.download import PUBLIC_SETS

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
    print(f"License: {public.licence}. Cite: {public.citation}")
    print(f"Next: organscope data import {fetched.folder} -o index")


def _list_sets(as_json: bool) -> None:
    from dataclasses import asdict

    from organscope.cli._output import output_console, plain_table, print_json
    from organscope.data.download import PUBLIC_SETS

    if as_json:
        print_json([asdict(public) for public in PUBLIC_SETS.values()])
        return
    table = plain_table("name", "MB", "licence", "what it is", numbers=("MB",))
    for public in PUBLIC_SETS.values():
        table.add_row(public.name, str(public.size_mb or ""), public.licence, public.title)
    output_console().print(table)
