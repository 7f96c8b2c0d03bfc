"""Own kinds of cells by clicking, in a real browser."""

import io

import pandas as pd
import pytest
from PIL import Image as PillowImage

from web_pictures import until
from web_server import Server

PATIENCE_MS = 120_000


@pytest.fixture(scope="module")
def server(tmp_path_factory, tiny_options):
    started = Server(tmp_path_factory.mktemp("store"), *tiny_options)
    yield started
    started.stop()


@pytest.fixture(scope="module")
def image(server, colon, tmp_path_factory) -> str:
    path = tmp_path_factory.mktemp("images") / "a.png"
    PillowImage.fromarray(colon[:256, :256]).save(path)
    return server.client.submit(path).wait(timeout_s=400)[0].id


def test_cells_are_named_by_clicks_and_the_others_follow(browser, server, image):
    context = browser.new_context(viewport={"width": 1440, "height": 900})
    context.set_default_timeout(PATIENCE_MS)
    page = context.new_page()
    problems = []
    page.on("pageerror", lambda error: problems.append(str(error)))
    page.goto(f"{server.address}/images/{image}?tab=kinds")
    page.wait_for_selector("#kind-name")
    until(lambda: page.evaluate("document.querySelector('#colour').options.length") > 1)
    for kind, rows in (("large", (-1, -2, -3)), ("small", (0, 1, 2))):
        page.fill("#kind-name", kind)
        page.click("#add-kind")
        for x, y in by_area(server, image, rows):
            click(page, x, y)
        page.wait_for_selector(f"[data-kind={kind}] >> text=3 named here")
    page.wait_for_selector("#kind-asked button")
    assert page.input_value("#colour") == "kind"
    counts = [text.split(", ")[1] for text in page.locator("#kinds .n").all_inner_texts()]
    assert all(int(text.split()[0]) >= 3 for text in counts)
    assert sum(int(text.split()[0]) for text in counts) > 6, "cells that nobody named follow"
    page.keyboard.press("Escape")
    page.click("#kind-asked button >> nth=0")
    cell = int(page.inner_text("#cell-card strong").split()[1])
    page.keyboard.press("1")
    until(lambda: cell in named(server, image, "large"))
    page.keyboard.press("Control+z")
    until(lambda: cell not in named(server, image, "large"))
    page.click("#tab-cells")
    page.wait_for_selector("[data-column=kind]")
    context.close()
    assert problems == []


def by_area(server, image: str, rows: tuple[int, ...]) -> list[tuple[float, float]]:
    table = pd.read_csv(io.BytesIO(server.client.fetch(f"/api/images/{image}/files/cells.csv")))
    inner = table[~table["touches_border"]].sort_values("area_px").iloc[list(rows)]
    return list(zip(inner["centroid_x_px"], inner["centroid_y_px"], strict=True))


def named(server, image: str, kind: str) -> set[int]:
    found = server.client.get(f"/api/images/{image}")["corrections"]["kinds"]
    return {int(cell) for cell, own in found.items() if own == kind}


def click(page, x: float, y: float) -> None:
    """A click on a point of the image."""
    box = page.locator("#viewer").bounding_box()
    camera = page.evaluate("document.getElementById('viewer').camera")
    left = (x - camera["x"]) * camera["scale"] + camera["view_width"] / 2
    top = (y - camera["y"]) * camera["scale"] + camera["view_height"] / 2
    page.mouse.click(box["x"] + left, box["y"] + top)
