"""Tables of a data set."""

import sys
from importlib import import_module
from types import ModuleType

import numpy as np
import pytest

from organscope.data import summary as embedding
from organscope.data.summary import choose_examples, summarize
from organscope.errors import DatasetError
from tiny_set import TinySet, two_cells


def add_images(tiny: TinySet, n_images: int = 6) -> None:
    for number in range(n_images):
        organ = ("liver", "lung")[number % 2]
        pixels = (tiny.noise() // (1 + number % 2)).astype(np.uint8)
        tiny.add(f"{organ} {number}", pixels, labels=two_cells(), organ=organ, group=organ, um_per_px=0.5)


def test_images_and_organs(tiny: TinySet):
    add_images(tiny)
    tiny.add("plain")
    summary = summarize(tiny.survey(), umap=False)
    assert (summary.n_images, summary.n_cells, summary.n_organs) == (7, 12, 3)
    image = summary.images.set_index("id").loc["liver 0"]
    assert image["cells_per_mpx"] == pytest.approx(2e6 / 1024)
    assert image["cells_per_mm2"] == pytest.approx(4 * 2e6 / 1024)
    assert image["median_area_px"] == 88
    assert 0.4 < image["brightness"] < 0.6
    organs = summary.organs.set_index("organ")
    assert organs.loc["lung", ["n_images", "n_groups", "n_labelled", "n_cells"]].tolist() == [3, 1, 3, 6]
    assert organs.loc["(unknown)", "n_cells"] == 0
    assert np.isnan(organs.loc["(unknown)", "area_um2_p50"])
    assert 9 * 0.95 < organs.loc["lung", "area_um2_p5"] < 9 * 1.05
    assert organs.loc["lung", "brightness"] < organs.loc["liver", "brightness"]


def test_unreadable_images_are_left_out(tiny: TinySet):
    add_images(tiny)
    tiny.add("gone").unlink()
    assert summarize(tiny.survey(), umap=False).n_images == 6


def test_a_set_without_a_readable_image_is_an_error(tiny: TinySet):
    tiny.add("gone").unlink()
    with pytest.raises(DatasetError, match=r"No image of .* can be read"):
        summarize(tiny.survey())


def test_principal_components_part_dark_from_bright(tiny: TinySet):
    add_images(tiny)
    found = summarize(tiny.survey(), umap=False).embedding
    assert not found.has_umap
    assert 0.5 < sum(found.explained) <= 1
    bright = found.table["organ"] == "liver"
    assert found.table["pca_1"][bright].min() > found.table["pca_1"][~bright].max() or (
        found.table["pca_1"][bright].max() < found.table["pca_1"][~bright].min()
    )


def test_few_or_equal_images_have_no_map(tiny: TinySet):
    for name in "ab":
        tiny.add(name)
    assert summarize(tiny.survey(), umap=False).embedding is None
    equal = np.zeros((20, 20), np.uint8)
    tiny.rows.clear()
    for name in "cdef":
        tiny.add(name, equal)
    assert summarize(tiny.survey(), umap=False).embedding is None


def test_large_sets_are_drawn_from(tiny: TinySet, monkeypatch):
    add_images(tiny)
    monkeypatch.setattr(embedding, "_MAX_POINTS", 4)
    assert len(summarize(tiny.survey(), umap=False).embedding.table) == 4


def test_umap_is_run_where_it_is_installed_and_asked_for(tiny: TinySet, monkeypatch):
    add_images(tiny)
    monkeypatch.setattr(embedding, "_MIN_POINTS_UMAP", 4)
    monkeypatch.setattr(embedding, "umap_is_installed", lambda: True)
    monkeypatch.setattr(embedding, "_run_umap", lambda places: places[:, 1::-1])
    survey = tiny.survey()
    assert summarize(survey, umap=True).embedding.table["umap_2"].notna().all()
    assert not summarize(survey, umap=False).embedding.has_umap
    monkeypatch.setattr(embedding, "umap_is_installed", lambda: False)
    assert not summarize(survey, umap=True).embedding.has_umap


def test_examples_take_organs_in_turn_and_prefer_cells(tiny: TinySet):
    add_images(tiny, 24)
    for number in range(10):
        tiny.add(f"bare {number}", organ="skin")
    tiny.add("skin with cells", labels=two_cells(), organ="skin")
    tiny.add("black", np.zeros((32, 32), np.uint8), organ="black")
    chosen = choose_examples(tiny.survey())
    organs = [sample.organ for sample in chosen]
    assert [organs.count(organ) for organ in ("liver", "lung", "skin", "black")] == [12, 12, 11, 0]
    assert "skin with cells" in {sample.id for sample in chosen}


def test_tensorflow_is_hidden_while_umap_is_loaded_and_only_then(monkeypatch):
    monkeypatch.delitem(sys.modules, "tensorflow", raising=False)
    with embedding._tensorflow_hidden(), pytest.raises(ModuleNotFoundError):
        import_module("tensorflow")
    assert "tensorflow" not in sys.modules
    loaded = ModuleType("tensorflow")
    monkeypatch.setitem(sys.modules, "tensorflow", loaded)
    with embedding._tensorflow_hidden():
        assert import_module("tensorflow") is loaded
