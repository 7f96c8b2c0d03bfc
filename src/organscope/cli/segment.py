"""organscope segment: find every cell."""

from organscope.cli.options import Channel, Debug, Images, Json, MaxMegapixels, Output, PixelSize, SegmentBundle, Threads

EXAMPLES = """
Examples:

  organscope segment slide.tif -o results

  organscope segment images/ -o results --um-per-px 0.5

  organscope segment stack.tif -o results --channel 2 --json
"""


def segment(
    inputs: Images,
    output: Output,
    bundle: SegmentBundle = "nuclei",
    um_per_px: PixelSize = None,
    channel: Channel = None,
    max_megapixels: MaxMegapixels = 100.0,
    threads: Threads = None,
    as_json: Json = False,
    debug: Debug = False,
) -> None:
    """Find every cell: label image, table, QuPath outlines and overlay for each image.

    Writes OUT/<stem>/labels.tif, cells.csv, cells.parquet, cells.geojson and overlay.png. For a folder the
    results mirror the path of each image below it.

    Exit codes: 0 done, 1 some inputs failed (each is named, the others are finished), 2 wrong use.
    """
    from organscope.cli.running import run_and_report

    run_and_report(
        ("segmentation",), inputs, output, [bundle],
        um_per_px=um_per_px, channel=channel, max_megapixels=max_megapixels,
        threads=threads, as_json=as_json, debug=debug,
    )  # fmt: skip
