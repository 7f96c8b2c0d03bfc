"""More workers: how much faster, never slower, and the same result when one of them is killed.

    python bench/scaling.py                      # 64 pictures of 640 px, about three minutes
    python bench/scaling.py --images 8 --side 256 --skip cluster

Pictures are pieces of the human-colon picture of scikit-image, each from another place. Every run is
`organscope segment` in a process of its own; its time is that of all images together with the start of the workers,
without loading the bundle before. `cluster` starts a Dask scheduler and three workers of one thread, and kills one of
them with -9 when half of the results are there; what comes out is compared with one worker's, file by file, byte by
byte. Prints a table in Markdown. Nothing else should run on the machine meanwhile.
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
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import tifffile
from skimage.data import immunohistochemistry

FIGURES = ("threads", "default", "cluster")
N_DASK_WORKERS = 3


def main() -> None:
    """Measure what was asked for and print the table."""
    arguments = _arguments()
    rows = []
    with tempfile.TemporaryDirectory(dir=arguments.folder) as folder:
        pictures, out = Path(folder) / "pictures", Path(folder)
        write_pictures(pictures, arguments.images, arguments.side)
        one = run(pictures, out / "one", "--threads", "1")
        if "threads" not in arguments.skip:
            two = run(pictures, out / "two", "--threads", "1", "--workers", "2")
            rows.append(("two 1-thread workers against one", one, two, same(out / "one", out / "two"), ">= 1.8"))
        if "default" not in arguments.skip:
            alone = run(pictures, out / "alone")
            shared = run(pictures, out / "shared", "--workers", "2")
            rows.append(("--workers 2 against the default", alone, shared, same(out / "alone", out / "shared"), ">= 1"))
        if "cluster" not in arguments.skip:
            killed = run_with_a_death(pictures, out / "cluster", arguments.images)
            name = f"{N_DASK_WORKERS} Dask workers, one killed, against one"
            rows.append((name, one, killed, same(out / "one", out / "cluster"), "same result"))
    print(f"{arguments.images} pictures of {arguments.side} x {arguments.side} px, {os.cpu_count()} cores\n")
    print_table(rows)


def write_pictures(folder: Path, n_pictures: int, side_px: int) -> None:
    """Pieces of one picture, wrapped around its edges, each from another place."""
    folder.mkdir()
    random = np.random.default_rng(0)
    picture = np.tile(immunohistochemistry(), (-(-side_px // 512) + 1, -(-side_px // 512) + 1, 1))
    for number in range(n_pictures):
        y, x = random.integers(0, 512, 2)
        tifffile.imwrite(folder / f"{number:03}.tif", picture[y : y + side_px, x : x + side_px], photometric="rgb")


def run(pictures: Path, out: Path, *options: str) -> float:
    """Seconds for all pictures."""
    program = str(Path(sys.executable).with_name("organscope"))
    words = [program, "segment", str(pictures), "-o", str(out), "--json", *options]
    ended = subprocess.run(words, capture_output=True, text=True)
    if ended.returncode != 0:
        sys.exit(f"{' '.join(words)} ended with exit code {ended.returncode}:\n{ended.stderr[-2000:]}")
    return json.loads(ended.stdout)["seconds"]


def run_with_a_death(pictures: Path, out: Path, n_pictures: int) -> float:
    """Seconds on a cluster of which one worker is killed when half of the results are there."""
    with dask_cluster() as (address, workers):
        watch = threading.Thread(target=_kill_halfway, args=(workers[0], out, n_pictures), daemon=True)
        watch.start()
        seconds = run(pictures, out, "--cluster", address)
        watch.join(timeout=1)
    if workers[0].returncode != -signal.SIGKILL:
        sys.exit("The worker was not killed in time: take more pictures.")
    return seconds


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
            while not file.exists():
                time.sleep(0.05)
            yield json.loads(file.read_text())["address"], workers
        finally:
            for process in (*workers, scheduler):
                process.terminate()
                process.wait()


def _dask(folder: str, *words: str) -> subprocess.Popen:
    quiet = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
    return subprocess.Popen([sys.executable, "-m", "dask", *words], cwd=folder, **quiet)


def _kill_halfway(worker: subprocess.Popen, out: Path, n_pictures: int) -> None:
    while len(list(out.glob("*/cells.parquet"))) < n_pictures // 2:
        time.sleep(0.02)
    worker.kill()
    worker.wait()


def same(expected: Path, found: Path) -> bool:
    """Whether two runs wrote the same results for every picture, byte by byte."""
    return _results(expected) == _results(found)


def _results(out: Path) -> dict[str, bytes]:
    # Without the ledger, which holds times.
    files = [path for path in out.glob("*/*") if path.is_file() and not path.parent.name.startswith(".")]
    return {path.relative_to(out).as_posix(): path.read_bytes() for path in files}


def print_table(rows: list[tuple[str, float, float, bool, str]]) -> None:
    """One row a figure, in Markdown."""
    print("| | before, s | after, s | times as fast | same files | target |\n|---|---|---|---|---|---|")
    for name, before, after, equal, target in rows:
        print(f"| {name} | {before:.1f} | {after:.1f} | {before / after:.2f} | {'yes' if equal else 'NO'} | {target} |")


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--images", type=int, default=64, help="number of pictures")
    parser.add_argument("--side", type=int, default=640, help="side of each in pixels")
    parser.add_argument("--skip", nargs="*", default=[], choices=FIGURES, help="figures to leave out")
    parser.add_argument("--folder", type=Path, help="where to put pictures and results meanwhile")
    return parser.parse_args()


if __name__ == "__main__":
    main()
