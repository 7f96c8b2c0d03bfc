"""The network's promises: its size, its halo, its loss."""

import keras
import numpy as np
import pytest

from organscope.train.segmentation.config import LossSettings, NetworkSettings
from organscope.train.segmentation.losses import MapLoss
from organscope.train.segmentation.network import build_network, with_readout

VARIANTS = [
    NetworkSettings(base_filters=4, depth=2),
    NetworkSettings(base_filters=4, depth=3, block="plain", stem_stride=1),
]


@pytest.mark.parametrize("settings", VARIANTS)
def test_two_maps_of_the_size_of_the_image(settings):
    images = np.zeros((2, 3 * settings.stride_px, 5 * settings.stride_px, 3), np.float32)
    assert build_network(settings)(images).shape == (*images.shape[:3], 2)


@pytest.mark.parametrize("settings", VARIANTS)
def test_nothing_beyond_the_halo_is_seen(settings, rng):
    network = with_readout(build_network(settings))
    side = 2 * settings.halo_px + 4 * settings.stride_px
    image = rng.random((1, side, side, 3)).astype(np.float32)
    changed = image.copy()
    changed[:, : settings.stride_px] += 1
    difference = np.abs(np.asarray(network(image)) - np.asarray(network(changed))).max(axis=(0, 2, 3))
    assert difference[: settings.stride_px].max() > 0
    assert difference[settings.stride_px + settings.halo_px :].max() == 0


def test_loss_of_a_hand_worked_case():
    truth = np.array([[[[1.0, 1.0], [0.0, 0.0]]]], np.float32)
    logits = np.zeros((1, 1, 2, 2), np.float32)
    # Every probability is 1/2: cross-entropy ln 2 for each map; Dice (2 * 0.5 + 1) / (1 + 1 + 1) = 2/3.
    loss = MapLoss(LossSettings(dice_weight=1.0))(truth, logits)
    assert float(loss) == pytest.approx(2 * np.log(2) + 1 / 3, abs=1e-6)
    # A missed pixel three times as heavy: the mean weight is (3 + 1) / 2.
    heavier = MapLoss(LossSettings(dice_weight=0.0, height_weight=0.0, positive_weight=3.0))(truth, logits)
    assert float(heavier) == pytest.approx(2 * np.log(2), abs=1e-6)


def test_loss_is_least_where_the_prediction_is_right():
    truth = np.full((1, 2, 2, 2), 0.3, np.float32)
    logits = np.linspace(-3, 3, 61, dtype=np.float32)
    height_only = MapLoss(LossSettings(dice_weight=0.0))
    losses = [float(height_only(truth, np.full_like(truth, value))) for value in logits]
    assert float(keras.ops.sigmoid(logits[int(np.argmin(losses))])) == pytest.approx(0.3, abs=0.02)
