"""Arguments and options that several commands share.

How planes are written on the command line.
"""

from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from organscope.cli._errors import remember_debug
from organscope.errors import UsageError
from organscope.ops.pixel_size import parse_pixel_size

Images = Annotated[
    list[Path],
    typer.Argument(
        metavar="IMAGE_OR_FOLDER", help="Images, or folders that are searched for images.", show_default=False
    ),
]
Output = Annotated[
    Path, typer.Option("--output", "-o", metavar="OUT", help="Folder for the results.", show_default=False)
]


def _pixel_size(text: str) -> tuple[float, float]:
    try:
        return parse_pixel_size(text)
    except UsageError as error:
        raise UsageError(f"--um-per-px: {error}") from error


PixelSize = Annotated[
    tuple | None,
    typer.Option(
        "--um-per-px",
        parser=_pixel_size,
        metavar="UM or Y,X",
        help="Micrometers per pixel in place of what the files say: one number, or height and width of a pixel.",
        show_default=False,
    ),
]
Diameter = Annotated[
    float | None,
    typer.Option(
        "--diameter-px",
        min=1.0,
        max=10_000.0,
        help="Typical diameter of the cells in the images, in pixels. Default: estimated.",
        show_default=False,
    ),
]
MinCellRecall = Annotated[
    float | None,
    typer.Option(
        "--min-cell-recall",
        min=0.01,
        max=0.9999,
        help="Share of the cells to find, such as 0.98; fainter cells are kept too, and the price is stated.",
        show_default=False,
    ),
]
FormerMinCellRecall = Annotated[
    float | None,
    typer.Option(
        "--min-recall",
        min=0.01,
        max=0.9999,
        help="Former name of --min-cell-recall; goes with the next release.",
        show_default=False,
    ),
]
Channel = Annotated[
    str | None,
    typer.Option(
        metavar="N|NAME",
        help="Look at this channel alone, by number (from 0) or name; 'rgb' if they are red, green and blue.",
        show_default=False,
    ),
]
Page = Annotated[
    int | None,
    typer.Option(min=0, metavar="N", help="Page of files whose planes have no names, from 0.", show_default=False),
]
Plane = Annotated[
    str | None,
    typer.Option(metavar="z=N,t=N", help="Plane of a stack and time point, from 0.", show_default=False),
]
Series = Annotated[
    int | None,
    typer.Option(min=0, metavar="N", help="Image of files that hold several, from 0.", show_default=False),
]
Project = Annotated[
    str | None,
    typer.Option(metavar="max", help="Take the brightest of all z planes at every pixel.", show_default=False),
]
Threads = Annotated[
    int | None,
    typer.Option(
        min=1,
        help="Threads for the network of each process; if left out, its share of the cores, or 1 on a cluster.",
        show_default=False,
    ),
]
Json = Annotated[bool, typer.Option("--json", help="Print the results as JSON; stdout then holds nothing else.")]
Debug = Annotated[
    bool, typer.Option("--debug", callback=remember_debug, help="Show the traceback of unexpected errors.")
]
MaxMegapixels = Annotated[
    float,
    typer.Option(min=0.001, help="Refuse larger PNG and JPEG files and others that must be decoded as a whole."),
]
IndexFolder = Annotated[
    Path, typer.Argument(metavar="INDEX", help="Folder made by `organscope data import`.", show_default=False)
]
Workers = Annotated[int | None, typer.Option(min=1, help="Processes. Default: one a core.", show_default=False)]
ManyImages = Annotated[
    int,
    typer.Option("--workers", min=1, help="Processes that share the images, the regions of slides, and the cores."),
]
Cluster = Annotated[
    str | None,
    typer.Option(
        metavar="ADDRESS_OR_TOML",
        help="Dask scheduler (tcp://host:port) whose workers do the images, or a file such as slurm.toml.",
        show_default=False,
    ),
]
GivenLabels = Annotated[
    Path | None,
    typer.Option(
        "--labels",
        metavar="FOLDER",
        help="Label images or outlines of other tools, named as the images: these cells are measured and named, none "
        "is searched for.",
        show_default=False,
    ),
]
Measures = Annotated[
    str | None,
    typer.Option(
        metavar="NAMES",
        help="More columns of cells.*: texture, stain, neighbors, or several with commas.",
        show_default=False,
    ),
]
Roi = Annotated[
    str | None,
    typer.Option(
        metavar="FILE|FOLDER|tissue",
        help="Count cells in regions of interest: GeoJSON in pixels, as QuPath exports annotations, a folder of such "
        "files named as the images, or 'tissue'.",
        show_default=False,
    ),
]
Maps = Annotated[
    bool,
    typer.Option("--maps", help="Also write what the network says of every pixel as OME-Zarr; it is run once more."),
]
AnnData = Annotated[
    bool, typer.Option("--anndata", help="Also write the cells as AnnData (cells.h5ad); needs organscope[spatial].")
]
SpatialData = Annotated[
    bool,
    typer.Option(
        "--spatialdata",
        help="Also write image, labels, outlines and cells as SpatialData; needs organscope[spatial].",
    ),
]
Memory = Annotated[
    str | None,
    typer.Option(
        metavar="SIZE",
        help="Most memory to use, such as 2GB: slides are worked on in smaller tiles to keep it.",
        show_default=False,
    ),
]
ZarrLabels = Annotated[
    bool, typer.Option("--zarr", help="Also write the labels of slides as OME-Zarr (NGFF), a folder of many files.")
]
_BUNDLE_METAVAR = "NAME_OR_PATH"
SegmentBundle = Annotated[
    str, typer.Option(metavar=_BUNDLE_METAVAR, help="Bundle that segments: a name, a folder or a zip file.")
]
ClassifyBundle = Annotated[
    str, typer.Option(metavar=_BUNDLE_METAVAR, help="Bundle that classifies: a name, a folder or a zip file.")
]
AnyBundles = Annotated[
    list[str] | None,
    typer.Option(
        metavar=_BUNDLE_METAVAR,
        help="Bundle to use instead of nuclei, organs or cell-organs; its manifest says for which task. Give it once "
        "for each.",
        show_default=False,
    ),
]
DabThreshold = Annotated[
    float | None,
    typer.Option(
        "--dab-threshold",
        min=0.01,
        max=0.99,
        help="Count DAB-positive cells: weak (1+) from this optical density on, 2+ from twice, 3+ from three times. "
        "Usual: 0.2. Only for sections stained with hematoxylin and DAB, not for H&E.",
        show_default=False,
    ),
]
DabIn = Annotated[
    str | None,
    typer.Option(
        "--dab-in", metavar="nucleus|ring", help="Where DAB is measured. Default: nucleus.", show_default=False
    ),
]
CellKinds = Annotated[
    str | None,
    typer.Option(
        "--cell-kinds",
        metavar=_BUNDLE_METAVAR,
        help="Also name the kind of each cell: `cell-kinds`, or a bundle of `organscope teach cells`.",
        show_default=False,
    ),
]
Positive = Annotated[
    str | None,
    typer.Option(
        metavar="ORGAN", help="Organ that must not be missed: flag it at a promised recall.", show_default=False
    ),
]
MinRecall = Annotated[
    float | None,
    typer.Option(min=0.0, max=1.0, help="Recall to promise for it. Default: 0.95.", show_default=False),
]
CostsFile = Annotated[
    Path | None,
    typer.Option("--costs", metavar="FILE", help="What mistakes cost, as TOML or as a CSV matrix.", show_default=False),
]


class TrackTo(StrEnum):
    """Which trackers follow a run."""

    MLFLOW = "mlflow"
    WANDB = "wandb"
    BOTH = "both"
    NONE = "none"


Track = Annotated[
    TrackTo | None,
    typer.Option(
        help="Which tracker follows the run. Default: what the configuration says, else mlflow.",
        show_default=False,
    ),
]


def plane_from_text(text: str | None) -> dict[str, int]:
    """`z` and `t` from text such as "z=3,t=0".

    Raises:
        UsageError: It is written in another way.
    """
    found: dict[str, int] = {}
    for part in (text or "").replace(" ", "").split(",") if text is not None else ():
        axis, _, number = part.casefold().partition("=")
        if axis not in ("z", "t") or not number.isdecimal() or axis in found:
            raise UsageError(f"Expected a plane such as z=3 or z=3,t=0, found '{text}'. Write it so, counted from 0.")
        found[axis] = int(number)
    return found
