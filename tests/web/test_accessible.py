"""Everybody can use the page: axe on every page and theme, every window, names, contrast; and numbers that agree."""

import pytest
from PIL import Image as PillowImage

from web_pictures import until
from web_server import Server

PATIENCE_MS = 60_000
RULES = ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa", "best-practice"]
#: Widths of a screen, a small one, a phone, and a window of 1,280 px at 200 % and at 400 %.
WIDTHS = [1440, 1024, 640, 390, 320]


@pytest.fixture(scope="module")
def server(tmp_path_factory, tiny_options):
    started = Server(tmp_path_factory.mktemp("store"), *tiny_options)
    yield started
    started.stop()


@pytest.fixture(scope="module")
def paths(server, colon, tmp_path_factory) -> dict[str, str]:
    """The address of every kind of page."""
    folder = tmp_path_factory.mktemp("images")
    PillowImage.fromarray(colon[:160, :200]).save(folder / "a.png")
    PillowImage.fromarray(colon[200:360, 200:400]).save(folder / "b.png")
    study = server.client.submit([folder / "a.png", folder / "b.png"], name="two")
    image = study.wait(timeout_s=200)[0].id
    return {
        "home": "/", "study": f"/studies/{study.id}", "verdict": f"/images/{image}",
        "cells": f"/images/{image}?tab=cells&cell=1", "kinds": f"/images/{image}?tab=kinds",
        "take": f"/images/{image}?tab=take", "login": "/login",
        "docs": "/docs", "missing": "/nowhere",
    }  # fmt: skip


@pytest.fixture(scope="module")
def page(browser):
    context = browser.new_context(viewport={"width": 1440, "height": 900}, reduced_motion="reduce")
    context.set_default_timeout(PATIENCE_MS)
    opened = context.new_page()
    yield opened
    context.close()


def show(page, server, paths, name: str) -> None:
    page.goto(server.address + paths[name])
    page.wait_for_selector(
        {"home": ".card", "study": ".row", "verdict": "#verdict", "cells": ".grid-row", "kinds": "#save-kinds"}.get(
            name, "h1"
        )
    )


@pytest.mark.parametrize("theme", ["light", "dark"])
def test_axe_finds_nothing_on_any_page(page, server, paths, theme):
    axe = pytest.importorskip("axe_playwright_python.sync_playwright", reason="needs the extra dev")
    found = []
    for name in paths:
        show(page, server, paths, name)
        page.evaluate("theme => { document.documentElement.dataset.theme = theme; }", theme)
        problems = axe.Axe().run(page, options={"runOnly": RULES}).response["violations"]
        found += [(name, one["id"], one["nodes"][0]["html"]) for one in problems]
        assert page.locator("h1").count() == 1, name
        assert page.locator('[aria-hidden=""]').count() == 0, name
    assert found == []


@pytest.mark.parametrize("width", WIDTHS)
def test_nothing_is_covered_or_wider_than_the_window(page, server, paths, width):
    page.set_viewport_size({"width": width, "height": 800})
    for name in ("home", "study", "verdict", "cells", "kinds", "take"):
        show(page, server, paths, name)
        page.wait_for_timeout(100)
        assert page.evaluate("document.documentElement.scrollWidth") <= width, name
        assert page.evaluate(COVERED) == [], name
    page.set_viewport_size({"width": 1440, "height": 900})


@pytest.mark.parametrize("theme", ["light", "dark"])
def test_both_themes_can_be_read(page, server, paths, theme):
    """Text against its ground has a contrast of 4.5 or more, the edge of a field 3 (WCAG 2.2, AA)."""
    show(page, server, paths, "home")
    page.evaluate("theme => { document.documentElement.dataset.theme = theme; }", theme)
    assert page.evaluate(CONTRASTS) == []


def test_every_link_has_a_name(page, server, paths):
    for name in ("home", "study", "verdict"):
        show(page, server, paths, name)
        names = page.locator("a:visible").evaluate_all(
            "links => links.map((a) => a.ariaLabel || a.innerText || a.title)"
        )
        assert all(names), name


