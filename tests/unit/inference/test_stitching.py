"""Cells decoded band by band are the cells of the whole."""

import numpy as np
import pytest
from scipy import ndimage

from organscope.inference import stitching
from organscope.inference.stitching import decode_bands
from organscope.ops.instances import HEAD_MAPS, Decoder, cell_probability, decode_cells

DECODER = Decoder(foreground_threshold=0.5, seed_threshold=0.6, min_area_px=6)
FULL = DECODER.model_copy(update={"seed_prominence": 0.03, "smoothing": 2, "fill_holes": True, "min_probability": 0.55})
DECODERS = [DECODER, FULL, FULL.model_copy(update={"head": "flow"})]


def smooth_maps(seed: int, shape=(150, 90), sigma=2.5, n_maps=2) -> np.ndarray:
    """Ragged foreground in pieces of every size, some reaching over many bands."""
    rng = np.random.default_rng(seed)
    noise = ndimage.gaussian_filter(rng.random((*shape, n_maps), dtype=np.float32), (sigma, sigma, 0))
    return np.clip((noise - noise.mean()) / (6 * noise.std()) + 0.5, 0, 1).astype(np.float32)


@pytest.mark.parametrize("decoder", DECODERS, ids=["threshold", "prominence", "flow"])
@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize("rows", [1, 7, 40])
def test_bands_equal_the_whole(monkeypatch, seed, rows, decoder):
    monkeypatch.setattr(stitching, "_CHUNK_PX", rows * 90)
    maps = smooth_maps(seed, n_maps=len(HEAD_MAPS[decoder.head]))
    whole = decode_cells(maps, decoder)
    labels, probability = decode_bands(np.array_split(maps, 3), maps.shape[:2], decoder)
    assert whole.max() > 20
    assert np.array_equal(labels, whole)
    assert np.array_equal(probability, cell_probability(whole, maps[:, :, 0]))


@pytest.mark.parametrize("rows", [1, 5])
def test_a_hole_with_a_cell_in_it_stays_open_in_bands(monkeypatch, rows):
    monkeypatch.setattr(stitching, "_CHUNK_PX", rows * 30)
    maps = np.zeros((40, 30, 2), np.float32)
    maps[2:38, 2:28, 0] = 0.9
    maps[6:34, 6:24, 0] = 0.1
    decoder = Decoder(fill_holes=True, min_area_px=1)
    empty = decode_bands([maps], maps.shape[:2], decoder)[0]
    assert (empty[2:38, 2:28] == 1).all()
    maps[10:14, 10:14, 0] = 0.9
    labels = decode_bands([maps], maps.shape[:2], decoder)[0]
    assert np.array_equal(labels, decode_cells(maps, decoder))
    assert labels[11, 11] == 2
    assert labels[20, 15] == 0


def test_the_maps_are_left_as_they_were(monkeypatch):
    monkeypatch.setattr(stitching, "_CHUNK_PX", 900)
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
