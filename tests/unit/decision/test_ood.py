import numpy as np
import pytest
from sklearn.neighbors import NearestNeighbors

from organscope.decision import fit_distance_limit, nearest_distance, ood, unit_norm
from organscope.errors import ShapeError, ValueRangeError


def test_distances_by_hand():
    reference = np.array([[1, 0], [0, 1], [-1, 0]], np.float32)
    asked = np.array([[5, 0], [0, -0.1]], np.float32)
    # (1, 0) lies at 0, sqrt 2 and 2; (0, -1) at sqrt 2, sqrt 2 and 2.
    for k, expected in [(1, [0, 2**0.5]), (2, [2**0.5, 2**0.5]), (3, [2, 2])]:
        np.testing.assert_allclose(nearest_distance(asked, reference, k), expected, atol=1e-6)


def test_distances_as_scikit_learn_finds_them(rng, monkeypatch):
    monkeypatch.setattr(ood, "_CHUNK", 100)  # several chunks
    reference, asked = rng.normal(size=(40, 16)), rng.normal(size=(23, 16))
    nearest = NearestNeighbors(n_neighbors=7).fit(unit_norm(reference))
    expected = nearest.kneighbors(unit_norm(asked))[0][:, 6]
    # Both start from float32 vectors of length 1.
    np.testing.assert_allclose(nearest_distance(asked, reference, 7), expected, atol=1e-5)


def test_the_unknown_lies_farther_than_the_known(rng):
    centers = np.eye(32)[:4]
    near = np.repeat(centers, 50, axis=0) + rng.normal(scale=0.05, size=(200, 32))
    reference, held_out = near[::2], near[1::2]
    limit = fit_distance_limit(nearest_distance(held_out, reference, 5), 0.95)
    foreign = np.eye(32)[10:20] + rng.normal(scale=0.05, size=(10, 32))
    assert (nearest_distance(foreign, reference, 5) > limit).all()


def test_no_image_has_no_distance():
    assert nearest_distance(np.zeros((0, 3), np.float32), np.eye(3, dtype=np.float32), 1).shape == (0,)


def test_a_vector_of_zeros_stays_finite():
    found = nearest_distance(np.zeros((1, 3), np.float32), np.eye(3, dtype=np.float32), 1)
    np.testing.assert_allclose(found, [1.0])


def test_at_least_the_stated_share_passes():
    held_out = np.arange(10, dtype=np.float32)
    for share in (0.05, 0.5, 0.91, 0.95, 1.0):
        limit = fit_distance_limit(held_out, share)
        assert (held_out <= limit).mean() >= share
        assert limit in held_out


@pytest.mark.parametrize("k", [0, 4])
def test_there_are_as_many_references_as_neighbors(k):
    with pytest.raises(ShapeError, match="neighbors"):
        nearest_distance(np.zeros((1, 3)), np.eye(3), k)


def test_features_of_another_network_are_refused():
    with pytest.raises(ShapeError, match="one and the same network"):
        nearest_distance(np.zeros((1, 4)), np.eye(3), 1)


def test_features_are_finite():
    with pytest.raises(ValueRangeError, match="finite"):
        nearest_distance(np.full((1, 3), np.inf), np.eye(3), 1)


@pytest.mark.parametrize(("held_out", "share", "error"), [([], 0.95, ShapeError), ([0.1], 95.0, ValueRangeError)])
def test_a_limit_needs_distances_and_a_share(held_out, share, error):
    with pytest.raises(error, match="Expected"):
        fit_distance_limit(np.array(held_out, np.float32), share)
