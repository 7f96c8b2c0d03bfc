"""The search for the decoder's thresholds, on maps whose best decoder is known."""

from types import SimpleNamespace

import numpy as np
import pytest
from scipy import ndimage

from organscope.evaluation.metrics.segmentation import segmentation_scores
from organscope.ops.instances import Decoder, decode_cells
from organscope.training.segmentation import tuning
from organscope.training.segmentation.data import training_maps
from organscope.training.segmentation.tuning import tune_decoder, tuning_samples


def picture(seed: int) -> tuple[str, np.ndarray, np.ndarray]:
    """Touching cells of three sizes, faint and rough maps, and false cells of low probability."""
    random = np.random.default_rng(seed)
    y, x = np.mgrid[:96, :96]
    labels = np.zeros((96, 96), np.int32)
    for cell, (cy, cx, r) in enumerate([(20, 20, 12), (20, 43, 12), (60, 30, 16), (75, 75, 9), (75, 90, 7)], start=1):
        labels[(np.hypot(y - cy, x - cx) < r) & (labels == 0)] = cell
    maps = training_maps(labels, "distance").astype(np.float32) / 255
    false = np.hypot(y - 25, x - 80) < 7
    maps[..., 0] = ndimage.gaussian_filter(maps[..., 0], 1) * 0.9 + 0.55 * false
    maps[..., 1] = np.clip(maps[..., 1] * 0.6 + random.normal(0, 0.05, labels.shape), 0, 1)
    return f"set {seed % 2}", maps.astype(np.float32), labels


def mean_score(decoder: Decoder, pictures: list) -> float:
    scores = [segmentation_scores(labels, decode_cells(maps, decoder)) for _, maps, labels in pictures]
    return float(np.mean([(s["dice"] + s["aji"] + s["pq"] + s["mean_ap"]) / 4 for s in scores]))


def test_the_tuned_decoder_copes_with_what_the_default_does_not():
    images = [picture(seed) for seed in range(2)]
    lines = []
    decoder = tune_decoder(iter(images), len(images), "distance", lines.append)
    assert mean_score(decoder, images) > mean_score(Decoder(), images) + 0.1
    assert mean_score(decoder, images) > 0.9
    assert f"{mean_score(decoder, images):.4f}" in lines[0]
    # The false cell is as large as a true one, but never as likely.
    assert all(decode_cells(maps, decoder)[25, 80] == 0 for _, maps, _ in images)


def test_of_large_images_the_middle_counts(monkeypatch):
    monkeypatch.setattr(tuning, "_MOST_PX", 2 * 40**2)
    tried = []

    def shape_of(maps, labels, decoder):
        tried.append((maps.shape, labels.shape))
        return 0.5

    monkeypatch.setattr(tuning, "_score", shape_of)
    tune_decoder(iter([picture(0), picture(1)]), 2, "distance", lambda line: None)
    assert set(tried) == {((40, 40, 2), (40, 40))}


@pytest.mark.parametrize("head", ["boundary", "flow"])
def test_every_head_is_tuned(head):
    _, _, labels = picture(0)
    maps = training_maps(labels, head).astype(np.float32) / 255
    decoder = tune_decoder(iter([("set", maps, labels)]), 1, head, lambda line: None)
    assert decoder.head == head
    assert segmentation_scores(labels, decode_cells(maps, decoder))["pq"] > 0.95


def _split(n_training: int, n_validation: int) -> SimpleNamespace:
    """As much of a split as is asked for: names of images and of their sets."""
    training = [SimpleNamespace(id=n, dataset="large" if n < n_training - 2 else "small") for n in range(n_training)]
    return SimpleNamespace(training=training, validation=[SimpleNamespace(id=100 + n) for n in range(n_validation)])


def _chosen(split: SimpleNamespace, n_training: int, *, is_finetuning: bool = False) -> list[int]:
    return [sample.id for sample in tuning_samples(split, n_training, is_finetuning=is_finetuning)]


def test_thresholds_are_chosen_on_validation_images_and_some_of_each_set_that_trained():
    split = _split(12, 2)
    assert _chosen(split, 0) == [100, 101]
    assert _chosen(split, 3) == [100, 101, 0, 4, 9, 10, 11]
    assert len(_chosen(split, 99)) == 14
    assert len(_chosen(split, 0, is_finetuning=True)) == 14
    assert _chosen(_split(12, 6), 0, is_finetuning=True) == [*range(100, 106)]
