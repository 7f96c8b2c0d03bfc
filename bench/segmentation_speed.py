"""Seconds a megapixel: our whole path, from file to labels, beside the network of StarDist alone.

    python bench/segmentation_speed.py --make-env ~/stardist-env --json bench-segmentation-speed.json
    python bench/segmentation_speed.py --stardist-python ~/stardist-env/bin/python
    python bench/segmentation_speed.py --images FOLDER --bundle runs/mine/bundle

Ours is `open_image` and `segment_image` with a loaded bundle: reading, preparation, network, decoding, numbering.
StarDist's (0.9.2, 2D, default size, grid 2) is its network alone, from array to array, in an environment of its own
(`bench/stardist_network.py`). Both take the same images with the same number of threads, in turn, so that whatever else
happens to the machine happens to both; the medians over the runs are compared. Target: ratio at most .33. Mosaics,
whose stain the bundle does not know, are seen as they are; the scale of `--images` is estimated. Nothing else should
run on the machine meanwhile.
"""

import argparse
import json
import os
import platform
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np

from mosaic import write_mosaic
from organscope.inference import Sizing, segment_image
from organscope.io import image_files, open_image
from organscope.models import Bundle, load_bundle
from organscope.ops.intensity import to_rgb

STARDIST = ("stardist==0.9.2", "tensorflow-cpu==2.21.0")
#: Without its dependencies, because it asks for the package `tensorflow` under its other name.
LEGACY_KERAS = "tf_keras==2.21.0"
TARGET_RATIO = 0.33


class StarDist:
    """The other process; it waits for a number without using the processor."""

    def __init__(self, python: Path, images: list[Path], threads: int) -> None:
        script = Path(__file__).with_name("stardist_network.py")
        self._process = subprocess.Popen(
            [str(python), str(script), *map(str, images), "--threads", str(threads)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
            env=os.environ | {"OMP_NUM_THREADS": str(threads)},
        )
        self.version = self._answer()

    def seconds(self, number: int) -> float:
        """How long the network takes for this image."""
        self._process.stdin.write(f"{number}\n")
        self._process.stdin.flush()
        return float(self._answer())

    def close(self) -> None:
        """End the process."""
        self._process.stdin.close()
        self._process.wait()

    def _answer(self) -> str:
        line = self._process.stdout.readline().strip()
        if not line:
            sys.exit("The process of StarDist ended. Try its environment: PYTHON bench/stardist_network.py --help")
        return line


def main() -> None:
    """Measure, print a table, write JSON."""
    arguments = _arguments()
    python = make_environment(arguments.make_env) if arguments.make_env else arguments.stardist_python
    with tempfile.TemporaryDirectory() as folder:
        sources, arrays = _images(arguments, Path(folder))
        stardist = StarDist(python, arrays, arguments.threads) if python else None
        bundle = load_bundle(arguments.bundle, threads=arguments.threads)
        sizing = Sizing(automatic=bool(arguments.images))
        figures = measure(sources, bundle, sizing, stardist, arguments.runs)
    figures |= {"bundle": arguments.bundle, "threads": arguments.threads, "runs": arguments.runs, **_machine()}
    print_figures(figures)
    if arguments.json:
        arguments.json.write_text(json.dumps(figures, indent=2) + "\n", encoding="utf-8")


def make_environment(folder: Path) -> Path:
    """An environment with StarDist, if it is not there yet; its Python."""
    python = folder / "bin" / "python"
    if not python.exists():
        subprocess.run([sys.executable, "-m", "venv", str(folder)], check=True)
        install = [str(python), "-m", "pip", "install", "--quiet"]
        subprocess.run([*install, *STARDIST], check=True)
        subprocess.run([*install, "--no-deps", LEGACY_KERAS], check=True)
    return python


def measure(sources: list[Path], bundle: Bundle, sizing: Sizing, stardist: StarDist | None, runs: int) -> dict:
    """Median seconds of each image, ours and theirs in turn, after one run of each that does not count."""
    megapixels, ours, theirs = [], [], []
    for number, source in enumerate(sources):
        rows = []
        for _ in range(runs + 1):
            seconds, n_pixels = _ours(source, bundle, sizing)
            rows.append((seconds, stardist.seconds(number) if stardist else np.nan))
        middle = np.median(rows[1:], axis=0)
        megapixels.append(n_pixels / 1e6)
        ours.append(float(middle[0]))
        theirs.append(float(middle[1]))
    total = sum(megapixels)
    figures = {"megapixels": total, "organscope_s_per_mp": sum(ours) / total, "n_images": len(sources)}
    if stardist:
        stardist.close()
        figures |= {
            "stardist_network_s_per_mp": sum(theirs) / total,
            "ratio": sum(ours) / sum(theirs),
            "stardist": stardist.version.removeprefix("ready "),
        }
    return figures


def print_figures(figures: dict) -> None:
    """The table."""
    print(f"{figures['n_images']} images, {figures['megapixels']:.1f} megapixels, {figures['threads']} threads")
    print(f"organscope, file to labels       {figures['organscope_s_per_mp']:6.3f} s/MP  ({figures['bundle']})")
    if "ratio" in figures:
        print(f"stardist 0.9.2, network alone    {figures['stardist_network_s_per_mp']:6.3f} s/MP")
        print(f"ratio                            {figures['ratio']:6.3f}       (target: at most {TARGET_RATIO})")


def _ours(source: Path, bundle: Bundle, sizing: Sizing) -> tuple[float, int]:
    started = time.perf_counter()
    with open_image(source) as image:
        segment_image(image, bundle, sizing=sizing)
    return time.perf_counter() - started, image.height_px * image.width_px


def _images(arguments: argparse.Namespace, folder: Path) -> tuple[list[Path], list[Path]]:
    """The image files, and each as an array for the other environment."""
    sources = [path for path, _ in image_files([arguments.images])] if arguments.images else []
    if not sources:
        sources = [folder / f"mosaic_{side}.tif" for side in arguments.sides]
        for source, side in zip(sources, arguments.sides, strict=True):
            write_mosaic(source, side)
    arrays = []
    for number, source in enumerate(sources):
        with open_image(source) as image:
            low, high = image.value_range
            scaled = (to_rgb(image.read_whole()).astype(np.float32) - low) / (high - low) * 255
        arrays.append(folder / f"{number}.npy")
        np.save(arrays[-1], scaled.astype(np.uint8))
    return sources, arrays


def _machine() -> dict[str, str | int | None]:
    return {"system": platform.platform(), "python": platform.python_version(), "cores": os.cpu_count()}


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    environment = parser.add_mutually_exclusive_group()
    environment.add_argument("--stardist-python", type=Path, help="Python of an environment that has stardist")
    environment.add_argument("--make-env", type=Path, metavar="FOLDER", help="make such an environment with pip")
    parser.add_argument("--images", type=Path, help="images, or a folder of them; mosaics without")
    parser.add_argument("--sides", type=int, nargs="+", default=[512, 1024, 2048], help="of the mosaics, in pixels")
    parser.add_argument("--bundle", default="nuclei")
    parser.add_argument("--threads", type=int, default=os.cpu_count())
    parser.add_argument("--runs", type=int, default=5)
    parser.add_argument("--json", type=Path, help="also write the figures here")
    return parser.parse_args()


if __name__ == "__main__":
    main()
