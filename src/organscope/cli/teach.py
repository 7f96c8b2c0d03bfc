"""organscope teach: your own classes in minutes, without a deep-learning framework."""

import math
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from organscope.cli._options import Debug, Json, Threads

if TYPE_CHECKING:
    from organscope.training.teaching import Taught


app = typer.Typer(
    no_args_is_help=True,
    rich_markup_mode=None,
    help="Teach a classifier on your own images, in minutes and without a deep-learning framework.",
)

Index = Annotated[
    Path,
    typer.Argument(metavar="INDEX", help="Folder that `organscope data import` wrote.", show_default=False),
]
_BundleFolder = Annotated[
    Path, typer.Option("--output", "-o", metavar="BUNDLE", help="Folder of the new bundle.", show_default=False)
]
_EncoderName = Annotated[
    str,
    typer.Option(
        "--encoder",
        metavar="NAME_OR_PATH",
        help="Features to learn from: `imagenet`, a bundle that names organs, or an encoder's ONNX file.",
    ),
]
_Name = Annotated[str, typer.Option("--name", help="Of the new bundle: small letters, digits, hyphens.")]
_Cache = Annotated[
    Path | None,
    typer.Option(
        "--features", metavar="FOLDER", help="Keep features here. Default: INDEX/features.", show_default=False
    ),
]


@app.command(
    epilog="\b\nExamples:\n  organscope data import my_images/ -o indexes/mine\n"
    "  organscope teach organs indexes/mine -o my-organs\n"
    "  organscope analyze new_images/ -o results --bundle nuclei --bundle my-organs"
)
def organs(
    index: Index,
    output: _BundleFolder,
    encoder: _EncoderName = "imagenet",
    name: _Name = "taught-organs",
    cache: _Cache = None,
    threads: Threads = None,
    as_json: Json = False,
    debug: Debug = False,
) -> None:
    """Teach your own organs (or any classes of whole images) from an index.

    Features of a frozen network, kept so that more images cost only themselves; a head in closed form; every figure and
    every promise from images of patients or slides that the answering head had not seen. The bundle works in classify,
    analyze and on the page.
    """
    from organscope.cli._output import counting
    from organscope.data.index import read_index
    from organscope.training.teaching import teach_organs

    opened = read_index(index)
    with counting("features") as progress:
        extra = {} if progress is None else {"progress": progress}
        taught = teach_organs(opened, output, encoder=encoder, name=name, cache=cache, threads=threads, **extra)
    (_print_data if as_json else _print_taught)(taught)


@app.command(
    epilog="\b\nExamples:\n  organscope data import my_images/ -o indexes/mine   # with classes of cells or points\n"
    "  organscope teach cells indexes/mine -o my-cells\n"
    "  organscope segment new_images/ -o results --cell-kinds my-cells"
)
def cells(
    index: Index,
    output: _BundleFolder,
    encoder: _EncoderName = "imagenet",
    name: _Name = "taught-cells",
    threads: Threads = None,
    as_json: Json = False,
    debug: Debug = False,
) -> None:
    """Teach your own kinds of cells from classes in an index: QuPath GeoJSON, COCO categories, or points with a class.

    Features of a frozen network about each cell and its surroundings; a head in closed form; every figure and every
    promise from cells of patients or slides that the answering head had not seen. Use the bundle with --cell-kinds.
    """
    from organscope.cli._output import counting
    from organscope.data.index import read_index
    from organscope.training.teaching import teach_cells

    opened = read_index(index)
    with counting("images") as progress:
        extra: dict[str, Any] = {} if progress is None else {"progress": progress}
        taught = teach_cells(opened, output, encoder=encoder, name=name, threads=threads, **extra)
    (_print_data if as_json else _print_taught_cells)(taught)


