"""How good a network is between two epochs, on crops of the inner validation pictures that never change."""

from collections import defaultdict

import keras
import numpy as np

from organscope.metrics.segmentation import defined_mean, segmentation_scores
from organscope.ops.instances import Decoder, decode_cells
from organscope.ops.preprocess import standardise
from organscope.train.segmentation.config import SegmentationConfig
from organscope.train.segmentation.crops import Pictures

METRICS = ("pq", "dice", "aji", "missed_rate", "false_rate")
FOREGROUND_THRESHOLDS = (0.4, 0.5, 0.65)
"""The best of these counts, so that a network is not taken for worse because its probabilities lie higher or lower."""


def validate(network: keras.Model, pictures: Pictures, config: SegmentationConfig) -> dict[str, float]:
    """Score fixed crops, two corners of each picture, with decoders near those that tuning usually ends with.

    Args:
        network: With its readout.
        pictures: Validation pictures.
        config: For preprocessing and crop size.

    Returns:
        Means over the crops of a dataset, averaged over datasets, so that a large set does not drown a small one: `pq`,
        `dice`, `aji`, `missed_rate` and `false_rate` at the threshold of highest PQ, and `score`, which is that PQ.
    """
    decoders = [_decoder(config, threshold) for threshold in FOREGROUND_THRESHOLDS]
    rows = defaultdict(list)
    for number, sample in enumerate(pictures.samples):
        for image, labels in pictures.corners(number, config.fit.crop_px):
            tile = standardise(image.astype(np.float32) / 255, config.preprocessing)
            padded, size = _pad(tile, config.network.stride_px)
            maps = np.ascontiguousarray(network.predict_on_batch(padded[None])[0, : size[0], : size[1]])
            # Where labels are ignored no cell is expected, and none is taken for a false one.
            maps[labels < 0, 0] = 0
            labels = np.maximum(labels, 0)
            scores = [segmentation_scores(labels, decode_cells(maps, decoder)) for decoder in decoders]
            rows[sample.dataset].append([[score[metric] for metric in METRICS] for score in scores])
    means = defined_mean([defined_mean(values) for values in rows.values()])
    # Crops without a cell in which none was found have no score. Where no crop has one, no epoch is better for it.
    means = np.nan_to_num(means)
    best = means[np.argmax(means[:, 0])]
    return {**{metric: float(value) for metric, value in zip(METRICS, best, strict=True)}, "score": float(best[0])}


def _decoder(config: SegmentationConfig, threshold: float) -> Decoder:
    return Decoder(
        head=config.network.head,
        foreground_threshold=threshold,
        seed_prominence=0.12,
        smoothing=1,
        fill_holes=True,
        min_probability=threshold + 0.3 * (1 - threshold),
    )


def _pad(tile: np.ndarray, stride_px: int) -> tuple[np.ndarray, tuple[int, int]]:
    height, width = tile.shape[:2]
    missing = [(0, -height % stride_px), (0, -width % stride_px), (0, 0)]
    return np.pad(tile, missing, mode="reflect"), (height, width)
