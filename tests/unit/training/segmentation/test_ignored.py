"""Regions of which nothing is known teach nothing: neither cell nor background."""

import keras
import numpy as np
import pytest
from scipy import ndimage

from organscope.evaluation.metrics.segmentation import judged_cells
from organscope.ops.instances import HEAD_MAPS
from organscope.training.origin import Place
from organscope.training.segmentation.config import SegmentationConfig
from organscope.training.segmentation.data import TrainingCrops, training_maps
from organscope.training.segmentation.fit import MapLoss
from organscope.training.segmentation.network import build_network

HEADS = ["distance", "boundary", "flow"]


def config_of(head: str) -> SegmentationConfig:
    return SegmentationConfig.model_validate(
        {
            "data": {"sources": [{"index": "none"}]},
            "bundle": {"name": "none", "summary": "none"},
            "network": {"head": head, "depth": 2},
            "fit": {"crop_px": 32, "batch": 2},
        }
    )


@pytest.fixture
def labels(rng) -> np.ndarray:
    found, _ = ndimage.label(ndimage.gaussian_filter(rng.random((80, 90)), 3) > 0.5)
    found[20:50, 30:60] = -1
    return found.astype(np.int32)


@pytest.mark.parametrize("head", HEADS)
def test_maps_say_what_is_known(labels, head):
    maps = training_maps(labels, head)
    np.testing.assert_array_equal(maps[..., -1] == 255, labels >= 0)
    np.testing.assert_array_equal(maps[..., :-1], training_maps(np.maximum(labels, 0), head))


@pytest.mark.parametrize("head", HEADS)
def test_no_gradient_comes_from_an_ignored_region(head, rng):
    """A real step of the loss: what is predicted where nothing is known changes neither loss nor gradient."""
    n_maps = len(HEAD_MAPS[head])
    loss = MapLoss(config_of(head).loss)
    truth = (rng.random((2, 16, 16, n_maps)) > 0.5).astype(np.float32)
    logits = rng.normal(size=(2, 16, 16, n_maps)).astype(np.float32)
    known = np.ones((2, 16, 16, 1), np.float32)
    known[:, 4:9, 2:11] = 0
    whole = float(loss(truth, logits))
    assert float(loss(np.concatenate([truth, np.ones_like(known)], axis=3), logits)) == pytest.approx(whole, rel=1e-5)
    partly = np.concatenate([truth, known], axis=3)
    other = np.where(known > 0, logits, 9 * rng.normal(size=logits.shape)).astype(np.float32)
    assert float(loss(partly, other)) == pytest.approx(float(loss(partly, logits)), rel=1e-5)
    flipped = np.concatenate([np.where(known > 0, truth, 1 - truth), known], axis=3)
    assert float(loss(flipped, logits)) == pytest.approx(float(loss(partly, logits)), rel=1e-5)
    assert float(loss(partly, logits)) != pytest.approx(whole, rel=1e-3)


class Pictures:
    """Two images in memory, one with an ignored region."""

    def __init__(self, labels: np.ndarray, head: str) -> None:
        pixels = np.random.default_rng(0).integers(0, 256, (*labels.shape, 3), dtype=np.uint8)
        self.samples = [None, None]
        self._pairs = [(pixels, training_maps(each, head)) for each in (np.maximum(labels, 0), labels)]

    def window(self, number: int, side_px: int, random: np.random.Generator):
        return self._pairs[number]


@pytest.mark.parametrize("head", HEADS)
def test_a_batch_of_both_kinds_trains_a_network(labels, head):
    config = config_of(head)
    n_maps = len(HEAD_MAPS[head])
    crops = TrainingCrops(Pictures(labels, head), np.array([0.5, 0.5]), config, epoch=1, place=Place())
    batches = [crops[step] for step in range(12)]
    widths = {maps.shape[3] for _, maps in batches}
    assert widths <= {n_maps, n_maps + 1}
    assert n_maps + 1 in widths
    images, maps = next(batch for batch in batches if batch[1].shape[3] == n_maps + 1)
    assert set(np.unique(maps[..., n_maps])) <= {0, 1}
    network = build_network(config.network)
    network.compile(optimizer=keras.optimizers.SGD(0.01), loss=MapLoss(config.loss))
    for images, maps in batches[:3]:
        assert np.isfinite(network.train_on_batch(images, maps))


def test_a_cell_in_an_ignored_region_is_not_judged():
    predicted = np.zeros((10, 10), np.int32)
    predicted[0:4, 0:4], predicted[6:10, 6:10] = 1, 2
    ignored = np.zeros((10, 10), bool)
    ignored[:, :3] = True
    kept = judged_cells(predicted, ignored)
    assert set(np.unique(kept)) == {0, 2}
    assert judged_cells(predicted, np.zeros_like(ignored)) is predicted
