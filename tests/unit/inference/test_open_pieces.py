"""Cells decoded window by window and over the seams are the cells of the whole."""

from itertools import pairwise

import numpy as np
import pytest
from scipy import ndimage

from organscope.inference.stitching import SIDES, decode_bands, decode_open, decode_window, lowest_threshold
from organscope.ops.instances import Decoder

SHAPE = (140, 170)


def smooth_maps(seed: int, n_maps: int = 2, sigma: float = 2.5) -> np.ndarray:
    """Ragged foreground in pieces of every size, with holes, some reaching over many windows."""
    rng = np.random.default_rng(seed)
    noise = ndimage.gaussian_filter(rng.random((*SHAPE, n_maps), dtype=np.float32), (sigma, sigma, 0))
    return np.clip((noise - noise.mean()) / (6 * noise.std()) + 0.5, 0, 1).astype(np.float32)


def cuts(length: int, step: int) -> list[tuple[int, int]]:
    return list(pairwise([*range(0, length, step), length]))


def decode_in_windows(maps, step, decoder, faint=None) -> tuple[np.ndarray, dict[int, float]]:
    """All open pieces of all windows are decoded at once, so that only windows and pieces are tested here."""
    labels, probability, parts = np.zeros(SHAPE, np.int64), {}, []
    ends = np.zeros(SHAPE, bool)
    for top, bottom in cuts(SHAPE[0], step):
        for left, right in cuts(SHAPE[1], step):
            part = maps[top:bottom, left:right].copy()
            found = decode_window(part, (top, left), SHAPE, decoder, faint_threshold=faint)
            mark(labels[top:bottom, left:right], found.labels, found.probability, probability)
            size = (bottom - top, right - left)
            if found.others.size:
                ends[top:bottom, left:right] = np.unpackbits(found.others, count=size[0] * size[1]).reshape(size) > 0
            parts.append(found.open)
    chosen = [np.ones(len(part.boxes), bool) for part in parts]
    holes = ends if decoder.fill_holes else None
    found, of_cell = decode_open(parts, chosen, (0, SHAPE[0], 0, SHAPE[1]), holes, decoder, faint_threshold=faint)
    mark(labels, found, of_cell, probability)
    return labels, probability


def mark(labels, found, of_cell, probability) -> None:
    before = len(probability)
    assert not labels[found > 0].any()
    labels[found > 0] = found[found > 0] + before
    probability.update({before + 1 + i: float(value) for i, value in enumerate(of_cell)})


def assert_same_cells(maps, step, decoder, faint=None) -> None:
    whole, of_cell = decode_bands([maps], SHAPE, decoder, faint_threshold=faint)
    labels, probability = decode_in_windows(maps, step, decoder, faint)
    assert np.array_equal(labels > 0, whole > 0)
    pairs = np.unique(np.stack([labels[labels > 0], whole[whole > 0]]), axis=1)
    assert pairs.shape[1] == whole.max() == len(probability)
    assert [probability[mine] for mine in pairs[0]] == of_cell[pairs[1] - 1].tolist()


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("step", [9, 50, 200])
def test_windows_give_the_cells_of_the_whole(seed, step):
    assert_same_cells(smooth_maps(seed), step, Decoder(seed_threshold=0.6, min_area_px=6))


@pytest.mark.parametrize("seed", range(3))
def test_holes_are_filled_over_seams(seed):
    decoder = Decoder(foreground_threshold=0.42, seed_threshold=0.6, fill_holes=True, min_probability=0.5)
    assert_same_cells(smooth_maps(seed), 45, decoder)


@pytest.mark.parametrize("fill_holes", [False, True])
def test_faint_cells_are_found_over_seams(fill_holes):
    decoder = Decoder(foreground_threshold=0.6, seed_threshold=0.7, min_area_px=6, fill_holes=fill_holes)
    assert_same_cells(smooth_maps(4), 45, decoder, faint=0.45)


def test_flow_is_followed_over_seams():
    assert_same_cells(smooth_maps(5, n_maps=4), 45, Decoder(head="flow", seed_prominence=0.1, smoothing=2))


def test_sides_of_the_image_are_no_seams():
    maps = np.ones((*SHAPE, 2), np.float32)
    found = decode_window(maps.copy(), (0, 0), SHAPE, Decoder())
    assert found.labels.max() == 1
    assert [getattr(found.open, side).size for side in SIDES] == [0, 0, 0, 0]
    part = decode_window(maps[:50].copy(), (0, 0), SHAPE, Decoder())
    assert part.labels.max() == 0
    assert part.open.boxes.tolist() == [[0, 50, 0, SHAPE[1]]]
    assert [getattr(part.open, side).size for side in SIDES] == [0, SHAPE[1], 0, 0]


def test_lowest_threshold_is_that_of_faint_cells():
    assert lowest_threshold(Decoder(foreground_threshold=0.6), None) == 0.6
    assert lowest_threshold(Decoder(foreground_threshold=0.6), 0.3) == 0.3
