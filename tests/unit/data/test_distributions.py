"""Distributions of cells from counts."""

import numpy as np
import pytest

from organscope.data.summary import (
    AREA_PX,
    AREA_UM2,
    SOLIDITY,
    choose_measures,
    count_by_organ,
    long_table,
    quantiles_of,
)
from organscope.data.survey import AREA_EDGES, SHAPE_EDGES, count_in_bins
from tiny_set import TinySet, two_cells


def test_quantiles_of_counts_are_those_of_the_values(rng):
    areas = np.exp(rng.normal(6, 0.7, 20_000))
    found = quantiles_of(count_in_bins(areas, AREA_EDGES), AREA_PX)
    # Half a bin is 2.4 %.
    np.testing.assert_allclose(found, np.quantile(areas, [0.05, 0.25, 0.5, 0.75, 0.95]), rtol=0.024)
    solidities = rng.beta(20, 2, 20_000)
    found = quantiles_of(count_in_bins(solidities, SHAPE_EDGES), SOLIDITY)
    np.testing.assert_allclose(found, np.quantile(solidities, [0.05, 0.25, 0.5, 0.75, 0.95]), atol=0.005)


def test_one_cell_has_its_size_as_every_quantile():
    found = quantiles_of(count_in_bins(np.array([500.0]), AREA_EDGES), AREA_PX)
    np.testing.assert_allclose(found, 500, rtol=0.05)


def test_areas_are_in_micrometers_only_where_all_images_allow_it(tiny: TinySet):
    tiny.add("a", labels=two_cells(), um_per_px=0.5)
    assert choose_measures(tiny.survey())[0] is AREA_UM2
    tiny.add("b", labels=two_cells())
    assert choose_measures(tiny.survey())[0] is AREA_PX


def test_counts_are_summed_by_organ(tiny: TinySet):
    tiny.add("a", labels=two_cells(), organ="lung")
    tiny.add("b", labels=two_cells(), organ="lung")
    tiny.add("c", labels=two_cells())
    tiny.add("d", labels=np.zeros((32, 32)), organ="skin")
    counts = count_by_organ(tiny.survey(), AREA_PX)
    assert {organ: found.sum() for organ, found in counts.items()} == {"(unknown)": 2, "lung": 4}
    table = long_table({"area_px": counts}, [AREA_PX])
    assert table["n_cells"].sum() == 6
    assert (table["from"] < table["to"]).all()
    assert table.loc[0, "from"] == pytest.approx(36, rel=0.05)
