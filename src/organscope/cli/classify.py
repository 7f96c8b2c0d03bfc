"""organscope classify: name the organ."""

from organscope.cli import options

EXAMPLES = """\b
Examples:
  organscope classify slide.tif -o results
  organscope classify images/ -o results --bundle runs/my-organs/bundle
  organscope classify images/ -o results --positive melanoma --min-recall 0.9
"""


def classify(
    inputs: options.Images,
    output: options.Output,
    bundle: options.ClassifyBundle = "organs",
    um_per_px: options.PixelSize = None,
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
    positive: options.Positive = None,
    min_recall: options.MinRecall = None,
    costs: options.CostsFile = None,
    as_json: options.Json = False,
    debug: options.Debug = False,
) -> None:
    """Name the organ, or say "I don't know".

    Writes OUT/predictions.csv: image, organ, confidence, decision (accept or abstain), reason, the set of organs that
    cannot be ruled out, and p_<organ> for every organ. `organscope decide OUT` decides again on these. Whole slides
    also get OUT/<stem>/organ_map.png and .ome.zarr: the organ of each field.

    Exit codes: 0 done, 1 some inputs failed (each is named, the others are finished), 2 wrong use.
    """
    from organscope.cli.running import run_and_report

    run_and_report(
        ("classification",), inputs, output, [bundle],
        um_per_px=um_per_px, max_megapixels=max_megapixels,
        channel=channel, page=page, plane=plane, series=series, project=project,
        threads=threads, workers=workers, cluster=cluster, memory=memory, as_json=as_json, debug=debug,
        positive=positive, min_recall=min_recall, costs=costs,
    )  # fmt: skip
