"""Glass is bright, colorless and everywhere alike; a faint cell on it is not."""

import numpy as np
import pytest

from organscope.inference.tissue import is_glass


def glass(shape=(8, 8, 3)) -> np.ndarray:
    return np.random.default_rng(0).integers(235, 245, shape).astype(np.uint8)


def test_bright_colorless_blocks_are_glass():
    assert is_glass(glass(), (0.0, 255.0))
    assert is_glass(glass().astype(np.uint16) * 257, (0.0, 65535.0))


@pytest.mark.parametrize("colour", [(200, 240, 240), (240, 240, 215), (210, 210, 210)])
def test_one_darker_or_colored_block_is_tissue(colour):
    blocks = glass()
    blocks[3, 4] = colour
    assert not is_glass(blocks, (0.0, 255.0))


def test_bright_gray_may_be_cells_under_fluorescence():
    assert not is_glass(glass((8, 8, 1)), (0.0, 255.0))


@pytest.mark.parametrize("value", [0, 128, 255])
@pytest.mark.parametrize("n_channels", [1, 3, 5])
def test_one_value_everywhere_was_never_scanned(value, n_channels):
    assert is_glass(np.full((4, 4, n_channels), value, np.uint8), (0.0, 255.0))
