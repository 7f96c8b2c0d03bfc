"""Does the page stay quick and lose nothing while many people use it: `organscope serve` under load, on this machine.

    python bench/web.py --clients 50 --json bench-web.json

A real server with the bundles of the package is started on a store of its own. `--clients` clients upload one real
image each at the same moment, and try again where they are told to; meanwhile the network runs and a reader asks for
the pages, the queue, a study and a tile in turn, which is what the 95th percentile is of. At the end every upload must
be done. Then the first page is loaded: bytes and time with the system's Chromium where there is one. Everything stays
on 127.0.0.1. Nothing else should run on the machine meanwhile.
"""

import argparse
import json
import socket
import subprocess
import sys
import tempfile
import threading
import time
import urllib.error
import urllib.request
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path

import numpy as np
import psutil
import skimage.data
from PIL import Image as PillowImage

from organscope.client import Client

CHROMIUM = "/usr/bin/chromium"
SIDE_PX = 512


def main() -> None:
    """Measure, print, write JSON."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--clients", type=int, default=50)
    parser.add_argument("--side-px", type=int, default=SIDE_PX, help="of the square image that each client uploads")
    parser.add_argument("--json", type=Path)
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="organscope-") as folder:
        figures = measure(Path(folder), arguments.clients, arguments.side_px)
    print("| figure | value |\n|---|---|")
    for name, value in figures.items():
        print(f"| {name} | {value} |")
    if arguments.json:
        arguments.json.write_text(json.dumps(figures, indent=2) + "\n")


def measure(folder: Path, n_clients: int, side_px: int) -> dict[str, float]:
    """Start a server, load it, and look at what comes of it."""
    image = folder / "colon.png"
    PillowImage.fromarray(np.resize(skimage.data.immunohistochemistry(), (side_px, side_px, 3))).save(image)
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    command = [sys.executable, "-c", "from organscope.cli.main import main; main()", "serve"]
    server = subprocess.Popen([*command, "--store", str(folder / "store"), "--port", str(port)])
    try:
        address = f"http://127.0.0.1:{port}"
        wait_for(address)
        return {**load(address, image, n_clients, server.pid), **first_load(address)}
    finally:
        server.terminate()
        server.wait()


def load(address: str, image: Path, n_clients: int, process: int) -> dict[str, float]:
    """All clients at once; what a reader waits meanwhile, in milliseconds; what became of the uploads."""
    reader = Reader(address, process)
    started = time.perf_counter()
    reader.start()
    with ThreadPoolExecutor(n_clients) as pool:
        studies = list(pool.map(lambda n: Client(address).submit(image, name=f"client {n}"), range(n_clients)))
    uploaded_s = time.perf_counter() - started
    results = [result for study in studies for result in study.wait(timeout_s=3600)]
    done_s = time.perf_counter() - started
    reader.stop()
    waits = np.array(reader.waits_ms)
    return {
        "clients": n_clients,
        "uploads lost": n_clients - sum(result.state == "done" for result in results),
        "all uploaded, s": round(uploaded_s, 2),
        "all analyzed, s": round(done_s, 2),
        "page requests": len(waits),
        "page request p50, ms": round(float(np.percentile(waits, 50)), 1),
        "page request p95, ms": round(float(np.percentile(waits, 95)), 1),
        "page request max, ms": round(float(waits.max()), 1),
        "page requests failed": reader.n_failed,
        "server memory, MB": round(reader.peak_mb),
        "worker memory, MB": round(reader.worker_peak_mb),
    }


class Reader(threading.Thread):
    """One person who looks around while the others upload."""

    def __init__(self, address: str, process: int) -> None:
        super().__init__(daemon=True)
        self.address, self.process = address, psutil.Process(process)
        self.waits_ms: list[float] = []
        self.n_failed = 0
        self.peak_mb = self.worker_peak_mb = 0.0
        self._is_over = threading.Event()

    def run(self) -> None:
        """Ask for one thing after the other, ten a second."""
        paths = ["/", "/api/queue", "/api/studies", "/static/js/viewer.js"]
        while not self._is_over.wait(0.1):
            for path in paths:
                self._ask(path)
            paths = self._with_image(paths)
            self._weigh()

    def stop(self) -> None:
        """Enough."""
        self._is_over.set()
        self.join()

    def _ask(self, path: str) -> bytes:
        started = time.perf_counter()
        try:
            with urllib.request.urlopen(self.address + path, timeout=60) as answer:
                found = answer.read()
        except OSError:
            self.n_failed += 1
            return b"{}"
        self.waits_ms.append(1000 * (time.perf_counter() - started))
        return found

    def _with_image(self, paths: list[str]) -> list[str]:
        """As soon as an image can be seen, its tile and its study are asked for too."""
        if len(paths) > 4:
            return paths
        images = json.loads(self._ask("/api/queue")).get("images", [])
        seen = [image for image in images if image["is_shown"]]
        if not seen:
            return paths
        return [*paths, f"/api/images/{seen[0]['id']}/tiles/0/0/0", f"/api/studies/{seen[0]['study']}"]

    def _weigh(self) -> None:
        with suppress(psutil.Error):
            self.peak_mb = max(self.peak_mb, self.process.memory_info().rss / 1e6)
            for child in self.process.children():
                self.worker_peak_mb = max(self.worker_peak_mb, child.memory_info().rss / 1e6)


def first_load(address: str) -> dict[str, float]:
    """Bytes and time of the first page in a browser that was never there."""
    if not Path(CHROMIUM).is_file():
        return {}
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        page = browser.new_page()
        sizes: list[int] = []
        page.on("requestfinished", lambda request: sizes.append(request.sizes()["responseBodySize"]))
        page.goto(address, wait_until="load")
        page.wait_for_selector("#studies > *")
        loaded_ms = page.evaluate("performance.getEntriesByType('navigation')[0].loadEventEnd")
        browser.close()
    return {"first load, kB": round(sum(sizes) / 1000, 1), "first load, ms": round(loaded_ms)}


def wait_for(address: str) -> None:
    """Until the server answers."""
    for _ in range(600):
        with suppress(urllib.error.URLError, ConnectionError):
            urllib.request.urlopen(address + "/login", timeout=5).close()
            return
        time.sleep(0.1)
    raise SystemExit("the server did not start")


if __name__ == "__main__":
    main()
