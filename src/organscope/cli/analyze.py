"""organscope analyze: cells and organ from one read of each image, with a report."""

from organscope.cli import options

EXAMPLES = """\b
Examples:
  organscope analyze slide.tif -o results
  organscope analyze images/ -o results --um-per-px 0.5 --json
  organscope analyze slides/ -o results --memory 2GB --workers 2
  organscope analyze images/ -o results --bundle runs/my-cells/bundle --bundle organs
"""


def analyze(
    inputs: options.Images,
    output: options.Output,
    bundle: options.AnyBundles = None,
    um_per_px: options.PixelSize = None,
    diameter_px: options.Diameter = None,
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
    positive: options.Positive = None,
    min_recall: options.MinRecall = None,
    min_cell_recall: options.MinCellRecall = None,
    costs: options.CostsFile = None,
    as_json: options.Json = False,
    debug: options.Debug = False,
) -> None:
    """Find every cell, name the organ, make a report.

    Each image is read once. Writes what segment and classify write, OUT/summary.csv, and OUT/report.html, which
    opens from disk. With a bundle for single cells (cell-organs, or one given with --bundle) every row of cells.*
    gets its organ, and where all cells together contradict the image as a whole, the answer is to abstain.

    Images that do not fit into memory, such as whole slides, are worked on by region and get labels.ome.tif,
    cells.parquet, cells-0001.geojson.gz and an organ map. The same command goes on with a run that was interrupted;
    `organscope status OUT` says how far it is.

    Exit codes: 0 done, 1 some inputs failed (each is named, the others are finished), 2 wrong use.
    """
    from organscope.cli.running import run_and_report

    run_and_report(
        ("segmentation", "classification"), inputs, output, bundle or [],
        um_per_px=um_per_px, max_megapixels=max_megapixels,
        channel=channel, page=page, plane=plane, series=series, project=project,
        threads=threads, workers=workers, cluster=cluster, memory=memory, zarr=zarr, as_json=as_json, debug=debug,
        diameter_px=diameter_px,
        positive=positive, min_recall=min_recall, costs=costs, min_cell_recall=min_cell_recall,
    )  # fmt: skip
