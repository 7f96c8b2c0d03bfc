"""Pieces of windows become pieces of the image, and nothing else."""

import numpy as np
import pytest
from scipy import ndimage

from organscope.inference import stitching
from organscope.inference.stitching import OpenEdges, OpenPieces, decode_window, join_seams
from organscope.ops.instances import Decoder

SHAPE, STEP = (120, 150), 30
GRID = (4, 5)


def foreground(seed: int = 0) -> np.ndarray:
    noise = ndimage.gaussian_filter(np.random.default_rng(seed).random(SHAPE), 3)
    return noise > np.quantile(noise, 0.6)


def windows(mask) -> list[OpenPieces]:
    maps = np.stack([mask, mask], axis=2).astype(np.float32)
    corners = [(y, x) for y in range(0, SHAPE[0], STEP) for x in range(0, SHAPE[1], STEP)]
    return [decode_window(maps[y : y + STEP, x : x + STEP].copy(), (y, x), SHAPE, Decoder()).open for y, x in corners]


def edges(part: OpenPieces) -> OpenEdges | None:
    if len(part.boxes) == 0:
        return None
    return OpenEdges(part.boxes, part.top, part.bottom, part.left, part.right)


def joined(parts, *, nested=False):
    return join_seams(GRID, lambda number: edges(parts[number]), nested=nested)


@pytest.mark.parametrize("nested", [False, True])
@pytest.mark.parametrize("seed", range(3))
def test_every_open_piece_is_decoded_once_with_all_of_its_piece(seed, nested):
    mask = foreground(seed)
    parts = windows(mask)
    seams = joined(parts, nested=nested)
    whole, _ = ndimage.label(mask)
    members = [member for batches in seams.batches.values() for batch in batches for member in batch.members]
    assert sorted(members) == [(w, p) for w, part in enumerate(parts) for p in range(len(part.boxes))]
    seen: set[int] = set()
    for owner, batches in seams.batches.items():
        for batch in batches:
            assert owner <= min(window for window, _ in batch.members)
            pieces = set()
            for window, piece in batch.members:
                mine = parts[window].piece == piece
                pieces |= set(whole[parts[window].y[mine], parts[window].x[mine]].tolist())
            assert not pieces & seen
            seen |= pieces
            rows, columns = np.nonzero(np.isin(whole, list(pieces)))
            assert batch.box == (rows.min(), rows.max() + 1, columns.min(), columns.max() + 1)


def test_small_pieces_share_a_batch_up_to_a_limit(monkeypatch):
    parts = windows(foreground())
    together = sum(len(batches) for batches in joined(parts).batches.values())
    monkeypatch.setattr(stitching, "_BATCH_PX", 1)
    assert together < sum(len(batches) for batches in joined(parts).batches.values())


def test_piece_that_is_too_large_is_cut_at_the_seams(monkeypatch):
    monkeypatch.setattr(stitching, "_MAX_PIECE_PX", 2 * STEP**2)
    parts = windows(np.ones(SHAPE, bool))
    seams = joined(parts, nested=True)
    assert seams.n_cut == 1
    assert all(len(batch.members) == 1 for batches in seams.batches.values() for batch in batches)
    assert len(seams.batches) == GRID[0] * GRID[1]


def test_nothing_open_is_nothing_to_do():
    assert joined(windows(np.zeros(SHAPE, bool))).batches == {}