def test_a_filter_is_said_beside_the_image_and_the_legend_counts_what_is_shown(page, server, paths):
    show(page, server, paths, "cells")
    n_cells = int(page.inner_text("#cell-count").split()[0])
    page.select_option("#colour", "probability")
    page.fill("#filter-probability_low", "0.9")
    until(lambda: page.inner_text("#cell-count").find("shown") > 0)
    n_shown = int(page.inner_text("#cell-count").split()[0])
    page.click("#tab-verdict")
    assert page.inner_text("#filtered") == f"{n_shown} of {n_cells} cells shown: show all"
    page.click("#filtered")
    assert not page.is_visible("#filtered")


def test_a_long_number_at_an_axis_is_whole(page, server, paths):
    """12,885 was cut to 2,885: what is drawn begins inside the canvas."""
    show(page, server, paths, "cells")
    left = page.evaluate(
        """async () => {
          const { drawHistogram } = await import('/static/js/plots.js');
          const canvas = document.getElementById('histogram');
          const n = 1234567;
          const column = { values: new Float32Array(n), range: () => [0, 1] };
          drawHistogram(canvas, { n, isThere: () => true }, column);
          const { data, width } = canvas.getContext('2d').getImageData(0, 0, canvas.width, 20);
          for (let x = 0; x < width; x++) for (let y = 0; y < 20; y++) if (data[4 * (y * width + x) + 3]) return x;
        }"""
    )
    assert left >= 2


def test_an_image_is_reviewed_or_to_be_looked_at(page, server, paths):
    show(page, server, paths, "study")
    row = server.client.get(f"/api{paths['study']}")["rows"][0]
    image = row["image"]["id"]
    server.client.post(f"/api/images/{image}/corrections", {"action": "delete_cell", "cells": [1]})
    show(page, server, paths, "study")
    counts = {name: int(page.inner_text(f"#choice-show-{name} .n")) for name in ("open", "reviewed")}
    assert counts["reviewed"] == 0, "one cell that was called none is no review"
    server.client.post(f"/api/images/{image}/corrections", {"action": "not_tissue"})
    show(page, server, paths, "study")
    assert int(page.inner_text("#choice-show-reviewed .n")) == 1
    assert int(page.inner_text("#choice-show-open .n")) == counts["open"] - (row["verdict"]["decision"] != "accept")


COVERED = """() => [...document.querySelectorAll('button, a, input, select, summary, canvas')].filter((e) => {
  if (!e.checkVisibility({ visibilityProperty: true }) || e.closest('.grid, .skip, .toast')) return false;
  e.scrollIntoView({ block: 'center', inline: 'center' });
  const box = e.getBoundingClientRect();
  if (box.width < 2) return false;
  // The middle and, of what is no canvas, both ends.
  const places = e.tagName === 'CANVAS' ? [0.5] : [0.1, 0.5, 0.9];
  return places.some((share) => {
    const there = document.elementFromPoint(box.left + share * box.width, box.top + box.height / 2);
    return !there || !(e.contains(there) || there.contains(e) || there.closest('label')?.contains(e));
  });
}).map((e) => e.id || e.outerHTML.slice(0, 80))"""

CONTRASTS = """() => {
  const style = getComputedStyle(document.documentElement);
  const value = (name) => style.getPropertyValue(name).trim().replace(/^#(.)(.)(.)$/, '#$1$1$2$2$3$3');
  const light = (hex) => {
    const c = [1, 3, 5].map((k) => parseInt(hex.slice(k, k + 2), 16) / 255);
    const l = c.map((v) => (v <= 0.04045 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4));
    return 0.2126 * l[0] + 0.7152 * l[1] + 0.0722 * l[2];
  };
  const pairs = [['--ink', '--ground'], ['--faint', '--ground'], ['--faint', '--surface'], ['--accent', '--surface'],
    ['--doubt', '--surface'], ['--doubt', '--doubt-soft'], ['--good', '--good-soft'], ['--on-accent', '--accent'],
    ['--accent', '--accent-soft'], ['--faint', '--hover']];
  // The edge of a field against its ground and its inside (WCAG 2.2, 1.4.11).
  const edges = ['--ground', '--surface', '--raised'].map((ground) => ['--edge', ground]);
  return [...pairs, ...edges].map((pair) => {
    const [a, b] = pair.map((name) => light(value(name))).sort((x, y) => y - x);
    return [...pair, (a + 0.05) / (b + 0.05)];
  }).filter((entry) => entry[2] < (entry[0] === '--edge' ? 3 : 4.5));
}"""
