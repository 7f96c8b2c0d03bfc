"""An expert's own kinds of cells, organs, regions and options, in a real browser."""

import io

import pandas as pd
import pytest
from PIL import Image as PillowImage

from web_pictures import dark_discs, until
from web_server import Server

PATIENCE_MS = 120_000


@pytest.fixture(scope="module")
def server(tmp_path_factory, tiny_options):
    started = Server(tmp_path_factory.mktemp("store"), *tiny_options)
    yield started
    started.stop()


@pytest.fixture(scope="module")
def results(server, colon, tmp_path_factory) -> list:
    folder = tmp_path_factory.mktemp("images")
    PillowImage.fromarray(dark_discs()).save(folder / "a.png")
    for k in range(1, 4):
        PillowImage.fromarray(colon[90 * k : 90 * k + 80, :80]).save(folder / f"b{k}.png")
    return server.client.submit(sorted(folder.iterdir()), name="words").wait(timeout_s=400)


@pytest.fixture(scope="module")
def image(results) -> str:
    return next(result.id for result in results if result.name == "a.png")


@pytest.fixture(scope="module")
def study(server, image) -> str:
    return server.client.get(f"/api/images/{image}")["image"]["study"]


@pytest.fixture
def page(browser):
    context = browser.new_context(viewport={"width": 1440, "height": 900}, reduced_motion="reduce")
    context.set_default_timeout(PATIENCE_MS)
    opened = context.new_page()
    problems = []
    opened.on("pageerror", lambda error: problems.append(str(error)))
    yield opened
    context.close()
    assert problems == []


def test_cells_are_named_by_clicks_and_the_others_follow(page, server, image):
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


def test_a_missed_cell_is_clicked_and_a_region_is_counted(page, server, image):
    (place,) = by_area(server, image, (-5,))
    table = pd.read_csv(io.BytesIO(server.client.fetch(f"/api/images/{image}/files/cells.csv")))
    cell = table.loc[(table["centroid_x_px"] == place[0]) & (table["centroid_y_px"] == place[1]), "id"].item()
    server.client.post(f"/api/images/{image}/corrections", {"action": "delete_cell", "cells": [cell]})
    page.goto(f"{server.address}/images/{image}?tab=cells")
    page.wait_for_selector(f"#cell-count >> text={len(table) - 1} cells")
    page.keyboard.press("c")
    click(page, *place)
    page.wait_for_selector(f"#cell-count >> text={len(table)} cells")
    page.keyboard.press("r")
    page.once("dialog", lambda dialog: dialog.accept("tumor"))
    corners = [view_of(page, x, y) for x, y in ((20, 20), (230, 20), (230, 230), (20, 230))]
    page.mouse.move(*corners[0])
    page.mouse.down()
    for corner in corners[1:]:
        page.mouse.move(*corner, steps=4)
    page.mouse.up()
    page.wait_for_selector("#regions >> text=tumor")
    (region,) = server.client.get(f"/api/images/{image}/regions")
    assert 0 < region["n_cells"] < len(table)
    assert region["area_px"] == pytest.approx(210 * 210, rel=0.05)
    page.click("#regions button")
    page.wait_for_selector("#regions", state="hidden")


def test_an_image_is_run_again_with_another_pixel_size(page, server, study, image):
    page.goto(f"{server.address}/images/{image}")
    page.click("#run-again")
    page.fill("#again-pixel-size", "0.25")
    page.wait_for_selector("#again-bundle-classification")
    page.click("#again-start")
    page.wait_for_url("**/studies/*")
    page.wait_for_selector(".row >> text=a.png")
    assert study not in page.url
    assert "given: pixel size 0.25" in page.inner_text("#study-facts")
    assert page.locator(".row").count() == 1


def test_images_are_named_in_the_list_and_teach(page, server, study, results):
    page.goto(f"{server.address}/studies/{study}")
    page.wait_for_selector(".row")
    for result, name in zip(results, ("gland", "gland", "stroma", "stroma"), strict=True):
        page.fill(f"#override-{result.id}", name)
        page.keyboard.press("Enter")
        page.wait_for_selector(f"[data-image='{result.id}'] .answer >> text={name}")
    page.click("#teach:enabled")
    page.wait_for_selector("#teaching [role=status]")
    page.click("#stop-teaching")
    page.wait_for_selector("#teaching >> text=stopped")


def by_area(server, image: str, rows: tuple[int, ...]) -> list[tuple[float, float]]:
    table = pd.read_csv(io.BytesIO(server.client.fetch(f"/api/images/{image}/files/cells.csv")))
    inner = table[~table["touches_border"]].sort_values("area_px").iloc[list(rows)]
    return list(zip(inner["centroid_x_px"], inner["centroid_y_px"], strict=True))


def named(server, image: str, kind: str) -> set[int]:
    found = server.client.get(f"/api/images/{image}")["corrections"]["kinds"]
    return {int(cell) for cell, own in found.items() if own == kind}


def click(page, x: float, y: float) -> None:
    """A click on a point of the image."""
    page.mouse.click(*view_of(page, x, y))


def view_of(page, x: float, y: float) -> tuple[float, float]:
    """Where a point of the image lies in the window."""
    box = page.locator("#viewer").bounding_box()
    camera = page.evaluate("document.getElementById('viewer').camera")
    left = (x - camera["x"]) * camera["scale"] + camera["view_width"] / 2
    top = (y - camera["y"]) * camera["scale"] + camera["view_height"] / 2
    return box["x"] + left, box["y"] + top
