"""What `organscope analyze` costs: seconds a megapixel and peak memory, by the size of the image.

    python bench/analyze.py --megapixels 0.25 1 4 16 100 --json bench-analyze.json

Each size is a mosaic (`bench/mosaic.py`), a tiled TIFF. Each run is a fresh process, started as a person would start
it; its peak memory is what the operating system counted (resident set, Linux and macOS). `--bundle NAME_OR_PATH`
(repeatable) measures other bundles than those inside the package. Nothing else should run on the machine meanwhile.
"""

import argparse
import json
import os
import platform
import subprocess
import sys
import tempfile
from pathlib import Path

from counted import run_counted
from mosaic import trained_diameter_px, write_mosaic


def main() -> None:
    """Measure every size, print a table, write JSON."""
    arguments = _arguments()
    rows = []
    with tempfile.TemporaryDirectory(dir=arguments.folder) as folder:
        for megapixels in arguments.megapixels:
            image = Path(folder) / f"mosaic_{megapixels:g}.tif"
            write_mosaic(image, round((megapixels * 1e6) ** 0.5))
            rows.append(measure(image, Path(folder) / "out", arguments.bundle))
            image.unlink()
            print_row(rows[-1], header=len(rows) == 1)
    if arguments.json:
        arguments.json.write_text(json.dumps({"machine": _machine(), "runs": rows}, indent=2) + "\n")


def measure(image: Path, out: Path, bundles: list[str], *, command: str = "analyze", options=()) -> dict[str, float]:
    """Run a command on one image in a process of its own."""
    program = str(Path(sys.executable).with_name("organscope"))
    words = [program, command, str(image), "-o", str(out), "--json", "--max-megapixels", "100000"]
    words += ["--diameter-px", f"{trained_diameter_px(bundles)}", *options]
    for bundle in bundles:
        words += ["--bundle", bundle]
    counted = run_counted(words, stdout=subprocess.PIPE)
    found = json.loads(counted.said)
    (analyzed,) = found["images"]
    megapixels = analyzed["height_px"] * analyzed["width_px"] / 1e6
    return {
        "megapixels": megapixels,
        "n_cells": analyzed["n_cells"],
        "seconds": analyzed["seconds"],
        "seconds_per_megapixel": analyzed["seconds"] / megapixels,
        "start_and_report_s": counted.wall_s - analyzed["seconds"],
        "peak_memory_mb": counted.peak_memory_mb,
    }


def print_row(row: dict[str, float], *, header: bool) -> None:
    """One line of the table."""
    if header:
        print(f"{'megapixels':>10} {'cells':>8} {'seconds':>8} {'s/MP':>6} {'start+report s':>14} {'peak MB':>8}")
    print(
        f"{row['megapixels']:10.2f} {row['n_cells']:8d} {row['seconds']:8.1f} "
        f"{row['seconds_per_megapixel']:6.2f} {row['start_and_report_s']:14.1f} {row['peak_memory_mb']:8.0f}",
        flush=True,
    )


def _machine() -> dict[str, str | int | None]:
    return {"system": platform.platform(), "python": platform.python_version(), "cores": os.cpu_count()}


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--megapixels", type=float, nargs="+", default=[0.25, 1, 4, 16, 100])
    parser.add_argument("--bundle", action="append", default=[])
    parser.add_argument("--json", type=Path, help="also write the figures here")
    parser.add_argument("--folder", type=Path, help="for the images and results, which are removed again")
    return parser.parse_args()


if __name__ == "__main__":
    main()
