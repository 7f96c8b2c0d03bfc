"""organscope teach: your own classes in minutes, without a deep-learning framework."""

import math
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

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
    scores = plain_table("metric", "value", "95 % interval", "color alone", numbers=("value", "color alone"))
    for row in taught.scores.itertuples():
        interval = "" if math.isnan(row.low) else f"{row.low:.3f} to {row.high:.3f}"
        scores.add_row(row.metric, f"{row.value:.3f}", interval, f"{row.baseline:.3f}")
    console.print("On images whose group the answering head had not seen:\n")
    console.print(scores)
    numbers = ("images", "groups", "recall", "promised", "false alarms", "more for .95")
    classes = plain_table("class", *numbers, numbers=numbers)
    for row in taught.classes.itertuples():
        alarms = "-" if math.isnan(row.false_alarms) else f"{row.false_alarms:.1%}"
        more = str(row.more_images) if row.more_images else ""
        figures = (str(row.images), str(row.groups), f"{row.recall:.2f}", f"{row.promised:.2f}", alarms, more)
        classes.add_row(shown(row.label), *figures)
    console.print(
        "\nRecall, and the recall that can be promised where .95 is asked for, with its price in false alarms among "
        "the other images. The last column: how many more images a promise of .95 needs at least.\n"
    )
    console.print(classes)
    for row in taught.confusions.itertuples():
        plural = "image" if row.images == 1 else "images"
        console.print(f"Taken for another: {row.images} {plural} of {shown(row.label)} named {shown(row.answered)}.")
    for note in taught.notes:
        console.print(f"\n{note}", soft_wrap=True)
    console.print(f"\nBundle: {taught.folder}", soft_wrap=True)
