"""The Python blocks of README and pages are run, in order, on a small real image."""

import re
from pathlib import Path

import numpy as np
import pytest
from PIL import Image as PillowImage

import organscope
from organscope.io import write_labels
from tiny_set import TinySet

ROOT = Path(__file__).resolve().parents[1]
NOT_RUN = "# Not run with these pages"


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


@pytest.mark.parametrize("page", ["README.md", "docs/api.md"])
def test_python_blocks_of_a_page_run(page, bench_folder):
    blocks = python_blocks(page)
    assert blocks
    names: dict[str, object] = {}
    for block in blocks:
        code = compile(block, page, "exec")
        if NOT_RUN not in block:
            exec(code, names)
    assert (bench_folder / "results" / "report.html").is_file()


@pytest.mark.parametrize("page", ["README.md", "docs/api.md"])
def test_names_on_a_page_are_offered(page):
    named = set(re.findall(r"\bosc\.(\w+)", (ROOT / page).read_text(encoding="utf-8")))
    assert named <= set(organscope.__all__)


def test_every_name_that_is_offered_is_explained():
    explained = (ROOT / "docs" / "api.md").read_text(encoding="utf-8")
    assert [name for name in organscope.__all__ if f"`{name}`" not in explained] == []
