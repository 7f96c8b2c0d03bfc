"""Thresholds of the decoder, chosen on the inner validation pictures."""

from collections.abc import Callable, Iterator
from itertools import product

import numpy as np

from organscope.metrics.segmentation import segmentation_scores
from organscope.ops.instances import Decoder, decode_cells

FOREGROUND_THRESHOLDS = (0.35, 0.4, 0.45, 0.5, 0.55, 0.6)
SEED_THRESHOLDS = (0.3, 0.4, 0.5, 0.6, 0.7)
MIN_AREAS_PX = (10, 20, 40)

MapsAndLabels = tuple[str, np.ndarray, np.ndarray]
"""Name of the dataset, maps float32 (y, x, 2), labels int32 (y, x)."""


def tune_decoder(pictures: Callable[[], Iterator[MapsAndLabels]], head: str, report: Callable[[str], None]) -> Decoder:
    """Find the decoder with the best mean of PQ and mean AP, each dataset counting the same.

    First both thresholds at a fixed smallest area, then the smallest area, so that 33 settings are tried and
    not 90. One picture is in memory at a time.
    """
    grid = [
        Decoder(head=head, foreground_threshold=f, seed_threshold=s)
        for f, s in product(FOREGROUND_THRESHOLDS, SEED_THRESHOLDS)
    ]
    best, score = _best(grid, pictures)
    areas = [best.model_copy(update={"min_area_px": area}) for area in MIN_AREAS_PX]
    best, score = _best(areas, pictures)
    report(
        f"decoder: foreground {best.foreground_threshold}, seeds {best.seed_threshold}, "
        f"at least {best.min_area_px} px; (PQ + mean AP) / 2 = {score:.4f} on the validation pictures"
    )
    return best


def _best(decoders: list[Decoder], pictures: Callable[[], Iterator[MapsAndLabels]]) -> tuple[Decoder, float]:
    by_dataset: dict[str, list[list[float]]] = {}
    for dataset, maps, labels in pictures():
        scores = [_score(maps, labels, decoder) for decoder in decoders]
        by_dataset.setdefault(dataset, []).append(scores)
    mean = np.mean([np.nanmean(rows, axis=0) for rows in by_dataset.values()], axis=0)
    winner = int(np.argmax(mean))
    return decoders[winner], float(mean[winner])


def _score(maps: np.ndarray, labels: np.ndarray, decoder: Decoder) -> float:
    scores = segmentation_scores(labels, decode_cells(maps, decoder))
    return (scores["pq"] + scores["mean_ap"]) / 2
