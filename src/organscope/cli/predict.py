"""organscope segment: find every cell.

organscope classify: name the organ.

organscope analyze: cells and organ from one read of each image, with a report.
"""

from organscope.cli import _options

SEGMENT_EXAMPLES = """\b
Examples:
  organscope segment slide.tif -o results
  organscope segment images/ -o results --um-per-px 0.5
  organscope segment images/ -o results --diameter-px 45
  organscope segment images/ -o results --min-cell-recall 0.98
  organscope segment images/ -o results --cell-kinds cell-kinds
  organscope segment ki67/ -o results --dab-threshold 0.2
  organscope segment stack.tif -o results --channel DAPI --json
  organscope segment stack.tif -o results --plane z=3,t=0
  organscope segment stack.tif -o results --project max
"""


def segment(
    inputs: _options.Images,
    output: _options.Output,
    bundle: _options.SegmentBundle = "nuclei",
    um_per_px: _options.PixelSize = None,
    diameter_px: _options.Diameter = None,
    min_cell_recall: _options.MinCellRecall = None,
    min_recall: _options.FormerMinCellRecall = None,
    cell_kinds: _options.CellKinds = None,
    dab_threshold: _options.DabThreshold = None,
    dab_in: _options.DabIn = None,
    channel: _options.Channel = None,
    page: _options.Page = None,
    plane: _options.Plane = None,
    series: _options.Series = None,
    project: _options.Project = None,
    max_megapixels: _options.MaxMegapixels = 100.0,
    threads: _options.Threads = None,
    workers: _options.ManyImages = 1,
    cluster: _options.Cluster = None,
    memory: _options.Memory = None,
    zarr: _options.ZarrLabels = False,
    measures: _options.Measures = None,
    roi: _options.Roi = None,
    maps: _options.Maps = False,
    anndata: _options.AnnData = False,
    spatialdata: _options.SpatialData = False,
    as_json: _options.Json = False,
    debug: _options.Debug = False,
) -> None:
    """Find every cell.

    Writes a label image, tables, outlines for QuPath and an image for each image: OUT/<stem>/labels.tif,
    cells.csv, cells.parquet, cells.geojson and overlay.png. For a folder the results mirror the path of each
    image below it. Where cells are clearly larger or smaller than in the bundle's training, or next to nothing is
    found, the network may see the image at another scale; the results then say so.

    Images that do not fit into memory, such as whole slides, are worked on by region and get labels.ome.tif,
    cells.parquet and cells-0001.geojson.gz. The same command goes on with a run that was interrupted.

    Exit codes: 0 done, 1 some inputs failed (each is named, the others are finished), 2 wrong use.
    """
    from organscope.cli._errors import say
    from organscope.cli._run import run_and_report

    if min_recall is not None:
        say("--min-recall is called --min-cell-recall for cells; the former name goes with the next release.")

    run_and_report(
        ("segmentation",), inputs, output, [bundle],
        um_per_px=um_per_px, max_megapixels=max_megapixels,
        channel=channel, page=page, plane=plane, series=series, project=project,
        threads=threads, workers=workers, cluster=cluster, memory=memory, zarr=zarr, as_json=as_json, debug=debug,
        measures=measures, roi=roi, maps=maps, anndata=anndata, spatialdata=spatialdata,
        cell_kinds=cell_kinds, dab_threshold=dab_threshold, dab_in=dab_in,
        diameter_px=diameter_px, min_cell_recall=min_recall if min_cell_recall is None else min_cell_recall,
    )  # fmt: skip


CLASSIFY_EXAMPLES = """\b
Examples:
  organscope classify slide.tif -o results
  organscope classify images/ -o results --bundle runs/my-organs/bundle
  organscope classify images/ -o results --positive melanoma --min-recall 0.9
"""


