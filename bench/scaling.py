"""More workers: how much faster, never slower, and the same result when one of them is killed.

    python bench/scaling.py                      # 32 images of 640 px and a slide, about five minutes
    python bench/scaling.py --images 8 --side 256 --slide-px 2064 --skip threads default

Images are pieces of the human-colon image of scikit-image, each from another place; the slide is a mosaic of it
(`bench/slide_mosaic.py`), worked on by region. Every run is `organscope segment` in a process of its own; its time is
that of all images together with the start of the workers, without loading the bundle before. Workers are started only
where 30 s of work are left, so that fewer images would show one worker twice. `cluster` and `slide` start a Dask
scheduler and three workers of one thread, and kill one of them with -9 when half of the images, or of the regions of
the slide, are done; what comes out is compared with one worker's, file by file, byte by byte. Prints a table in
Markdown. Nothing else should run on the machine meanwhile.
"""

import argparse
import json
import os
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import tifffile
from skimage.data import immunohistochemistry

from organscope.errors import UsageError
from organscope.pipeline.status import run_status
from slide_mosaic import tissue_images, write_slide

FIGURES = ("threads", "default", "cluster", "slide")
N_DASK_WORKERS = 3
SLIDE_MEMORY = "1140MB"
"""So little that images above a third of a megapixel are slides: a small one is enough."""


def main() -> None:
    """Measure what was asked for and print the table."""
    arguments = _arguments()
    with tempfile.TemporaryDirectory(dir=arguments.folder) as name:
        folder = Path(name)
        rows = list(measured(folder, arguments))
    print(f"{arguments.images} images of {arguments.side} x {arguments.side} px, {os.cpu_count()} cores\n")
    print_table(rows)


def measured(folder: Path, arguments: argparse.Namespace) -> Iterator[tuple[str, float, float, bool, str]]:
    """What is compared, seconds before and after, whether the files are the same, and the target."""
    images = folder / "pictures"
    write_images(images, arguments.images, arguments.side)
    if not {"threads", "cluster"} <= set(arguments.skip):
        one = run(images, folder / "one", "--threads", "1")
    if "threads" not in arguments.skip:
        two = run(images, folder / "two", "--threads", "1", "--workers", "2")
        yield "two 1-thread workers against one", one, two, same(folder / "one", folder / "two"), ">= 1.8"
    if "default" not in arguments.skip:
        alone = run(images, folder / "alone")
        shared = run(images, folder / "shared", "--workers", "2")
        yield "--workers 2 against the default", alone, shared, same(folder / "alone", folder / "shared"), ">= 1"
    dead = f"{N_DASK_WORKERS} Dask workers, one killed, against one"
    if "cluster" not in arguments.skip:
        killed = run_with_a_death(
            images, folder / "cluster", lambda: share_of_images(folder / "cluster", arguments.images)
        )
        yield f"{dead}: images", one, killed, same(folder / "one", folder / "cluster"), "same files"
    if "slide" not in arguments.skip:
        slide, options = folder / "slide.tif", ("--memory", SLIDE_MEMORY)
        write_slide(slide, arguments.slide_px, tissue_images(None, 1))
        whole = run(slide, folder / "one-slide", "--threads", "1", *options)
        killed = run_with_a_death(slide, folder / "slide", lambda: share_of_regions(folder / "slide"), *options)
        yield f"{dead}: regions", whole, killed, same(folder / "one-slide", folder / "slide"), "same files"


