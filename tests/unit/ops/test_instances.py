"""Decoding probability maps into cells, on cases small enough to check by hand."""

import numpy as np
import pytest
from scipy import ndimage

from organscope.errors import ShapeError
from organscope.ops._kernels.labels import fill_holes
from organscope.ops.instances import Decoder, cell_probability, decode_cells

DECODER = Decoder(min_area_px=1)


def maps_of(discs, shape=(40, 60)):
    """Foreground and height of discs (y, x, radius): 1 at the center, 0 at the edge."""
    y, x = np.mgrid[: shape[0], : shape[1]]
    height = np.zeros(shape, np.float32)
    for cy, cx, radius in discs:
        height = np.maximum(height, 1 - np.hypot(y - cy, x - cx).astype(np.float32) / radius)
    return np.stack([(height > 0).astype(np.float32), np.clip(height, 0, 1)], axis=2)


def test_touching_discs_part_halfway():
    labels = decode_cells(maps_of([(20, 20, 12), (20, 40, 12)]), DECODER)
    assert labels.max() == 2
    # The two centers are 20 px apart, so the border is at column 30.
    assert labels[20, 29] == labels[20, 20] != labels[20, 40] == labels[20, 31]


def test_labels_are_in_raster_order_without_gaps():
    labels = decode_cells(maps_of([(30, 10, 6), (10, 50, 6), (10, 10, 6)]), DECODER)

    first = [np.flatnonzero(labels == cell)[0] for cell in range(1, labels.max() + 1)]
    assert first == sorted(first)


def test_foreground_without_a_core_is_one_cell():
    maps = np.zeros((10, 10, 2), np.float32)
    maps[2:5, 2:5, 0] = 0.9
    labels = decode_cells(maps, DECODER)
    assert labels.max() == 1
    assert (labels > 0).sum() == 9


def test_small_cells_are_removed():
    labels = decode_cells(maps_of([(10, 10, 3), (25, 40, 10)]), Decoder(min_area_px=100))
    assert labels.max() == 1
    assert labels[25, 40] == 1


def test_every_foreground_pixel_is_in_a_connected_cell(rng):
    noise = ndimage.gaussian_filter(rng.random((2, 80, 90)), (0, 2, 2)).astype(np.float32)
    maps = np.ascontiguousarray(np.moveaxis((noise - noise.min()) / np.ptp(noise), 0, 2))
    labels = decode_cells(maps, DECODER)
    assert np.array_equal(labels > 0, maps[:, :, 0] >= DECODER.foreground_threshold)
    for cell in range(1, labels.max() + 1):
        assert ndimage.label(labels == cell)[1] == 1


def test_a_boundary_map_is_height_upside_down():
    maps = maps_of([(20, 20, 12), (20, 40, 12)])
    boundary = maps.copy()
    boundary[:, :, 1] = 1 - maps[:, :, 1]
    expected = decode_cells(maps, DECODER)
    assert np.array_equal(decode_cells(boundary, Decoder(head="boundary", min_area_px=1)), expected)


def test_empty_maps_give_no_cells():
    assert decode_cells(np.zeros((5, 7, 2), np.float32), DECODER).max() == 0


def test_another_number_of_maps_is_refused():
    with pytest.raises(ShapeError, match="found 3 maps"):
        decode_cells(np.zeros((5, 7, 3), np.float32), DECODER)


def test_probability_is_the_mean_over_the_cell():
    labels = np.array([[1, 1, 0], [0, 2, 2]], np.int32)
    foreground = np.array([[0.5, 0.7, 0.1], [0.1, 0.9, 1.0]], np.float32)
    assert cell_probability(labels, foreground) == pytest.approx([0.6, 0.95])


def ridge(*heights: float) -> np.ndarray:
    """One row of foreground with these heights."""
    row = np.array(heights, np.float32)
    return np.stack([np.ones_like(row), row], axis=1)[None]


PROMINENT = Decoder(seed_prominence=0.2, min_area_px=1)


def test_a_peak_is_a_cell_if_it_stands_out_enough():
    # The second peak is 0.4 above the saddle to the higher one, the third 0.1.
    maps = ridge(0.3, 0.9, 0.3, 0.7, 0.6, 0.7 - 1e-3, 0.2)
    assert decode_cells(maps, PROMINENT)[0].tolist() == [1, 1, 1, 2, 2, 2, 2]
    assert decode_cells(maps, PROMINENT.model_copy(update={"seed_prominence": 0.5})).max() == 1
    assert decode_cells(maps, PROMINENT.model_copy(update={"seed_prominence": 0.05})).max() == 3


def test_faint_cells_part_too():
    # Both peaks are below every usual threshold, and no threshold finds both pairs.
    low, high = ridge(0.35, 0.1, 0.35), ridge(0.95, 0.6, 0.95)
    assert decode_cells(low, PROMINENT).max() == decode_cells(high, PROMINENT).max() == 2


def test_prominent_peaks_are_the_h_maxima(rng):
    """Against morphological reconstruction, which is an independent way to the same definition."""
    from skimage.morphology import local_maxima, reconstruction

    from organscope.ops._kernels.watershed import find_peaks, grow_cores

    levels = ndimage.gaussian_filter(rng.uniform(0, 900, (70, 80)), 2).astype(np.uint8)
    foreground = ndimage.gaussian_filter(rng.random((70, 80)), 4) > 0.49
    pieces, n_pieces = ndimage.label(foreground)
    least = 8
    cores = grow_cores(levels, foreground, find_peaks(levels, foreground, least), least)
    # Half a level less than `least`, because a peak that stands out by just that much counts.
    doubled, depth = 2 * levels.astype(int), 2 * least - 1
    for piece in range(1, n_pieces + 1):
        # Outside the piece lies the deepest level, so that nothing is connected through it.
        inside = np.where(pieces == piece, doubled, -1000)
        cut = reconstruction(inside - depth, inside, footprint=ndimage.generate_binary_structure(2, 1))
        domes, n_domes = ndimage.label(local_maxima(cut, connectivity=1))
        assert np.array_equal(np.where(pieces == piece, cores, 0) > 0, domes > 0)
        assert np.unique(cores[domes > 0]).size == n_domes


