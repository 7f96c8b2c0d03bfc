"""What the data room costs on a set of large images: seconds a file and peak memory, by the number of files.

    python bench/dataset.py --images 60 300 1800 --json bench-dataset.json

Each size is a stand-in of the mission's set: 12 organs, `train/<organ>/*.tif` and `test/<organ>/*.tif` two to one,
16-bit single-channel with 12 bits used, uncompressed as cameras write it, 25 MB a file (3536 x 3536 px), and one COCO
file with 120 polygons an image. No two files hold the same pixels. `organscope data import`, `check` and `summary` run
one after the other, each as a fresh process with `--workers` workers; every file is really decoded by each of them.
Memory is that of the whole process tree, shared pages counted once (PSS, Linux). 1,800 files need 45 GB of disk, which
is freed again. Nothing else should run on the machine meanwhile.
"""

import argparse
import json
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
import psutil
import tifffile

ORGANS = (
    "colon", "endotherium_1", "endotherium_3", "kidney", "liver", "lung",
    "lymph node", "pancreas", "skin_1", "skin_2", "small intestine", "spleen",
)  # fmt: skip
CELLS_AN_IMAGE = 120
COMMANDS = ("import", "check", "summary")


def main() -> None:
    """Measure every size, print a table, write JSON."""
    arguments = _arguments()
    rows = []
    for n_images in arguments.images:
        with tempfile.TemporaryDirectory(dir=arguments.folder) as folder:
            started = time.perf_counter()
            write_set(Path(folder) / "set", n_images, arguments.side_px)
            print(f"{n_images} files written in {time.perf_counter() - started:.0f} s", flush=True)
            for command in COMMANDS:
                rows.append(measure(command, Path(folder), n_images, arguments.workers))
                print_row(rows[-1])
    for command in COMMANDS:
        per_file = [row["seconds"] / row["n_images"] for row in rows if row["command"] == command]
        print(f"{command:8} seconds a file, largest set / smallest set: {per_file[-1] / per_file[0]:.2f}")
    if arguments.json:
        arguments.json.write_text(json.dumps(rows, indent=2) + "\n")


def write_set(folder: Path, n_images: int, side_px: int) -> None:
    """Write the images and the COCO file; noise is drawn once and shifted, so that writing is what takes time."""
    random = np.random.default_rng(0)
    noise = random.integers(200, 500, (side_px, side_px), dtype=np.uint16)
    images, annotations = [], []
    for number in range(n_images):
        split, organ = ("test" if number % 3 == 2 else "train"), ORGANS[number // 3 % len(ORGANS)]
        name = f"{split}/{organ}/{number:05}.tif"
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        pixels = np.roll(noise, number * 7, axis=0)
        pixels += random.integers(0, 400, (side_px // 16 + 1, 1), dtype=np.uint16).repeat(16, axis=0)[:side_px]
        images.append({"id": number + 1, "file_name": name, "height": side_px, "width": side_px})
        annotations += draw_cells(pixels, random, number + 1, len(annotations))
        tifffile.imwrite(folder / name, pixels)
    document = {"images": images, "annotations": annotations, "categories": [{"id": 1, "name": "cell"}]}
    (folder / "annotations.json").write_text(json.dumps(document))


def draw_cells(pixels: np.ndarray, random: np.random.Generator, image_id: int, n_before: int) -> list[dict]:
    """Add bright discs to an image, on a loose grid so that they do not meet, and describe them as COCO polygons."""
    n_across = int(np.ceil(CELLS_AN_IMAGE**0.5))
    pitch = pixels.shape[0] // n_across
    y, x = np.mgrid[:pitch, :pitch]
    angle = np.linspace(0, 2 * np.pi, 24, endpoint=False)
    described = []
    for place in random.permutation(n_across**2)[:CELLS_AN_IMAGE]:
        top, left = place // n_across * pitch, place % n_across * pitch
        radius = random.uniform(0.08, 0.3) * pitch
        center = random.uniform(radius + 1, pitch - radius - 1, 2)
        disc = np.hypot(y - center[0], x - center[1]) < radius
        pixels[top : top + pitch, left : left + pitch] += np.uint16(random.integers(500, 2500)) * disc
        outline = np.stack(
            [left + center[1] + radius * np.cos(angle), top + center[0] + radius * np.sin(angle)], axis=1
        )
        bbox = [*outline.min(axis=0).tolist(), *np.ptp(outline, axis=0).tolist()]
        links = {"id": n_before + len(described) + 1, "image_id": image_id, "category_id": 1, "iscrowd": 0}
        polygon = outline.round(2).reshape(-1).tolist()
        described.append(links | {"segmentation": [polygon], "bbox": bbox, "area": float(disc.sum())})
    return described


def measure(command: str, folder: Path, n_images: int, workers: int) -> dict[str, float | str]:
    """Run one command in a process of its own and watch the memory of its whole tree."""
    program = str(Path(sys.executable).with_name("organscope"))
    words = {
        "import": ["import", str(folder / "set"), "-o", str(folder / "index")],
        "check": ["check", str(folder / "index"), "--json"],
        "summary": ["summary", str(folder / "index"), "-o", str(folder / "summary"), "--no-umap"],
    }
    started, peak_bytes = time.perf_counter(), 0
    call = [program, "data", *words[command], "--workers", str(workers)]
    with (folder / f"{command}.txt").open("w+") as output:
        process = psutil.Popen(call, stdout=output, stderr=subprocess.STDOUT)
        while process.poll() is None:
            peak_bytes = max(peak_bytes, _tree_bytes(process))
            time.sleep(0.2)
        if process.returncode not in (0, 1):
            output.seek(0)
            sys.exit(f"{' '.join(call)} ended with exit code {process.returncode}: {output.read()[-2000:]}")
    seconds = time.perf_counter() - started
    return {"command": command, "n_images": n_images, "seconds": seconds, "peak_memory_mb": peak_bytes / 1e6}


def _tree_bytes(process: psutil.Popen) -> int:
    total = 0
    try:
        for member in [process, *process.children(recursive=True)]:
            total += member.memory_full_info().pss
    except psutil.NoSuchProcess:
        return 0
    return total


def print_row(row: dict[str, float | str]) -> None:
    """One line of the table."""
    seconds, n_images = row["seconds"], row["n_images"]
    print(
        f"{row['command']:8} {n_images:6} files {seconds:8.1f} s {seconds / n_images:7.3f} s a file "
        f"{row['peak_memory_mb']:7.0f} MB",
        flush=True,
    )


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--images", type=int, nargs="+", default=[30, 120, 480])
    parser.add_argument("--side-px", type=int, default=3536)
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--json", type=Path, help="also write the figures here")
    parser.add_argument("--folder", type=Path, help="for the set, which is removed again")
    return parser.parse_args()


if __name__ == "__main__":
    main()
