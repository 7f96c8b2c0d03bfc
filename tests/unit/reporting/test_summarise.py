"""The page of a data set: complete, in one file, safe, and with the figures that its data allow."""

import re
from html.parser import HTMLParser
from io import BytesIO
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from PIL import Image as PillowImage

from organscope.errors import OutputError
from organscope.reporting.dataset_figures import DARK, LIGHT, THEMES, plot_colors, themed, to_png
from organscope.reporting.dataset_report import summarize_index
from tiny_set import TinySet, two_cells

NASTY = '<script>alert("x")</script>&'
CELL_FIGURES = {"areas", "density", "shapes"}


class Page(HTMLParser):
    """Collects what a page refers to, its tags and its headings."""

    def __init__(self, path: Path) -> None:
        super().__init__()
        self.addresses: list[str] = []
        self.tags: list[str] = []
        self.text = path.read_text(encoding="utf-8")
        self.feed(self.text)
        self.headings = re.findall(r"<h2[^>]*>(.*?)</h2>", self.text)

    def handle_starttag(self, tag, attrs) -> None:
        self.tags.append(tag)
        self.addresses += [value for name, value in attrs if name in ("src", "href", "srcset", "data", "action")]


@pytest.fixture
def tiny(tmp_path: Path) -> TinySet:
    return TinySet(tmp_path / "tiny")


@pytest.fixture(scope="module")
def two_organs(tmp_path_factory):
    """A summary of eight images of two organs on three slides, one of them with a nasty name."""
    folder = tmp_path_factory.mktemp("summary")
    tiny = TinySet(folder / "tiny")
    for number in range(8):
        organ, group = (("liver", NASTY), ("lung", "slide 1"), ("lung", "slide 2"))[number % 3]
        tiny.add(f"image {number}", tiny.noise((40, 40, 3)), labels=two_cells(40), organ=organ, group=group)
    return summarize_index(tiny.index(), folder / "out", umap=False)


def test_everything_is_written(two_organs):
    out = two_organs.files[0].parent
    names = {str(path.relative_to(out)) for path in out.rglob("*") if path.is_file()}
    figures = {f"figures/{name}.png" for name in CELL_FIGURES | {"counts", "brightness", "colours", "pca", "montage"}}
    assert names == {"summary.html", "organs.csv", "images.csv", "distributions.csv", "map.csv"} | figures
    assert {path for path in out.rglob("*") if path.is_file()} == set(two_organs.files)
    assert len(pd.read_csv(out / "images.csv")) == 8
    assert pd.read_csv(out / "organs.csv")["n_cells"].tolist() == [6, 10]
    assert pd.read_csv(out / "distributions.csv").groupby("measure")["n_cells"].sum().tolist() == [16, 16, 16]


def test_page_needs_no_other_file(two_organs):
    page = Page(two_organs.files[0])
    assert all(address.startswith(("data:image/png;base64,", "data:image/jpeg;base64,")) for address in page.addresses)
    # Eight examples, and seven figures in the light and in the dark.
    assert len(page.addresses) == 8 + 2 * 7
    assert "script" not in page.tags
    assert page.headings == [
        "Examples", "Images and cells by organ", "Cell areas by organ", "Cell density by organ", "Cell shapes by organ",
        "Brightness by organ", "Colors by organ", "Map of the images: principal components", "Organs",
    ]  # fmt: skip


def test_counts_are_said(two_organs):
    text = re.sub(r"\s+", " ", re.sub(r"<[^>]+>", " ", Page(two_organs.files[0]).text))
    assert "images 8 " in text
    assert "cells 16 in 8 labeled images" in text
    assert two_organs.counts()["organs"]["lung"] == {"n_images": 5, "n_cells": 10}


def test_figures_are_drawn_for_light_and_dark(two_organs):
    for theme, ground in zip(THEMES, ((255, 255, 255), (20, 23, 27)), strict=True):
        with themed(theme):
            image = PillowImage.open(BytesIO(to_png(plot_colors(two_organs.summary, theme)))).convert("RGB")
        assert image.getpixel((0, 0)) == ground
        assert np.asarray(image).std() > 5
    assert (LIGHT.name, DARK.name) == ("light", "dark")


def test_set_without_labels_and_organs_has_the_rest(tiny: TinySet, tmp_path):
    for number in range(4):
        tiny.add(f"image {number}", tiny.noise(dtype=np.uint16))
    page = Page(summarize_index(tiny.index(), tmp_path / "out", umap=False).files[0])
    assert page.headings == ["Examples", "Brightness", "Map of the images: principal components", "Organs"]


def test_organs_of_gray_images_are_compared_by_intensity(tiny: TinySet, tmp_path):
    for number in range(4):
        tiny.add(f"image {number}", tiny.noise(dtype=np.uint16), organ=("liver", "lung")[number % 2])
    headings = Page(summarize_index(tiny.index(), tmp_path / "out", umap=False).files[0]).headings
    assert "Intensities by organ" in headings
    assert "Colors by organ" not in headings


def test_one_organ_is_drawn_as_histograms(tiny: TinySet, tmp_path):
    for number in range(4):
        tiny.add(f"image {number}", labels=two_cells())
    report = summarize_index(tiny.index(), tmp_path / "out", umap=False)
    assert {"Cell areas", "Cell density", "Cell shapes"} < set(Page(report.files[0]).headings)


def test_failures_are_on_the_page_and_in_the_report(tiny: TinySet, tmp_path):
    for number in range(3):
        tiny.add(f"image {number}", labels=two_cells())
    tiny.add(NASTY.replace("/", "_")).unlink()
    report = summarize_index(tiny.index(), tmp_path / "out", umap=False)
    assert [name for name, _ in report.failures] == [NASTY.replace("/", "_")]
    page = Page(report.files[0])
    assert "1 of 4 samples could not be read" in page.headings
    assert "script" not in page.tags


def test_interrupted_summary_leaves_no_page_and_goes_on(tiny: TinySet, tmp_path):
    for number in range(3):
        tiny.add(f"image {number}")
    index, out = tiny.index(), tmp_path / "out"

    def stop(done: int, total: int) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        summarize_index(index, out, umap=False, progress=stop)
    assert not (out / "summary.html").exists()
    left = []
    summarize_index(index, out, umap=False, progress=lambda done, total: left.append(done))
    assert left == [2, 3]
    assert not list(out.glob(".*"))


def test_folder_that_is_a_file(tiny: TinySet, tmp_path):
    tiny.add("a")
    (tmp_path / "file").touch()
    with pytest.raises(OutputError, match="file"):
        summarize_index(tiny.index(), tmp_path / "file" / "out")
