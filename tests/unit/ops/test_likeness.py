"""Perceptual hashes."""

import numpy as np
import pytest
from PIL import Image as PillowImage

from organscope.ops.features import N_BITS, hash_distances, perceptual_hashes


def view_of(pixels: np.ndarray) -> np.ndarray:
    small = PillowImage.fromarray(pixels).convert("L").resize((32, 32), PillowImage.Resampling.BOX)
    return np.asarray(small, np.float32)


def test_brightness_contrast_noise_and_size_hardly_matter(colon, rng):
    base = perceptual_hashes(view_of(colon))[:1]
    changed = np.clip(colon * 0.7 + 20 + rng.normal(0, 5, colon.shape), 0, 255).astype(np.uint8)
    assert hash_distances(base, perceptual_hashes(view_of(changed))[None]) <= 3
    assert hash_distances(base, perceptual_hashes(view_of(colon[::2, ::2]))[None]) <= 3


@pytest.mark.parametrize("place", range(8))
def test_every_orientation_is_recognized(colon, place):
    turned = [*(np.rot90(colon, k) for k in range(4)), *(np.rot90(colon[::-1], k) for k in range(4))][place]
    base = perceptual_hashes(view_of(colon))[:1]
    # The view is square and block means commute with turning, so nothing but rounding to 8 bits differs.
    assert hash_distances(base, perceptual_hashes(view_of(np.ascontiguousarray(turned)))[None]) <= 1


def test_parts_of_one_image_are_unlike(colon):
    corners = [colon[:256, :256], colon[256:, 256:]]
    one, other = (perceptual_hashes(view_of(corner)) for corner in corners)
    assert N_BITS / 4 < hash_distances(one[:1], other[None])[0, 0] < N_BITS


def test_flat_view_has_hash_zero():
    assert not perceptual_hashes(np.full((32, 32), 3.3, np.float32)).any()
