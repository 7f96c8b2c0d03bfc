"""Is an image with very many cells still smooth: the page with 100,000 made-up cells, in the system's Chromium.

    python bench/web_cells.py --cells 100000 --json bench-web-cells.json

The cells lie on a grid in an empty image and go through the files that an analysis writes for the page. Measured are
the time until the cells can be seen, the time of sorting the table by a column for the first time and of scrolling it,
of a filter, and of a frame of the image with all cells as dots and with outlines. Headless Chromium draws without a
graphics card, so that frames take longer here than on a desk.
"""

import argparse
import json
import threading
import time
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import pandas as pd
import tifffile
import uvicorn

from organscope.io import open_image
from organscope.models import Bundle, load_bundle
from organscope.pipeline.models import Models
from organscope.pipeline.plan import POLICY
from organscope.pipeline.results import write_policy
from organscope.server.analysis import COLUMNS, OUTLINES
from organscope.server.app import create_app
from organscope.server.results import write_columns, write_outlines
from organscope.server.settings import Settings
from organscope.server.store import NewImage, add_images, add_study, keep_summary, keep_view
from organscope.server.tiles import write_pyramid

CHROMIUM = "/usr/bin/chromium"
SPACING_PX = 28
ORGANS = ("kidney", "liver", "spleen")
PORT = 8799


