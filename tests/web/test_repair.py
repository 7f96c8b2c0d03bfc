"""An expert puts cells right in a real browser: draw, reshape, split, merge, undo; a server that goes away."""

import io

import numpy as np
import pandas as pd
import pytest
import tifffile
from PIL import Image as PillowImage

from web_pictures import until
from web_server import Server

PATIENCE_MS = 60_000


@pytest.fixture(scope="module")
def server(tmp_path_factory):
    started = Server(tmp_path_factory.mktemp("store"))
    yield started
    started.stop()


@pytest.fixture(scope="module")
def image(server, tmp_path_factory, colon) -> str:
    """The id of a finished image; another one comes after it."""
    folder = tmp_path_factory.mktemp("images")
    PillowImage.fromarray(colon).save(folder / "a.png")
    PillowImage.fromarray(colon[256:, 256:]).save(folder / "b.png")
    results = server.client.submit([folder / "a.png", folder / "b.png"]).wait(timeout_s=200)
    return next(result.id for result in results if result.name == "a.png")


@pytest.fixture
def page(browser, server, image):
    context = browser.new_context(viewport={"width": 1440, "height": 900})
    context.set_default_timeout(PATIENCE_MS)
    opened = context.new_page()
    problems = []
    opened.on("pageerror", lambda error: problems.append(str(error)))
    opened.goto(f"{server.address}/images/{image}?tab=cells")
    opened.wait_for_selector(".grid-row")
    yield opened
    context.close()
    assert problems == []


def now(server, image: str) -> dict:
    return server.client.get(f"/api/images/{image}")


def n_cells(page) -> int:
    return int(page.inner_text("#cell-count").split()[0].replace(",", ""))


def stroke(page, points: list[tuple[float, float]]) -> None:
    """Draw through points of the image."""
    box = page.locator("#viewer").bounding_box()
    camera = page.evaluate("document.getElementById('viewer').camera")
    view = [
        (
            box["x"] + (x - camera["x"]) * camera["scale"] + camera["view_width"] / 2,
            box["y"] + (y - camera["y"]) * camera["scale"] + camera["view_height"] / 2,
        )
        for x, y in points
    ]
    page.mouse.move(*view[0])
    page.mouse.down()
    for point in view[1:]:
        page.mouse.move(*point, steps=4)
    page.mouse.up()


def free_square(server, image: str, side: int) -> list[tuple[float, float]]:
    labels = tifffile.imread(io.BytesIO(server.client.fetch(f"/api/images/{image}/files/labels.ome.tif")))
    free = np.lib.stride_tricks.sliding_window_view(labels[40:200, 40:200] == 0, (side, side)).all(axis=(2, 3))
    y, x = (int(v) + 42 for v in np.argwhere(free)[0])
    return [(x, y), (x + side - 4, y), (x + side - 4, y + side - 4), (x, y + side - 4)]


def largest_cell(server, image: str) -> tuple[int, float, float, float]:
    table = pd.read_csv(io.BytesIO(server.client.fetch(f"/api/images/{image}/files/cells.csv")))
    inner = table[~table["touches_border"] & (table["centroid_y_px"] > 60)]
    cell = inner.loc[inner["area_px"].idxmax()]
    return int(cell["id"]), cell["centroid_x_px"], cell["centroid_y_px"], cell["area_px"] ** 0.5


def test_a_missed_cell_is_drawn_undone_and_done_again_over_a_reload(page, server, image):
    before = n_cells(page)
    page.keyboard.press("d")
    assert page.get_attribute("#tool-draw", "aria-pressed") == "true"
    stroke(page, free_square(server, image, 16))
    page.wait_for_selector(f"#cell-count >> text={before + 1} cells")
    assert now(server, image)["findings"]["n_added"] == 1
    page.keyboard.press("Control+z")
    until(lambda: n_cells(page) == before)
    page.reload()
    page.wait_for_selector(".grid-row")
    page.keyboard.press("Control+Shift+Z")
    page.wait_for_selector(f"#cell-count >> text={before + 1} cells")
    page.click("#tab-verdict")
    page.wait_for_selector(f"#about >> text={before + 1} ({before} found, then corrected)")
    page.click("#undo")
    page.wait_for_selector("#undo[disabled]")
    assert now(server, image)["findings"]["n_cells"] == before


