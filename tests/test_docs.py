"""The documentation is held by tests: Python blocks run, links lead somewhere, figures are those of the model cards."""

import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image as PillowImage

import organscope
from organscope.io import write_labels
from tiny_set import TinySet

ROOT = Path(__file__).resolve().parents[1]
NOT_RUN = "# Not run with these pages"
GENERATED = ["reference/cli.md", "reference/configuration.md", "reference/manifest.md", "changes.md"]
PAGES = ["README.md", *sorted(path.relative_to(ROOT).as_posix() for path in (ROOT / "docs").rglob("*.md"))]


def python_blocks(page: str) -> list[str]:
    return re.findall(r"^```python\n(.*?)^```", (ROOT / page).read_text(encoding="utf-8"), re.MULTILINE | re.DOTALL)


@pytest.fixture
def bench_folder(tmp_path, colon, monkeypatch) -> Path:
    """The files that the pages name."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "images").mkdir()
    PillowImage.fromarray(colon).save("section.png")
    PillowImage.fromarray(colon[:256, :256]).save("images/one.png")
    (tmp_path / "indexes").mkdir()
    made = TinySet(tmp_path / "indexes")
    labels = np.zeros((256, 256), np.int32)
    labels[20:60, 20:60], labels[100:140, 100:150] = 1, 2
    made.add("colon", colon[:256, :256], labels, organ="colon")
    made.index().folder.rename(tmp_path / "indexes" / "mine")
    write_labels(tmp_path / "indexes" / "mine-labels.tif", labels)
    return tmp_path


@pytest.mark.parametrize("page", [page for page in PAGES if python_blocks(page)])
def test_python_blocks_of_a_page_run(page, bench_folder):
    names: dict[str, object] = {}
    for block in python_blocks(page):
        code = compile(block, page, "exec")
        if NOT_RUN not in block:
            exec(code, names)
    if page == "README.md":
        assert (bench_folder / "results" / "report.html").is_file()


@pytest.mark.parametrize("page", PAGES)
def test_names_on_a_page_are_offered(page):
    named = set(re.findall(r"\bosc\.(\w+)", (ROOT / page).read_text(encoding="utf-8")))
    assert named <= set(organscope.__all__)


def test_every_name_that_is_offered_is_explained():
    explained = (ROOT / "docs" / "api.md").read_text(encoding="utf-8")
    assert [name for name in organscope.__all__ if f"`{name}`" not in explained] == []


@pytest.mark.parametrize("page", [*PAGES, "CONTRIBUTING.md", "SECURITY.md", "CHANGELOG.md"])
def test_links_of_a_page_lead_to_files(page):
    links = re.findall(r"\]\(([^)\s]+)\)", (ROOT / page).read_text(encoding="utf-8"))
    paths = {link.partition("#")[0] for link in links if not link.startswith(("http", "mailto:", "#"))}
    generated = {ROOT / "docs" / name for name in GENERATED}
    places = {path: (ROOT / page).parent / path for path in paths}
    assert [path for path, place in places.items() if not place.exists() and place.resolve() not in generated] == []


@pytest.mark.parametrize("page", ["README.md", "docs/benchmarks.md"])
def test_figures_with_intervals_are_those_of_the_model_cards(page):
    scores = [organscope.load_model(name).scores for name in organscope.list_models()["name"]]
    known = {
        tuple(f"{number:.3f}".removeprefix("0") for number in (row.value, row.low, row.high))
        for table in scores
        for row in table.itertuples()
    }
    text = (ROOT / page).read_text(encoding="utf-8")
    written = set(re.findall(r"(\.\d{3}) (?:\||\()\s?(\.\d{3}) to (\.\d{3})", text))
    assert written
    assert written - known == set()


def test_the_site_builds_without_a_warning(tmp_path):
    pytest.importorskip("mkdocs", reason="the extra [docs] is not installed")
    command = [sys.executable, "-m", "mkdocs", "build", "--strict", "--quiet", "--site-dir", str(tmp_path / "site")]
    built = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
    assert built.returncode == 0, built.stderr
    for name in ("index.html", *(Path(page).with_suffix(".html") for page in GENERATED)):
        page = (tmp_path / "site" / name).read_text(encoding="utf-8")
        assert not re.search(r"<(?:script|link|img)[^>]+(?:src|href)=.?https?://", page), "loads from elsewhere"
