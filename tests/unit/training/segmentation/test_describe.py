"""Costs and reach of networks, against hand-worked and measured ones."""

from itertools import product

import numpy as np
import pytest

from organscope.training.segmentation.config import NetworkSettings
from organscope.training.segmentation.network import build_network, describe_network, network_in_words, with_readout

OPTIONS = list(product(("plain", "residual"), ("add", "concat"), (False, True), (1, 2), (1, 2)))


def test_the_network_of_ronneberger_has_its_31_million_parameters():
    original = NetworkSettings(block="plain", skip="concat", stem_stride=1, base_filters=64, depth=5)
    facts = describe_network(original)
    assert facts.n_parameters == pytest.approx(31.0e6, rel=0.01)
    # Down: 4 px a level and cell size, up: the same without the lowest, and the grid of the lowest level.
    assert facts.reach_px == pytest.approx(4 * (1 + 2 + 4 + 8) + 2 * 16 + 16, abs=2)


def test_operations_and_weights_of_a_hand_worked_network():
    settings = NetworkSettings(block="plain", skip="add", stem_stride=1, base_filters=4, depth=2)
    full = 3 * 4 * 9 + 4 * 4 * 9 + 2 * 4 * 4 * 9 + 4 * 2
    half = 4 * 8 * 9 + 8 * 8 * 9 + 8 * 4 * 4
    facts = describe_network(settings)
    assert facts.gflop_per_megapixel == pytest.approx(2 * (full + half / 4) / 1000)
    # Scale and offset of six normalizations, offsets of the up-convolution and of the logits.
    assert facts.n_parameters == full + half + 2 * (4 * 4 + 2 * 8) + 4 + 2


@pytest.mark.parametrize(("block", "skip", "attention", "decoders", "stem"), OPTIONS)
def test_the_halo_is_no_smaller_than_the_reach(block, skip, attention, decoders, stem):
    settings = NetworkSettings(
        block=block, skip=skip, attention=attention, decoders=decoders, stem_stride=stem, base_filters=4, depth=2
    )
    facts = describe_network(settings)
    assert facts.reach_px <= settings.halo_px
    # Never a stride of pixels more than needed, or prediction would be slower than it must be.
    assert settings.halo_px - facts.reach_px <= 2 * settings.stride_px


def test_the_encoder_costs_no_more_than_the_network_it_replaces():
    before = describe_network(NetworkSettings(base_filters=24, max_filters=192, depth=5, head="flow"))
    settings = NetworkSettings(encoder="efficientnet-lite0", base_filters=32, depth=4, head="flow")
    facts = describe_network(settings)
    assert facts.gflop_per_megapixel < before.gflop_per_megapixel
    # Stem 1, stages 2, 6, 24, 40 and 96 px; decoder 28, its grids 15 and the readout 1.
    assert facts.reach_px == 1 + 2 + 6 + 24 + 40 + 96 + 28 + 15 + 1
    assert settings.stride_px == 16
    assert facts.reach_px <= settings.halo_px < facts.reach_px + settings.stride_px


def test_the_reach_is_that_of_the_real_network(rng):
    settings = NetworkSettings(base_filters=4, depth=2, attention=True, decoders=2)
    reach_px = describe_network(settings).reach_px
    network = with_readout(build_network(settings))
    side = 2 * settings.halo_px + 4 * settings.stride_px
    image = rng.random((1, side, side, 3)).astype(np.float32)
    farthest = 0
    for row in range(side // 2, side // 2 + settings.stride_px):
        changed = image.copy()
        changed[:, row] += 3
        difference = np.abs(np.asarray(network(image)) - np.asarray(network(changed))).max(axis=(0, 2, 3))
        farthest = max(farthest, np.abs(np.flatnonzero(difference) - row).max())
    assert farthest <= reach_px
    # Random weights hardly carry to the very edge of the view.
    assert farthest >= reach_px - settings.stride_px


def test_the_card_names_what_was_chosen():
    sentence = network_in_words(NetworkSettings(base_filters=4, depth=2, attention=True, decoders=2, head="flow"))
    assert "attention gates, two decoders, stem stride 2, head flow" in sentence
    assert "receptive field 41 px" in sentence