def _print_data(taught: "Taught") -> None:
    from organscope.cli._output import print_json

    def rows(table):
        plain = table.astype(object)
        return plain.where(plain.notna(), None).to_dict("records")

    print_json(
        {
            "bundle": str(taught.folder),
            "name": taught.bundle.manifest.name,
            "scores": rows(taught.scores),
            "classes": rows(taught.classes),
            "confusions": rows(taught.confusions),
            "notes": list(taught.notes),
        }
    )


def _print_taught(taught: "Taught") -> None:
    from organscope.cli._output import output_console, plain_table, shown

    console = output_console()
    _print_scores(taught, "On images whose group the answering head had not seen:")
    numbers = ("images", "groups", "recall", "promised", "false alarms", "more for .95")
    classes = plain_table("class", *numbers, numbers=numbers)
    for row in taught.classes.itertuples():
        more = str(row.more_images) if row.more_images else ""
        figures = (str(row.images), str(row.groups), f"{row.recall:.2f}", f"{row.promised:.2f}", _alarms(row), more)
        classes.add_row(shown(row.label), *figures)
    console.print(
        "\nRecall, and the recall that can be promised where .95 is asked for, with its price in false alarms among "
        "the other images. The last column: how many more images a promise of .95 needs at least.\n"
    )
    console.print(classes)
    _print_rest(taught, "image")


def _print_taught_cells(taught: "Taught") -> None:
    from organscope.cli._output import output_console, plain_table, shown

    console = output_console()
    _print_scores(taught, "On cells of groups that the answering head had not seen, given the cells:")
    numbers = ("cells", "groups", "recall", "precision", "F1", "promised", "false alarms", "more for .95")
    classes = plain_table("class", *numbers, numbers=numbers)
    for row in taught.classes.itertuples():
        more = f"{row.more_groups} groups" if row.more_groups else ""
        figures = (f"{row.cells:,}", str(row.groups), f"{row.recall:.2f}", f"{row.precision:.2f}", f"{row.f1:.2f}")
        classes.add_row(shown(row.label), *figures, f"{row.promised:.2f}", _alarms(row), more)
    console.print(
        "\nWhat can be promised where a recall of .95 is asked for, for a cell of a new group, with its price in false "
        "alarms among the other cells. The last column: cells of how many more groups (patients, slides) a promise of "
        ".95 needs at least.\n"
    )
    console.print(classes)
    shares = taught.bundle.manifest.cell_kinds.shares
    if shares is not None and max(shares.margins) < 1:
        listed = ", ".join(
            f"{shown(label)} {margin:.2f}"
            for label, margin in zip(taught.bundle.manifest.classes, shares.margins, strict=True)
        )
        console.print(
            f"\nIn {shares.coverage:.0%} of {shares.n_groups} unseen groups the counted share of a kind was this near "
            f"to the true one: {listed}."
        )
    _print_rest(taught, "cell")


def _print_scores(taught: "Taught", introduction: str) -> None:
    from organscope.cli._output import output_console, plain_table

    scores = plain_table("metric", "value", "95 % interval", "color alone", numbers=("value", "color alone"))
    for row in taught.scores.itertuples():
        interval = "" if math.isnan(row.low) else f"{row.low:.3f} to {row.high:.3f}"
        scores.add_row(
            row.metric, f"{row.value:.3f}", interval, "" if math.isnan(row.baseline) else f"{row.baseline:.3f}"
        )
    console = output_console()
    console.print(f"{introduction}\n")
    console.print(scores)


def _alarms(row) -> str:
    return "-" if math.isnan(row.false_alarms) else f"{row.false_alarms:.1%}"


def _print_rest(taught: "Taught", unit: str) -> None:
    from organscope.cli._output import output_console, shown

    console = output_console()
    for label, answered, n in taught.confusions.itertuples(index=False):
        plural = unit if n == 1 else f"{unit}s"
        console.print(f"Taken for another: {n:,} {plural} of {shown(label)} named {shown(answered)}.")
    for note in taught.notes:
        console.print(f"\n{note}", soft_wrap=True)
    console.print(f"\nBundle: {taught.folder}", soft_wrap=True)
