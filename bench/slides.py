r"""What `organscope analyze` needs for whole slides: peak memory and time, by size.

    python bench/slides.py --gigapixels 0.1 0.4 1.6 --tissue 0.4 --pictures IMAGES
    python bench/slides.py --quick
    python bench/slides.py --gigapixels 0.1 --json bench-slides.json -- --memory 1GB

Each slide is a tiled JPEG pyramid of real tissue (`bench/slide_mosaic.py`). Each run is a process of its own, started
as a person would start it; its peak memory is what the operating system counted (resident set), and the times of its
stages are those of its ledger. What follows `--` goes to the command. Targets: at most 1,500 MB at every size, the
largest at most 1.15 times the smallest; merging and writing at most a fifth of the time at a million cells.

A million cells in as few pixels as possible, from the densest images of fluorescence as they were taken, neither
shrunk nor brightened. `--diameter-px` is that of the training, so that the network sees them at their size, too; left
to itself it looks at these small nuclei enlarged, which takes longer and so makes merging and writing look small.

    python bench/slides.py --command segment --gigapixels 0.95 --densest --n-pictures 8 \
        --pictures IMAGES -- --diameter-px 26.5
"""

import argparse
import json
import os
import platform
import shutil
import sqlite3
import subprocess
import sys
import tempfile
from pathlib import Path

from counted import run_counted
from slide_mosaic import tissue_images, write_slide

QUICK = [0.04]
COLUMNS = {
    "gigapixels": "{:.2f}",
    "tissue": "{:.0%}",
    "cells": "{:,}",
    "minutes": "{:.1f}",
    "seconds_per_megapixel_of_tissue": "{:.3f}",
    "windows_share": "{:.1%}",
    "seams_share": "{:.1%}",
    "writing_share": "{:.1%}",
    "peak_memory_mb": "{:,.0f}",
    "results_mb": "{:,.0f}",
}


def main() -> None:
    """Measure every size, print a table in Markdown, write JSON."""
    arguments = _arguments()
    images = tissue_images(arguments.pictures, arguments.n_pictures, densest=arguments.densest)
    rows = []
    print("| " + " | ".join(name.replace("_", " ") for name in COLUMNS) + " |")
    print("|" + "---:|" * len(COLUMNS), flush=True)
    with tempfile.TemporaryDirectory(dir=arguments.folder) as folder:
        for gigapixels, tissue in zip(arguments.gigapixels, arguments.tissue, strict=True):
            slide = Path(folder) / f"slide_{gigapixels:g}.tif"
            write_slide(slide, round((gigapixels * 1e9) ** 0.5), images, arguments.um_per_px, tissue)
            out = Path(folder) / f"out_{gigapixels:g}"
            rows.append(measure(slide, out, arguments.command, arguments.options, tissue))
            slide.unlink()
            shutil.rmtree(out)
            print("| " + " | ".join(form.format(rows[-1][name]) for name, form in COLUMNS.items()) + " |", flush=True)
    peaks = [row["peak_memory_mb"] for row in rows]
    most = max(rows, key=lambda row: row["cells"])
    share = most["seams_share"] + most["writing_share"]
    print(f"\nLargest over smallest peak: {max(peaks) / min(peaks):.2f}")
    print(f"Merging and writing at {most['cells']:,} cells: {share:.1%} of the time")
    if arguments.json:
        machine = {"system": platform.platform(), "python": platform.python_version(), "cores": os.cpu_count()}
        arguments.json.write_text(json.dumps({"machine": machine, "runs": rows}, indent=2) + "\n", encoding="utf-8")


def measure(slide: Path, out: Path, command: str, options: list[str], tissue: float) -> dict[str, float]:
    """Run the command on one slide in a process of its own."""
    program = str(Path(sys.executable).with_name("organscope"))
    words = [program, command, str(slide), "-o", str(out), "--json", *options]
    counted = run_counted(words, stdout=subprocess.PIPE)
    (found,) = json.loads(counted.said)["images"]
    stages = stage_seconds(out)
    megapixels = found["height_px"] * found["width_px"] / 1e6
    seconds = found["seconds"]
    return {
        "gigapixels": megapixels / 1000,
        "tissue": tissue,
        "cells": found["n_cells"],
        "minutes": counted.wall_s / 60,
        "seconds_per_megapixel_of_tissue": seconds / megapixels / tissue,
        "windows_share": stages["windows"] / seconds,
        "seams_share": stages.get("seams", 0.0) / seconds,
        "writing_share": 1 - sum(stages.values()) / seconds,
        "peak_memory_mb": counted.peak_memory_mb,
        "results_mb": sum(path.stat().st_size for path in out.rglob("*") if path.is_file()) / 1e6,
    }


def stage_seconds(out: Path) -> dict[str, float]:
    """Time of all regions, by stage, from the ledger of the run."""
    with sqlite3.connect(out / ".organscope" / "ledger.sqlite3") as database:
        return dict(database.execute("SELECT stage, SUM(seconds) FROM regions GROUP BY stage").fetchall())


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--gigapixels", type=float, nargs="+", default=[0.1, 0.4, 1.6])
    parser.add_argument("--quick", dest="gigapixels", action="store_const", const=QUICK, help="one small slide")
    tissue_help = "share of the slide that is tissue, the rest is glass: one for all sizes, or one for each"
    parser.add_argument("--tissue", type=float, nargs="+", default=[1.0], help=tissue_help)
    parser.add_argument("--command", choices=["analyze", "segment"], default="analyze")
    parser.add_argument("--pictures", type=Path, help="folder of images, 512 x 512 px or mirrored up to that")
    parser.add_argument("--n-pictures", type=int, default=16)
    parser.add_argument("--densest", action="store_true", help="the images with the most cells, by their labels")
    parser.add_argument("--um-per-px", type=float, help="that the slide states")
    parser.add_argument("--json", type=Path, help="also write the figures here")
    parser.add_argument("--folder", type=Path, help="for slides and results, which are removed again")
    parser.add_argument("options", nargs="*", help="for the command, after --")
    arguments = parser.parse_args()
    if len(arguments.tissue) == 1:
        arguments.tissue *= len(arguments.gigapixels)
    if len(arguments.tissue) != len(arguments.gigapixels):
        parser.error("Expected one --tissue, or as many as --gigapixels.")
    if not all(0 < share <= 1 for share in arguments.tissue):
        parser.error("Expected --tissue above 0 and at most 1.")
    return arguments


if __name__ == "__main__":
    main()
