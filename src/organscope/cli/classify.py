"""organscope classify: name the organ."""

from organscope.cli.options import Channel, ClassifyBundle, Debug, Images, Json, MaxMegapixels, Output, PixelSize, Threads

EXAMPLES = """
Examples:

  organscope classify slide.tif -o results

  organscope classify images/ -o results --bundle runs/my-organs/bundle
"""


def classify(
    inputs: Images,
    output: Output,
    bundle: ClassifyBundle = "organs",
    um_per_px: PixelSize = None,
    channel: Channel = None,
    max_megapixels: MaxMegapixels = 100.0,
    threads: Threads = None,
    as_json: Json = False,
    debug: Debug = False,
) -> None:
    """Name the organ that each image shows, or say why it cannot be known.

    Writes OUT/predictions.csv: image, organ, confidence, decision (accept or abstain), reason, and p_<organ> for
    every organ.

    Exit codes: 0 done, 1 some inputs failed (each is named, the others are finished), 2 wrong use.
    """
    from organscope.cli.running import run_and_report

    run_and_report(
        ("classification",), inputs, output, [bundle],
        um_per_px=um_per_px, channel=channel, max_megapixels=max_megapixels,
        threads=threads, as_json=as_json, debug=debug,
    )  # fmt: skip