def classify(
    inputs: _options.Images,
    output: _options.Output,
    bundle: _options.ClassifyBundle = "organs",
    um_per_px: _options.PixelSize = None,
    channel: _options.Channel = None,
    page: _options.Page = None,
    plane: _options.Plane = None,
    series: _options.Series = None,
    project: _options.Project = None,
    max_megapixels: _options.MaxMegapixels = 100.0,
    threads: _options.Threads = None,
    workers: _options.ManyImages = 1,
    cluster: _options.Cluster = None,
    memory: _options.Memory = None,
    positive: _options.Positive = None,
    min_recall: _options.MinRecall = None,
    costs: _options.CostsFile = None,
    as_json: _options.Json = False,
    debug: _options.Debug = False,
) -> None:
    """Name the organ, or say "I don't know".

    Writes OUT/predictions.csv: image, organ, confidence, decision (accept or abstain), reason, the set of organs that
    cannot be ruled out, and p_<organ> for every organ. `organscope decide OUT` decides again on these. Whole slides
    also get OUT/<stem>/organ_map.png and .ome.zarr: the organ of each field.

    Exit codes: 0 done, 1 some inputs failed (each is named, the others are finished), 2 wrong use.
    """
    from organscope.cli._run import run_and_report

    run_and_report(
        ("classification",), inputs, output, [bundle],
        um_per_px=um_per_px, max_megapixels=max_megapixels,
        channel=channel, page=page, plane=plane, series=series, project=project,
        threads=threads, workers=workers, cluster=cluster, memory=memory, as_json=as_json, debug=debug,
        positive=positive, min_recall=min_recall, costs=costs,
    )  # fmt: skip


ANALYZE_EXAMPLES = """\b
Examples:
  organscope analyze slide.tif -o results
  organscope analyze images/ -o results --um-per-px 0.5 --json
  organscope analyze slides/ -o results --memory 2GB --workers 2
  organscope analyze images/ -o results --bundle runs/my-cells/bundle --bundle organs
  organscope analyze images/ -o results --labels cellpose/ --measures texture,neighbors
"""


def analyze(
    inputs: _options.Images,
    output: _options.Output,
    bundle: _options.AnyBundles = None,
    labels: _options.GivenLabels = None,
    um_per_px: _options.PixelSize = None,
    diameter_px: _options.Diameter = None,
    cell_kinds: _options.CellKinds = None,
    dab_threshold: _options.DabThreshold = None,
    dab_in: _options.DabIn = None,
    channel: _options.Channel = None,
    page: _options.Page = None,
    plane: _options.Plane = None,
    series: _options.Series = None,
    project: _options.Project = None,
    max_megapixels: _options.MaxMegapixels = 100.0,
    threads: _options.Threads = None,
    workers: _options.ManyImages = 1,
    cluster: _options.Cluster = None,
    memory: _options.Memory = None,
    zarr: _options.ZarrLabels = False,
    measures: _options.Measures = None,
    roi: _options.Roi = None,
    maps: _options.Maps = False,
    anndata: _options.AnnData = False,
    spatialdata: _options.SpatialData = False,
    positive: _options.Positive = None,
    min_recall: _options.MinRecall = None,
    min_cell_recall: _options.MinCellRecall = None,
    costs: _options.CostsFile = None,
    as_json: _options.Json = False,
    debug: _options.Debug = False,
) -> None:
    """Find every cell, name the organ, make a report.

    Each image is read once. Writes what segment and classify write, OUT/summary.csv, and OUT/report.html, which
    opens from disk. With a bundle for single cells (cell-organs, or one given with --bundle) every row of cells.*
    gets its organ, and where all cells together contradict the image as a whole, the answer is to abstain. With
    --labels the cells are those of another tool or a person.

    Images that do not fit into memory, such as whole slides, are worked on by region and get labels.ome.tif,
    cells.parquet, cells-0001.geojson.gz and an organ map. The same command goes on with a run that was interrupted;
    `organscope status OUT` says how far it is.

    Exit codes: 0 done, 1 some inputs failed (each is named, the others are finished), 2 wrong use.
    """
    from organscope.cli._run import run_and_report

    run_and_report(
        ("segmentation", "classification"), inputs, output, bundle or [],
        um_per_px=um_per_px, max_megapixels=max_megapixels,
        channel=channel, page=page, plane=plane, series=series, project=project,
        threads=threads, workers=workers, cluster=cluster, memory=memory, zarr=zarr, as_json=as_json, debug=debug,
        measures=measures, roi=roi, maps=maps, anndata=anndata, spatialdata=spatialdata,
        diameter_px=diameter_px, labels=labels, cell_kinds=cell_kinds, dab_threshold=dab_threshold, dab_in=dab_in,
        positive=positive, min_recall=min_recall, costs=costs, min_cell_recall=min_cell_recall,
    )  # fmt: skip
