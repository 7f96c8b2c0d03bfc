"""How long the dashboard takes to show its first view, by the number of tracked runs.

    python bench/dashboard.py [--runs 200] [--epochs 30] [--rounds 5] [--quick]

Runs are written through the tracker into a store of their own, as trainings of 36 settings leave them. Then, in rounds:
a fresh server that has read nothing but what it reads at its start, a fresh browser, and the seconds from the request
for the page until the table is painted. Also: the seconds from the command to the address, the bytes of the first view,
and the seconds until the curves of eight chosen runs are drawn. Needs Chromium at /usr/bin/chromium.
"""

import argparse
import os
import signal
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from playwright.sync_api import Browser, sync_playwright

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT / "tests"))
CHROMIUM = "/usr/bin/chromium"
CHOSEN = 8


def main() -> None:
    """Print one row."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--runs", type=int, default=200)
    parser.add_argument("--epochs", type=int, default=30)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--quick", action="store_true", help="12 runs of 4 epochs, one round")
    options = parser.parse_args()
    if options.quick:
        options.runs, options.epochs, options.rounds = 12, 4, 1
    with tempfile.TemporaryDirectory() as folder, sync_playwright() as playwright:
        runs = Path(folder) / "runs"
        write_store(runs, options.runs, options.epochs)
        rounds = []
        for _ in range(options.rounds):
            # A browser that has kept nothing.
            browser = playwright.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
            rounds.append(measure(runs, browser, options.runs))
            browser.close()
    print("| runs | command to address (s) | first view (s) | first view, KB | curves of 8 runs (s) |")
    print("| --- | --- | --- | --- | --- |")
    cells = [f"{statistics.median(column):.2f} ({max(column):.2f} at most)" for column in zip(*rounds, strict=True)]
    print(f"| {options.runs} | " + " | ".join(cells) + " |")


def write_store(runs: Path, n_runs: int, epochs: int) -> None:
    """Runs and a sweep, as the tests make them."""
    import dashboard_store

    dashboard_store.write_runs(runs, n_runs, epochs=epochs)
    dashboard_store.write_sweep(runs / "sweep-rates", 20, runs.parent / "base.toml")


def measure(runs: Path, browser: Browser, n_runs: int) -> tuple[float, float, float, float]:
    """Seconds to the address, to the first view, its kilobytes, seconds to the curves."""
    command = [sys.executable, "-c", "from organscope.cli.main import main; main()", "dashboard", str(runs)]
    started = time.perf_counter()
    server = subprocess.Popen(
        [*command, "--port", "0", "--no-browser"], stderr=subprocess.PIPE, text=True, env=os.environ
    )
    try:
        address = next(word for word in server.stderr.readline().split() if word.startswith("http"))
        to_address = time.perf_counter() - started
        page = browser.new_page(viewport={"width": 1440, "height": 900})
        finished = []
        page.on("requestfinished", lambda request: finished.append(request))
        started = time.perf_counter()
        page.goto(address)
        page.wait_for_selector(f"#runs tbody tr:nth-child({n_runs})")
        to_view = time.perf_counter() - started
        kilobytes = sum(request.sizes()["responseBodySize"] for request in list(finished)) / 1000
        boxes = page.locator("#runs tbody input")
        for place in range(min(CHOSEN, n_runs) - 1):
            boxes.nth(place).check()
        started = time.perf_counter()
        boxes.nth(min(CHOSEN, n_runs) - 1).check()
        page.wait_for_selector(f"#curves .legend span:nth-child({min(CHOSEN, n_runs)})")
        return to_address, to_view, kilobytes, time.perf_counter() - started
    finally:
        server.send_signal(signal.SIGINT)
        server.wait(60)


if __name__ == "__main__":
    main()
