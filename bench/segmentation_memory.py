"""Peak memory of `organscope segment` on one large tiled TIFF.

    python bench/segmentation_memory.py --megapixels 100 --json bench-segmentation-memory.json
    python bench/segmentation_memory.py --megapixels 25 --bundle runs/mine/bundle -- --diameter-px 60

The image is a mosaic (`bench/mosaic.py`). The command runs in a process of its own, and its peak memory is what the
operating system counted (resident set, Linux and macOS). What follows `--` goes to the command. Target at 100
megapixels: at most 1.5 GB.
"""

import argparse
import json
import tempfile
from pathlib import Path

from analyze import measure
from mosaic import write_mosaic

TARGET_MB = 1500


def main() -> None:
    """Measure, print, write JSON."""
    arguments = _arguments()
    with tempfile.TemporaryDirectory(dir=arguments.folder) as folder:
        image = Path(folder) / "mosaic.tif"
        write_mosaic(image, round((arguments.megapixels * 1e6) ** 0.5))
        bundles = [arguments.bundle] if arguments.bundle else []
        row = measure(image, Path(folder) / "out", bundles, command="segment", options=arguments.options)
    print(
        f"{row['megapixels']:.1f} megapixels, {row['n_cells']} cells: peak {row['peak_memory_mb']:,.0f} MB "
        f"(target: at most {TARGET_MB:,} MB at 100), {row['seconds_per_megapixel']:.2f} s a megapixel"
    )
    if arguments.json:
        arguments.json.write_text(json.dumps(row, indent=2) + "\n", encoding="utf-8")


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--megapixels", type=float, default=100)
    parser.add_argument("--bundle")
    parser.add_argument("--json", type=Path, help="also write the figures here")
    parser.add_argument("--folder", type=Path, help="for the image and the results, which are removed again")
    parser.add_argument("options", nargs="*", help="for the command, after --")
    return parser.parse_args()


if __name__ == "__main__":
    main()