def test_smoothing_takes_a_dent_away():
    maps = maps_of([(20, 20, 12)])
    maps[20, 20, 1] = 0.0
    # The dent parts nothing, but a second one does.
    maps[:, 21, 1] *= 0.7
    rough = Decoder(seed_prominence=0.1, min_area_px=1)
    assert decode_cells(maps, rough).max() > 1
    assert decode_cells(maps, rough.model_copy(update={"smoothing": 4})).max() == 1


def test_a_hole_is_filled_if_one_cell_encloses_it():
    maps = np.zeros((9, 20, 2), np.float32)
    maps[1:8, 1:8, 0] = 0.9
    maps[3:6, 3:6, 0] = 0.1
    maps[1:8, 12:19, 0] = 0.9
    maps[4:, 15, 0] = 0.0
    filled = decode_cells(maps, Decoder(fill_holes=True, min_area_px=1))
    assert (filled[1:8, 1:8] == 1).all()
    # Open below: no hole.
    assert (filled[4:, 15] == 0).all()
    assert (decode_cells(maps, DECODER)[3:6, 3:6] == 0).all()


def test_a_hole_between_two_cells_or_around_a_third_stays_open():
    ring = maps_of([], shape=(12, 24))
    ring[1:11, 1:23, 0] = 0.9
    ring[3:9, 4:20, 0] = 0.0
    ring[5, 2, 1] = ring[5, 21, 1] = 0.9
    two = decode_cells(ring, Decoder(fill_holes=True, min_area_px=1))
    assert two.max() == 2
    assert (two[4:8, 5:19] == 0).all()
    ring[:, :, 1] = 0
    ring[5:7, 10:12, 0] = 0.9
    island = decode_cells(ring, Decoder(fill_holes=True, min_area_px=1))
    assert island.max() == 2
    assert (island == 0).sum() == 12 * 24 - 10 * 22 + 6 * 16 - 4


@pytest.mark.parametrize("seed", range(5))
def test_holes_are_those_of_an_independent_search(seed):
    random = np.random.default_rng(seed)
    labels = (ndimage.gaussian_filter(random.random((60, 70)), 1.2) > 0.48).astype(np.int32)
    labels *= 1 + (np.arange(70) > 35).astype(np.int32)
    expected = labels.copy()
    background, n_regions = ndimage.label(labels == 0, structure=np.ones((3, 3)))
    n_filled = 0
    for region in range(1, n_regions + 1):
        inside = background == region
        around = set(labels[ndimage.binary_dilation(inside, np.ones((3, 3))) & ~inside])
        at_edge = inside[[0, -1]].any() or inside[:, [0, -1]].any()
        if len(around) == 1 and not at_edge:
            expected[inside] = around.pop()
            n_filled += 1
    fill_holes(labels, np.zeros(labels.shape, bool))
    assert n_filled > 5
    assert np.array_equal(labels, expected)


def test_unlikely_cells_are_removed():
    maps = maps_of([(10, 10, 6), (25, 40, 10)])
    maps[:20, :20, 0] *= 0.6
    assert decode_cells(maps, DECODER).max() == 2
    labels = decode_cells(maps, Decoder(min_probability=0.7, min_area_px=1))
    assert labels.max() == 1
    assert labels[25, 40] == 1


def flow_maps(centres, of_column, shape=(20, 40)) -> np.ndarray:
    """All foreground; columns belong to the centers that `of_column` says, and point there."""
    y, x = np.mgrid[: shape[0], : shape[1]].astype(np.float32)
    owner = np.array([of_column(column) for column in range(shape[1])])
    towards = np.array(centres, np.float32)[owner][None] - np.stack([y, x], axis=2)
    length = np.maximum(np.linalg.norm(towards, axis=2, keepdims=True), 1e-6)
    height = (np.linalg.norm(towards, axis=2) < 3).astype(np.float32)
    flow = (np.where(length > 0.5, towards / length, 0) + 1) / 2
    return np.concatenate([np.ones((*shape, 1)), height[:, :, None], flow], axis=2).astype(np.float32)


def test_flow_parts_cells_where_it_turns():
    # Flooding alone would part halfway between the cores, in column 20; the flow says column 28.
    maps = flow_maps([(10, 8), (10, 32)], lambda column: int(column >= 28))
    labels = decode_cells(maps, Decoder(head="flow", min_area_px=1))
    assert (labels[:, :28] == 1).all()
    assert (labels[:, 28:] == 2).all()


def test_pixels_whose_flow_leads_nowhere_are_flooded():
    maps = flow_maps([(10, 8), (10, 32)], lambda column: int(column >= 20))
    maps[:5, :, 2:] = 0.5
    maps[5, 10, 2:], maps[5, 11, 2:] = (0.5, 1.0), (0.5, 0.0)
    labels = decode_cells(maps, Decoder(head="flow", min_area_px=1))
    assert (labels > 0).all()
    assert labels.max() == 2
