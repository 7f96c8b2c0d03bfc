"""The network's promises: its size, its halo, its loss."""

import keras
import numpy as np
import pytest

from organscope.models import load_bundle
from organscope.ops.instances import HEAD_MAPS
from organscope.training.origin import Base
from organscope.training.segmentation.config import LossSettings, NetworkSettings
from organscope.training.segmentation.fit import MapLoss
from organscope.training.segmentation.network import Start, build_network, with_readout

VARIANTS = {
    "shipped": NetworkSettings(base_filters=4, depth=2),
    "plain": NetworkSettings(base_filters=4, depth=3, block="plain", skip="concat", stem_stride=1),
    "attention": NetworkSettings(base_filters=4, depth=3, attention=True),
    "dual": NetworkSettings(base_filters=4, depth=3, skip="concat", decoders=2, stem_stride=1),
    "flow": NetworkSettings(base_filters=4, depth=2, attention=True, decoders=2, head="flow"),
    "encoder": NetworkSettings(encoder="efficientnet-lite0", base_filters=4, depth=4, head="flow"),
}
each_variant = pytest.mark.parametrize("settings", VARIANTS.values(), ids=VARIANTS)


@each_variant
def test_maps_of_the_size_of_the_image(settings):
    images = np.zeros((2, 3 * settings.stride_px, 5 * settings.stride_px, 3), np.float32)
    assert build_network(settings)(images).shape == (*images.shape[:3], len(HEAD_MAPS[settings.head]))


@each_variant
def test_nothing_beyond_the_halo_is_seen(settings, rng):
    network = with_readout(build_network(settings))
    side = 2 * settings.halo_px + 4 * settings.stride_px
    image = rng.random((1, side, side, 3)).astype(np.float32)
    changed = image.copy()
    changed[:, : settings.stride_px] += 1
    difference = np.abs(np.asarray(network(image)) - np.asarray(network(changed))).max(axis=(0, 2, 3))
    assert difference[: settings.stride_px].max() > 0
    assert difference[settings.stride_px + settings.halo_px :].max() == 0


def test_the_shipped_weights_still_fit():
    """A new option must leave the network of older bundles as it was, or they can no longer be trained on."""
    bundle = load_bundle("nuclei")
    network = build_network(NetworkSettings(**bundle.manifest.weights.architecture))
    Start.of(bundle).load_into(network)
    test = bundle.tensors(bundle.manifest.test.file)
    maps = np.asarray(with_readout(network)(test["input"]))
    # The shipped graph may count in eight-bit integers: single pixels differ, the maps as a whole by about .01.
    # Weights that do not fit differ by .2 and more.
    assert np.abs(maps - test["maps"]).mean() <= 0.03


@pytest.mark.parametrize("stem_stride", [1, 2])
def test_weights_go_on_under_another_head(stem_stride, rng, tmp_path):
    old, new = (NetworkSettings(base_filters=4, depth=2, stem_stride=stem_stride, head=h) for h in ("distance", "flow"))
    known, network = build_network(old), build_network(new)
    known.save_weights(tmp_path / "known.weights.h5")
    start = Start((tmp_path / "known.weights.h5").read_bytes(), old, Base(name="known", source="known", sha256=""))
    start.load_into(network, "flow")
    image = rng.random((1, 16, 16, 3)).astype(np.float32)
    # In which order sums are added up, and so their last digit, may depend on the number of maps.
    np.testing.assert_allclose(np.asarray(network(image))[..., :2], np.asarray(known(image)), atol=1e-6)
    start.blend_into(network, "flow", 1.0)
    np.testing.assert_allclose(np.asarray(network(image))[..., :2], np.asarray(known(image)), atol=1e-6)


def test_loss_of_a_hand_worked_case():
    truth = np.array([[[[1.0, 1.0], [0.0, 0.0]]]], np.float32)
    logits = np.zeros((1, 1, 2, 2), np.float32)
    # Every probability is 1/2: cross-entropy ln 2 for each map; Dice (2 * 0.5 + 1) / (1 + 1 + 1) = 2/3.
    loss = MapLoss(LossSettings(overlap_weight=1.0))(truth, logits)
    assert float(loss) == pytest.approx(2 * np.log(2) + 1 / 3, abs=1e-6)
    # A missed pixel three times as heavy: the mean weight is (3 + 1) / 2.
    heavier = MapLoss(LossSettings(overlap_weight=0.0, height_weight=0.0, positive_weight=3.0))(truth, logits)
    assert float(heavier) == pytest.approx(2 * np.log(2), abs=1e-6)


