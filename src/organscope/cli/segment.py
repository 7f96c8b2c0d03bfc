"""organscope segment: find every cell."""

from organscope.cli import options

EXAMPLES = """\b
Examples:
  organscope segment slide.tif -o results
  organscope segment images/ -o results --um-per-px 0.5
  organscope segment images/ -o results --diameter-px 45
  organscope segment images/ -o results --min-cell-recall 0.98
  organscope segment stack.tif -o results --channel DAPI --json
  organscope segment stack.tif -o results --plane z=3,t=0
  organscope segment stack.tif -o results --project max
"""


def segment(
    inputs: options.Images,
    output: options.Output,
    bundle: options.SegmentBundle = "nuclei",
    um_per_px: options.PixelSize = None,
    diameter_px: options.Diameter = None,
    min_cell_recall: options.MinCellRecall = None,
    min_recall: options.FormerMinCellRecall = None,
    channel: options.Channel = None,
    page: options.Page = None,
    plane: options.Plane = None,
    series: options.Series = None,
    project: options.Project = None,
    max_megapixels: options.MaxMegapixels = 100.0,
    threads: options.Threads = None,
    workers: options.ManyImages = 1,
    cluster: options.Cluster = None,
    memory: options.Memory = None,
    zarr: options.ZarrLabels = False,
    as_json: options.Json = False,
    debug: options.Debug = False,
) -> None:
    """Find every cell.

    Writes a label image, tables, outlines for QuPath and a picture for each image: OUT/<stem>/labels.tif,
    cells.csv, cells.parquet, cells.geojson and overlay.png. For a folder the results mirror the path of each
    image below it. Where cells are clearly larger or smaller than in the bundle's training, or next to nothing is
    found, the network may see the image at another scale; the results then say so.

    Images that do not fit into memory, such as whole slides, are worked on by region and get labels.ome.tif,
    cells.parquet and cells-0001.geojson.gz. The same command goes on with a run that was interrupted.

    Exit codes: 0 done, 1 some inputs failed (each is named, the others are finished), 2 wrong use.
    """
    from organscope.cli.guard import say
    from organscope.cli.running import run_and_report

    if min_recall is not None:
        say("--min-recall is called --min-cell-recall for cells; the former name goes with the next release.")

    run_and_report(
        ("segmentation",), inputs, output, [bundle],
        um_per_px=um_per_px, max_megapixels=max_megapixels,
        channel=channel, page=page, plane=plane, series=series, project=project,
        threads=threads, workers=workers, cluster=cluster, memory=memory, zarr=zarr, as_json=as_json, debug=debug,
        diameter_px=diameter_px, min_cell_recall=min_recall if min_cell_recall is None else min_cell_recall,
    )  # fmt: skip
