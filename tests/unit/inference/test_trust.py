"""The figures by which a bundle judges its answer."""

import numpy as np
import pytest

from organscope.inference.trust import MapSums, trust_figures
from organscope.models import load_bundle


@pytest.fixture(scope="module")
def maps():
    random = np.random.default_rng(0)
    return random.random((96, 80, 4), dtype=np.float32)


def test_sums_do_not_depend_on_how_an_image_is_cut(maps):
    whole = MapSums.of(maps, 0.5)
    parts = [MapSums.of(maps[y : y + 32, x : x + 40], 0.5) for y in range(0, 96, 32) for x in range(0, 80, 40)]
    added = sum(parts[1:], parts[0])
    assert np.array_equal(added.as_array(), whole.as_array())
    assert added.figures() == whole.figures()


def test_sums_come_back_from_an_array(maps):
    sums = MapSums.of(maps, 0.5)
    assert MapSums.from_array(sums.as_array()).figures() == sums.figures()


def test_figures_are_those_of_the_pixels(maps):
    figures = MapSums.of(maps, 0.5).figures()
    inside = maps[maps[:, :, 0] >= 0.5][:, 1:]
    for number in range(3):
        assert figures[f"inside_{number + 1}"] == pytest.approx(inside[:, number].mean(), abs=2e-3)
        assert figures[f"varies_{number + 1}"] == pytest.approx(inside[:, number].std(), abs=2e-3)
    assert figures["sure"] == pytest.approx((maps[:, :, 0] >= 0.9).sum() / len(inside), abs=1e-3)


def test_cells_of_the_size_of_the_training_have_size_zero(maps):
    bundle = load_bundle("nuclei")
    trained_px = bundle.manifest.spec.typical_diameter_px
    area_px = np.full(4, np.pi * (trained_px / 2) ** 2)
    probability = np.full(4, 0.9, np.float32)
    figures = trust_figures(MapSums.of(maps, 0.5), probability, area_px, 1.0, bundle)
    assert figures["size"] == pytest.approx(0.0, abs=1e-6)
    doubled = trust_figures(MapSums.of(maps, 0.5), probability, area_px, 2.0, bundle)
    assert doubled["size"] == pytest.approx(1.0, abs=1e-6)


def test_of_hardly_any_cells_there_are_no_figures(maps):
    for n in (0, 3):
        few = np.full(n, 0.9, np.float32)
        assert trust_figures(MapSums.of(maps, 0.5), few, 200 * few, 1.0, load_bundle("nuclei")) is None