def write_images(folder: Path, n_images: int, side_px: int) -> None:
    """Pieces of one image, wrapped around its edges, each from another place."""
    folder.mkdir()
    random = np.random.default_rng(0)
    image = np.tile(immunohistochemistry(), (-(-side_px // 512) + 1, -(-side_px // 512) + 1, 1))
    for number in range(n_images):
        y, x = random.integers(0, 512, 2)
        tifffile.imwrite(folder / f"{number:03}.tif", image[y : y + side_px, x : x + side_px], photometric="rgb")


def run(images: Path, out: Path, *options: str) -> float:
    """Seconds for all images."""
    program = str(Path(sys.executable).with_name("organscope"))
    words = [program, "segment", str(images), "-o", str(out), "--json", *options]
    ended = subprocess.run(words, capture_output=True, text=True)
    if ended.returncode != 0:
        sys.exit(f"{' '.join(words)} ended with exit code {ended.returncode}:\n{ended.stderr[-2000:]}")
    return json.loads(ended.stdout)["seconds"]


def run_with_a_death(images: Path, out: Path, share_done: Callable[[], float], *options: str) -> float:
    """Seconds on a cluster of which one worker is killed when half of the work is done."""
    with dask_cluster() as (address, workers):
        watch = threading.Thread(target=_kill_halfway, args=(workers[0], share_done), daemon=True)
        watch.start()
        seconds = run(images, out, "--cluster", address, *options)
        watch.join(timeout=1)
    if workers[0].returncode != -signal.SIGKILL:
        sys.exit("The worker was not killed in time: take more images, or a larger slide.")
    return seconds


def share_of_images(out: Path, n_images: int) -> float:
    """Share of the images that have their results."""
    return len(list(out.glob("*/cells.parquet"))) / n_images


def share_of_regions(out: Path) -> float:
    """Share of the windows of a slide that are done, from the ledger of the run."""
    try:
        present = run_status(out).present
    except UsageError:
        # Not begun.
        return 0.0
    return sum(slide.n_done / max(1, slide.n_regions) for slide in present)


@contextmanager
def dask_cluster() -> Iterator[tuple[str, list[subprocess.Popen]]]:
    """A scheduler and its workers as processes: the address, and the workers."""
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "scheduler.json"
        common = ["--scheduler-file", str(file), "--no-dashboard"]
        scheduler = _dask(folder, "scheduler", *common, "--host", "127.0.0.1", "--port", "0")
        # Without a nanny a worker that is killed stays dead, as a machine that is gone does.
        workers = [_dask(folder, "worker", *common, "--nthreads", "1", "--no-nanny") for _ in range(N_DASK_WORKERS)]
        try:
            # The file is there before its content.
            while not (file.exists() and file.read_text()):
                time.sleep(0.05)
            yield json.loads(file.read_text())["address"], workers
        finally:
            for process in (*workers, scheduler):
                process.terminate()
                process.wait()


def _dask(folder: str, *words: str) -> subprocess.Popen:
    quiet = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
    return subprocess.Popen([sys.executable, "-m", "dask", *words], cwd=folder, **quiet)


def _kill_halfway(worker: subprocess.Popen, share_done: Callable[[], float]) -> None:
    while share_done() < 0.5:
        time.sleep(0.02)
    worker.kill()
    worker.wait()


def same(expected: Path, found: Path) -> bool:
    """Whether two runs wrote the same results for every image, byte by byte."""
    return _results(expected) == _results(found)


def _results(out: Path) -> dict[str, bytes]:
    # Without the ledger, which holds times.
    files = [path for path in out.glob("*/*") if path.is_file() and not path.parent.name.startswith(".")]
    return {path.relative_to(out).as_posix(): path.read_bytes() for path in files}


def print_table(rows: list[tuple[str, float, float, bool, str]]) -> None:
    """One row a figure, in Markdown."""
    print("| | before, s | after, s | times as fast | same files | target |\n|---|---:|---:|---:|---|---|")
    for name, before, after, equal, target in rows:
        print(f"| {name} | {before:.1f} | {after:.1f} | {before / after:.2f} | {'yes' if equal else 'NO'} | {target} |")


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--images", type=int, default=32, help="number of images")
    parser.add_argument("--side", type=int, default=640, help="side of each in pixels")
    parser.add_argument("--slide-px", type=int, default=6144, help="side of the slide; 6144 gives nine regions")
    parser.add_argument("--skip", nargs="*", default=[], choices=FIGURES, help="figures to leave out")
    parser.add_argument("--folder", type=Path, help="where to put images and results meanwhile")
    return parser.parse_args()


if __name__ == "__main__":
    main()
