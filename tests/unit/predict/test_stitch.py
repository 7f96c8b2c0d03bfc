"""Cells decoded band by band are the cells of the whole."""

import numpy as np
import pytest
from scipy import ndimage

from organscope.ops.instances import Decoder, cell_probability, decode_cells
from organscope.predict import stitch
from organscope.predict.stitch import decode_bands

DECODER = Decoder(foreground_threshold=0.5, seed_threshold=0.6, min_area_px=6)


def smooth_maps(seed: int, shape=(150, 90), sigma=2.5) -> np.ndarray:
    """Ragged foreground in pieces of every size, some reaching over many bands."""
    rng = np.random.default_rng(seed)
    noise = ndimage.gaussian_filter(rng.random((*shape, 2), dtype=np.float32), (sigma, sigma, 0))
    return np.clip((noise - noise.mean()) / (6 * noise.std()) + 0.5, 0, 1).astype(np.float32)


@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize("rows", [1, 7, 40])
def test_bands_equal_the_whole(monkeypatch, seed, rows):
    monkeypatch.setattr(stitch, "CHUNK_PX", rows * 90)
    maps = smooth_maps(seed)
    whole = decode_cells(maps, DECODER)
    labels, probability = decode_bands(np.array_split(maps, 3), maps.shape[:2], DECODER)
    assert whole.max() > 20
    assert np.array_equal(labels, whole)
    assert np.array_equal(probability, cell_probability(whole, maps[:, :, 0]))


def test_the_maps_are_left_as_they_were(monkeypatch):
    monkeypatch.setattr(stitch, "CHUNK_PX", 900)
    maps = smooth_maps(0)
    before = maps.copy()
    decode_bands([maps], maps.shape[:2], DECODER)
    assert np.array_equal(maps, before)


def test_one_piece_over_all_bands():
    maps = np.ones((60, 30, 2), np.float32)
    labels, probability = decode_bands(np.array_split(maps, 6), (60, 30), DECODER)
    assert np.array_equal(labels, np.ones((60, 30)))
    assert probability.tolist() == [1.0]


def test_no_cells():
    labels, probability = decode_bands([np.zeros((9, 9, 2), np.float32)], (9, 9), DECODER)
    assert labels.max() == 0
    assert probability.shape == (0,)
