"""The dashboard in a real browser, over a store of small runs and a study, as `organscope dashboard` starts it."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import psutil
import pytest

import dashboard_store
from web_server import free_port

CHROMIUM = Path("/usr/bin/chromium")
PATIENCE_MS = 90_000
STOP_S = 30
N_RUNS = 5

pytestmark = [
    pytest.mark.skipif(not CHROMIUM.is_file(), reason="no Chromium at /usr/bin/chromium (apt install chromium)"),
    # MLflow uses what SQLAlchemy 2.1 calls old.
    pytest.mark.filterwarnings("ignore::DeprecationWarning"),
]


class Dashboard:
    """The command in a process of its own."""

    def __init__(self, folder: Path) -> None:
        self.address = f"http://127.0.0.1:{free_port()}/"
        port = self.address.rpartition(":")[2].rstrip("/")
        command = [sys.executable, "-c", "from organscope.cli.main import main; main()", "dashboard", str(folder)]
        environment = {**os.environ, "OMP_NUM_THREADS": "1"}
        self.process = subprocess.Popen(
            [*command, "--port", port, "--no-browser"], env=environment, stderr=subprocess.PIPE, text=True
        )
        self.said = self.process.stderr.readline()

    def family(self) -> list[psutil.Process]:
        """All processes that it started."""
        return psutil.Process(self.process.pid).children(recursive=True)

    def stop(self) -> None:
        """As Ctrl-C."""
        self.process.send_signal(signal.SIGINT)
        self.process.wait(STOP_S)
        self.process.stderr.close()


@pytest.fixture(scope="module")
def dashboard(tmp_path_factory):
    folder = tmp_path_factory.mktemp("tracked") / "runs"
    dashboard_store.write_runs(folder, N_RUNS, epochs=4)
    dashboard_store.write_sweep(folder / "sweep-rates", 6, folder.parent / "base.toml")
    started = Dashboard(folder)
    yield started
    if started.process.poll() is None:
        started.stop()


@pytest.fixture(scope="module")
def browser():
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        opened = playwright.chromium.launch(executable_path=str(CHROMIUM), args=["--no-sandbox"])
        yield opened
        opened.close()


@pytest.fixture
def page(browser, dashboard):
    """A window with the table; whatever goes wrong in a script, or is asked for elsewhere, fails the test."""
    context = browser.new_context(viewport={"width": 1440, "height": 950}, color_scheme="light")
    context.set_default_timeout(PATIENCE_MS)
    opened = context.new_page()
    problems: list[str] = []
    opened.on("pageerror", lambda error: problems.append(str(error)))
    opened.on("console", lambda line: problems.append(line.text) if line.type == "error" else None)
    opened.on("request", lambda asked: None if asked.url.startswith(dashboard.address) else problems.append(asked.url))
    opened.goto(dashboard.address)
    opened.wait_for_selector("#runs tbody tr")
    yield opened
    context.close()
    assert problems == []


def names(page) -> list[str]:
    return page.locator("#runs tbody tr:not(.group) td:nth-child(2)").all_inner_texts()


def test_the_table_is_filtered_sorted_and_grouped(page, dashboard):
    assert dashboard.said.startswith(f"{N_RUNS} runs and 1 sweeps are shown at {dashboard.address}")
    assert len(names(page)) == N_RUNS
    page.fill("#filter", "resnet status:finished")
    assert names(page) == ["resnet18d-004", "resnet34-001", "resnet18d-000"]
    page.fill("#filter", "balanced_accuracy>0.9999")
    assert names(page) == []
    page.fill("#filter", "learning_rate>0 sweep=rates")
    assert names(page) == ["regnety_002-003", "resnet34-001"]
    page.fill("#filter", "")
    page.click("#runs th button:has-text('run')")
    assert names(page) == sorted(names(page))
    page.click("#runs th button:has-text('balanced accuracy')")
    column = page.locator("#runs thead th").all_inner_texts().index("balanced accuracy ↓") + 1
    values = [float(text) for text in page.locator(f"#runs tbody td:nth-child({column})").all_inner_texts()]
    assert values == sorted(values, reverse=True)
    page.select_option("#group", "network")
    groups = page.locator("#runs tr.group th").all_inner_texts()
    assert len(groups) == 4
    assert any(text.startswith("resnet18d 2") for text in groups)


def test_chosen_runs_lie_side_by_side(page):
    page.click("#runs tbody tr:nth-child(1) td:nth-child(2)")
    page.focus("#runs tbody tr:nth-child(1) input")
    page.keyboard.press("ArrowDown")
    page.keyboard.press("Space")
    page.wait_for_selector("#curves .legend span:nth-child(2)")
    assert page.locator("#curves .chart path.line").count() == 4
    rows = page.locator("#settings tbody td:first-child").all_inner_texts()
    assert rows == ["fit.learning_rate", "fit.seed", "network.backbone"]
    assert page.locator("#scores tbody tr").count() == 1
    image = page.locator("#pictures img").first
    image.scroll_into_view_if_needed()
    page.wait_for_selector("#pictures img >> nth=3")
    page.click("#pictures button.picture >> nth=0")
    assert page.locator("dialog img").evaluate("image => image.decode().then(() => image.naturalWidth)") > 200
    page.keyboard.press("Escape")
    page.wait_for_selector("dialog", state="detached")  # the browser tells of the closing in a task of its own
    page.locator("#curves svg >> nth=0").focus()
    page.keyboard.press("ArrowRight")
    assert page.locator("#curves .note >> nth=0").inner_text().startswith("step 1")
    page.reload()
    page.wait_for_selector("#curves .legend span:nth-child(2)")


def test_another_curve_and_another_column(page):
    page.click("#runs tbody tr:nth-child(2) td:nth-child(2)")
    page.wait_for_selector("#curves .charts figure:nth-child(2)")
    page.select_option("#curves select", "learning_rate")
    page.wait_for_selector("#curves .charts figure:nth-child(3)")
    page.click("#columns summary")
    page.check("#column-list label:has-text('fit.learning_rate') input")
    assert page.locator("#runs th button:has-text('fit.learning_rate')").count() == 1
    page.keyboard.press("Escape")
    page.click("#clear")
    assert page.locator("#curves").count() == 0


def test_a_sweep_with_its_figures_in_light_and_dark(page):
    page.focus("#tab-runs")
    page.keyboard.press("ArrowRight")
    page.wait_for_selector(".figures img")
    image = page.locator(".figures img").first
    assert image.evaluate("image => image.decode().then(() => image.naturalWidth)") > 200
    assert "light.svg" in image.get_attribute("src")
    page.click("#theme")
    assert "dark.svg" in image.get_attribute("src")
    assert image.evaluate("image => image.decode().then(() => image.naturalWidth)") > 200
    assert page.locator("#sweep-content tbody tr").count() == 6
    assert "out of memory: <b>64 GiB</b>" in page.locator("#sweep-content tbody").inner_text()
    page.click("button:has-text('Its runs in the table')")
    assert page.input_value("#filter") == "sweep=rates"
    assert len(names(page)) == 2


def test_the_pages_of_the_trackers_are_linked_and_end_with_it(page, dashboard):
    page.wait_for_selector("#companions a:has-text('optuna-dashboard')")
    page.wait_for_selector("#companions a:has-text('MLflow')", timeout=3 * PATIENCE_MS)
    links = {link.inner_text(): link.get_attribute("href") for link in page.locator("#companions a").all()}
    assert all(address.startswith("http://127.0.0.1:") for address in links.values())
    page.click("#runs tbody tr:nth-child(1) td:nth-child(2)")
    page.wait_for_selector("#in-mlflow a")
    assert page.get_attribute("#in-mlflow a", "href").startswith(links["MLflow ↗"] + "#/experiments/")
    family = dashboard.family()
    assert len(family) >= 4
    # The page asks for news while its server ends.
    page.goto("about:blank")
    dashboard.stop()
    end = time.monotonic() + STOP_S
    while any(process.is_running() and process.status() != psutil.STATUS_ZOMBIE for process in family):
        assert time.monotonic() < end, family
        time.sleep(0.1)
