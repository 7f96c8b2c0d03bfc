"""Maps of overlapping fields, put together."""

import numpy as np
import pytest

from organscope.inference.classify import Evidence
from organscope.ops.tiling import field_starts


def of_one_organ(values: list[float], rows: list[int], columns: list[int], field_px: int) -> Evidence:
    """Flat fields: for organ 1 the values, for organ 0 none."""
    maps = np.zeros((len(values), 2, 2, 2), np.float32)
    maps[..., 1] = 2 * np.array(values)[:, None, None]
    return Evidence(maps, rows, columns, (field_px, field_px))


def test_the_mean_over_the_organs_is_taken_off():
    evidence = of_one_organ([3.0], [0], [0], 10)
    np.testing.assert_allclose(evidence.speaks_for(1, (10, 10), max_side_px=10), 3.0)
    np.testing.assert_allclose(evidence.speaks_for(0, (10, 10), max_side_px=10), -3.0)


def test_overlapping_fields_are_averaged():
    evidence = of_one_organ([1.0, 3.0], [0], field_starts(15, 10), 10)
    found = evidence.speaks_for(1, (10, 15), max_side_px=100)
    assert found.shape == (10, 15)
    np.testing.assert_allclose(found[:, :5], 1.0)
    np.testing.assert_allclose(found[:, 5:10], 2.0)
    np.testing.assert_allclose(found[:, 10:], 3.0)


@pytest.mark.parametrize("shape", [(700, 1300), (30, 9), (512, 512)])
def test_a_map_has_the_proportions_of_the_image(shape):
    rows, columns = (field_starts(length, 512) for length in shape)
    evidence = of_one_organ([1.0] * len(rows) * len(columns), rows, columns, 512)
    found = evidence.speaks_for(1, shape, max_side_px=256)
    scale = min(1.0, 256 / max(shape))
    assert found.shape == tuple(round(length * scale) for length in shape)
    np.testing.assert_allclose(found, 1.0, rtol=1e-6)  # every place is covered; float32


def test_what_is_mirrored_beyond_a_small_image_is_cut():
    maps = np.zeros((1, 2, 2, 2), np.float32)
    maps[0, 0, 0, 1] = 4.0  # the upper left quarter of the field, which is all of the image
    found = Evidence(maps, [0], [0], (40, 40)).speaks_for(1, (10, 10), max_side_px=100)
    np.testing.assert_allclose(found, 2.0)