def test_cells_are_split_merged_grown_and_erased(page, server, image):
    cell, x, y, side = largest_cell(server, image)
    before = n_cells(page)
    page.click("#tool-split")
    stroke(page, [(x - side, y), (x + side, y)])
    until(lambda: n_cells(page) > before)
    page.click("#tool-merge")
    stroke(page, [(x, y - side / 2), (x, y + side / 2)])
    page.wait_for_selector(".toast >> text=Noted: one cell.")
    area = measured(server, image, cell)
    page.click("#tool-add")
    stroke(page, [(x, y), (x - side, y)])
    page.wait_for_selector(".toast >> text=Noted: larger.")
    grown = measured(server, image, cell)
    assert grown > area
    page.click("#tool-erase")
    stroke(page, [(x, y), (x - side, y)])
    page.wait_for_selector(".toast >> text=Noted: smaller.")
    assert measured(server, image, cell) < grown
    page.keyboard.press("Escape")
    for _ in range(4):
        page.keyboard.press("Control+z")
    page.wait_for_selector("#undo[disabled]")
    assert now(server, image)["corrections"]["edited"] == []


def measured(server, image: str, cell: int) -> float:
    edited = now(server, image)["corrections"]["edited"]
    return next(one["measures"]["area_px"] for one in edited if one["id"] == cell)


def test_a_bulk_deletion_is_one_undo(page, server, image):
    before = n_cells(page)
    page.fill("#filter-area_low", "1")
    page.fill("#filter-area_high", "30")
    page.wait_for_selector("#none-of-these:visible")
    page.once("dialog", lambda dialog: dialog.accept())
    page.click("#none-of-these")
    page.wait_for_selector(".toast >> text=no cell")
    assert now(server, image)["findings"]["n_deleted"] > 1
    page.click("#undo")
    page.wait_for_selector("#undo[disabled]")
    page.click("text=Show all cells")
    assert n_cells(page) == before == now(server, image)["findings"]["n_cells"]


def test_the_truth_is_said_in_words_and_the_next_image_opens(page, server, image):
    page.click("#tab-verdict")
    page.wait_for_selector("#not-tissue")
    page.uncheck("#open-next")
    page.fill("#note", "seen at 40x")
    page.keyboard.press("Tab")
    until(lambda: now(server, image)["corrections"]["note"] == "seen at 40x")
    page.select_option("#override", "other")
    page.fill("#other-organ", "adrenal cortex")
    page.keyboard.press("Enter")
    page.wait_for_selector("#verdict >> text=adrenal cortex")
    assert "The model says" in page.inner_text("#said-by")
    said = now(server, image)["corrections"]
    assert (said["organ"], said["note"], said["is_reviewed"]) == ("adrenal cortex", "seen at 40x", True)
    page.keyboard.press("Control+z")
    page.wait_for_selector("#not-tissue")
    page.check("#open-next")
    page.click("#not-tissue")
    page.wait_for_url(lambda url: image not in url)
    study = now(server, image)["image"]["study"]
    page.goto(f"{server.address}/studies/{study}")
    page.wait_for_selector(".row .answer >> text=Not tissue")
    page.click("#choice-show-reviewed")
    assert page.locator(".row").count() == 1


def test_no_correction_is_lost_while_the_server_is_away(page, server, image):
    before = now(server, image)["findings"]["n_deleted"]
    page.click(".grid-row >> nth=0")
    page.context.set_offline(True)
    page.click("[data-action=delete_cell]")
    page.wait_for_selector(".away >> text=The server does not answer")
    assert "Failed to fetch" not in page.inner_text("body")
    page.context.set_offline(False)
    page.wait_for_selector("#cell-card >> text=deleted")
    page.wait_for_selector(".away", state="detached")
    assert now(server, image)["findings"]["n_deleted"] == before + 1