def main() -> None:
    """Make the cells, serve them, measure in the browser."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--cells", type=int, default=100_000)
    parser.add_argument("--json", type=Path)
    arguments = parser.parse_args()
    with TemporaryDirectory(prefix="organscope-") as folder:
        app = create_app(Settings(Path(folder), analyse=False, port=PORT))
        image = fill(app.state.parts, Path(folder), arguments.cells)
        figures = {"cells": arguments.cells, **in_browser(app, image)}
    print("| figure | value |\n|---|---|")
    for name, value in figures.items():
        print(f"| {name} | {value} |")
    if arguments.json:
        arguments.json.write_text(json.dumps(figures, indent=2) + "\n")


def fill(parts, folder: Path, n_cells: int) -> str:
    """A finished image with cells on a grid; its id."""
    n_across = int(np.ceil(np.sqrt(n_cells)))
    side = n_across * SPACING_PX
    path = folder / "empty.tif"
    tifffile.imwrite(path, np.zeros((side, side), np.uint8), tile=(256, 256), compression="zlib")
    study = add_study(parts.database, "local", "many cells", None, None)
    add_images(parts.database, study, [NewImage("many", "many.tif", path, False, 1, side, side, None)], parts.settings)
    parts.database.read().execute("UPDATE jobs SET state = 'done', seconds = 1.0, ended = 1.0")
    out = parts.settings.result_folder("many")
    out.mkdir(parents=True)
    with open_image(path) as image:
        write_pyramid(out / "tiles", image, (0.0, 255.0))
    table, rings = cells_on_a_grid(n_cells, n_across)
    write_columns(out / COLUMNS, table, n_cells)
    write_outlines(out / OUTLINES, rings, table, side, side)
    keep_view(
        parts.database, "many", {"pyramid": str(out / "tiles"), "shown": [0, 255], "channel": None, "quality": []}
    )
    organs = load_bundle("organs")
    write_policy(out / POLICY, Models(organs=organs))
    keep_summary(parts.database, "many", {"n_cells": n_cells, **unsure_answer(organs)})
    return "many"


def cells_on_a_grid(n_cells: int, n_across: int) -> tuple[pd.DataFrame, list[np.ndarray]]:
    """A table of cells and an outline of 24 corners each."""
    random = np.random.default_rng(0)
    places = np.stack(np.divmod(np.arange(n_cells), n_across)[::-1], axis=1) * SPACING_PX + SPACING_PX / 2
    radius = random.uniform(5, 12, n_cells)
    angle = np.linspace(0, 2 * np.pi, 24, endpoint=False)
    ring = np.stack([np.cos(angle), np.sin(angle)], axis=1)
    rings = [np.rint(place + r * ring).astype(int) for place, r in zip(places, radius, strict=True)]
    area = np.pi * radius**2
    table = pd.DataFrame(
        {"id": np.arange(1, n_cells + 1), "centroid_y_px": places[:, 1], "centroid_x_px": places[:, 0]}
    )
    shares = {name: random.random(n_cells) for name in ("eccentricity", "solidity", "probability")}
    return table.assign(area_px=area, **shares, organ=random.choice(ORGANS, n_cells)), rings


def unsure_answer(organs: Bundle) -> dict:
    """What else a summary holds, as if every organ were as probable as any other."""
    names = ("um_per_px", "cells_organ", "cells_confidence", "agreement", "median_area_px", "median_area_um2")
    shares = dict.fromkeys(organs.manifest.classes, 1 / len(organs.manifest.classes))
    answer = {"probabilities": shares, "distance": 0.0, "doubt": "", "policy": organs.sha256, "bundles": []}
    return dict.fromkeys(names) | answer


def in_browser(app, image: str) -> dict[str, float]:
    """The times, from a server in a thread of this process."""
    from playwright.sync_api import sync_playwright

    server = uvicorn.Server(uvicorn.Config(app, port=PORT, log_level="error"))
    threading.Thread(target=server.run, daemon=True).start()
    while not server.started:
        time.sleep(0.05)
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        page = browser.new_page(viewport={"width": 1360, "height": 850})
        started = time.perf_counter()
        page.goto(f"http://127.0.0.1:{PORT}/images/{image}?tab=cells")
        page.wait_for_selector(".grid-row")
        seen_ms = 1000 * (time.perf_counter() - started)
        figures = {"until cells are seen, ms": round(seen_ms), **page.evaluate(TIMES)}
        browser.close()
    server.should_exit = True
    return {name: round(value, 1) for name, value in figures.items()}


TIMES = """async () => {
  const byId = (id) => document.getElementById(id);
  const toEnd = () => {
    scroll.scrollTop = scroll.scrollHeight;
    scroll.dispatchEvent(new Event('scroll'));
  };
  const filter = () => {
    byId('filter-probability_low').value = 0.5;
    byId('filter-probability_low').dispatchEvent(new Event('input'));
  };
  const timed = (action) => { const start = performance.now(); action(); return performance.now() - start; };
  const head = (name) => document.querySelector(`.grid-head [data-column=${name}]`).click();
  const scroll = document.querySelector('.grid-scroll');
  const { decodeCells } = await import('/static/js/cells_data.js');
  const { OutlineLayer } = await import('/static/js/outline_layer.js');
  const { Camera } = await import('/static/js/camera.js');
  const { coloring } = await import('/static/js/colours.js');
  const cells = decodeCells(await (await fetch('/api/images/many/cells')).arrayBuffer());
  const canvas = Object.assign(document.createElement('canvas'), { width: 930, height: 800 });
  const context = canvas.getContext('2d');
  // Reading a pixel back waits until everything is drawn.
  const frame = () => { layer.draw(context, camera, 1); context.getImageData(0, 0, 1, 1); };
  const side = Math.sqrt(cells.n) * 28;
  const camera = new Camera(side, side);
  camera.resize(930, 800);
  camera.fit();
  const layer = new OutlineLayer('many', () => {});
  layer.setCells(cells);
  layer.setColours(colouring(cells, 'organ'));
  const figures = {
    'table sorted for the first time, ms': timed(() => head('eccentricity')),
    'table sorted again, ms': timed(() => head('eccentricity')),
    'table scrolled to its end, ms': timed(toEnd),
    'filter, ms': timed(filter),
    'frame of all cells as dots, ms': timed(frame),
    'cell found under the mouse, ms': timed(() => layer.cellAt(side / 2, side / 2, 0)),
  };
  camera.goTo(side / 2, side / 2, 0.6);
  frame();
  await new Promise((done) => setTimeout(done, 1500));
  frame();
  figures['frame of outlines, ms'] = timed(frame);
  const blocks = [...layer.blocks.values()];
  figures['outlines in that frame'] = blocks.reduce((sum, block) => sum + (block.rows?.length ?? 0), 0);
  return figures;
}"""


if __name__ == "__main__":
    main()
