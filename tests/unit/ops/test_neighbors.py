"""Neighbors of cells against brute force, geometry and the triangles themselves."""

import numpy as np
import pytest
import shapely
from scipy.spatial import Delaunay
from scipy.spatial.distance import cdist

from organscope.ops.neighbors import measure_neighbors


@pytest.fixture
def places(rng) -> np.ndarray:
    return rng.random((300, 2)) * (400, 600)


@pytest.mark.parametrize("um_per_px", [None, (0.5, 0.5), (1.0, 0.4)])
def test_counts_and_distances(places, um_per_px):
    ours = measure_neighbors(places, (400, 600), um_per_px)
    sides = np.array(um_per_px or (1.0, 1.0))
    distance = cdist(places * sides, places * sides)
    np.fill_diagonal(distance, np.inf)
    radius = 50 if um_per_px else 100
    assert ours["neighbor_count"].tolist() == (distance <= radius).sum(axis=1).tolist()
    nearest = ours["nearest_distance_um"] if um_per_px else ours["nearest_distance_px"]
    np.testing.assert_allclose(nearest, distance.min(axis=1))
    if um_per_px:
        np.testing.assert_allclose(ours["nearest_distance_px"] * np.sqrt(sides.prod()), nearest)


def test_density_counts_only_what_lies_in_the_image(places):
    ours = measure_neighbors(places, (400, 600), (0.5, 0.5))
    image = shapely.box(-0.25, -0.25, 299.75, 199.75)
    circles = shapely.buffer(shapely.points(places[:, ::-1] * 0.5), 50, quad_segs=64)
    expected = (ours["neighbor_count"] + 1) / shapely.area(shapely.intersection(circles, image)) * 1e6
    np.testing.assert_allclose(ours["density_per_mm2"], expected, rtol=5e-3)


def test_degree_is_that_of_the_triangles(places):
    ours = measure_neighbors(places, (400, 600))["delaunay_degree"]
    edges = {frozenset(pair) for one in Delaunay(places).simplices for pair in zip(one, np.roll(one, 1), strict=True)}
    assert ours.tolist() == [sum(n in edge for edge in edges) for n in range(len(places))]


@pytest.mark.parametrize(("n_cells", "degrees"), [(0, []), (1, [0]), (2, [1, 1]), (4, [1, 2, 2, 1])])
def test_few_cells_and_cells_in_a_row(n_cells, degrees):
    places = np.stack([np.arange(n_cells) * 7.0, np.arange(n_cells) * 7.0], axis=1)
    ours = measure_neighbors(places, (50, 50))
    assert ours["delaunay_degree"].tolist() == degrees
    assert np.isnan(ours["nearest_distance_px"]).all() == (n_cells < 2)