def test_loss_is_least_where_the_prediction_is_right():
    truth = np.full((1, 2, 2, 2), 0.3, np.float32)
    logits = np.linspace(-3, 3, 61, dtype=np.float32)
    height_only = MapLoss(LossSettings(overlap_weight=0.0))
    losses = [float(height_only(truth, np.full_like(truth, value))) for value in logits]
    assert float(keras.ops.sigmoid(logits[int(np.argmin(losses))])) == pytest.approx(0.3, abs=0.02)


def test_tversky_is_dice_with_other_weights(rng):
    truth = (rng.random((1, 8, 8, 2)) < 0.4).astype(np.float32)
    logits = rng.normal(0, 2, (1, 8, 8, 2)).astype(np.float32)
    alone = {"height_weight": 0.0, "overlap_weight": 1.0}
    dice = float(MapLoss(LossSettings(**alone))(truth, logits))
    even = float(MapLoss(LossSettings(**alone, overlap="tversky", missed_weight=0.5))(truth, logits))
    assert even == pytest.approx(dice, rel=1e-6)


def test_a_crop_with_small_cells_counts_like_any_other():
    truth = np.zeros((2, 16, 16, 2), np.float32)
    truth[0, :8, :, 0], truth[1, 0, 0, 0] = 1, 1
    right = np.where(truth > 0, 20.0, -20.0).astype(np.float32)
    missed = right.copy()
    missed[1, 0, 0, 0] = -20
    alone = {"overlap_weight": 1.0, "height_weight": 0.0, "positive_weight": 1e-9}
    crop, batch = (MapLoss(LossSettings(**alone, overlap_of=of)) for of in ("crop", "batch"))
    assert float(crop(truth, right)) == pytest.approx(float(batch(truth, right)), abs=1e-6)
    # The second crop alone: 1 - 1 / (1 + 1); the first is right. Over the batch: 1 - 257 / 258.
    assert float(crop(truth, missed)) == pytest.approx(0.25, abs=1e-6)
    assert float(batch(truth, missed)) == pytest.approx(1 / 258, abs=1e-6)


@pytest.mark.parametrize("overlap", ["tversky", "focal_tversky"])
def test_a_missed_cell_costs_more_than_a_false_one(overlap):
    truth = np.zeros((1, 4, 4, 2), np.float32)
    truth[:, :2, :, 0] = 1
    right = np.where(truth > 0, 8.0, -8.0).astype(np.float32)
    missed, false = right.copy(), right.copy()
    missed[:, 0, :, 0], false[:, 3, :, 0] = -8, 8
    loss = MapLoss(LossSettings(overlap=overlap, overlap_weight=1.0, height_weight=0.0))
    symmetric = MapLoss(LossSettings(overlap_weight=0.0, height_weight=0.0))
    assert float(symmetric(truth, missed)) == pytest.approx(float(symmetric(truth, false)), rel=1e-5)
    assert float(loss(truth, missed)) > float(loss(truth, false)) > float(loss(truth, right))


def test_focal_tversky_of_a_hand_worked_case():
    truth = np.array([[[[1.0, 0.0], [0.0, 0.0]]]], np.float32)
    # Probability 1/2 twice: both 0.5, missed 0.5, false 0.5; 1 - 2 / (2 (0.5 + 0.35 + 0.15) + 1) = 1/3.
    settings = LossSettings(overlap="focal_tversky", overlap_weight=1.0, height_weight=0.0, focus=2.0)
    loss = float(MapLoss(settings)(truth, np.zeros_like(truth)))
    assert loss == pytest.approx(np.log(2) + (1 / 3) ** 0.5, abs=1e-5)


def test_directions_are_learned_inside_cells_alone():
    truth = np.full((1, 2, 2, 4), 0.5, np.float32)
    truth[..., 0] = [[1, 0], [1, 0]]
    logits = np.zeros((1, 2, 2, 4), np.float32)
    loss = MapLoss(LossSettings())
    outside, inside = logits.copy(), logits.copy()
    outside[:, :, 1, 2:], inside[:, :, 0, 2:] = 3, 3
    assert float(loss(truth, outside)) == pytest.approx(float(loss(truth, logits)))
    assert float(loss(truth, inside)) > float(loss(truth, logits))
