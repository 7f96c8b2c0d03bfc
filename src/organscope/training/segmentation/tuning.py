"""The decoder's thresholds, chosen on the inner validation images.

What is measured on held-out images so that few misses have a price, and what is known about the size of cells.
"""

from collections import defaultdict
from collections.abc import Callable, Iterable, Sequence
from itertools import product
from typing import Any

import numpy as np
import pandas as pd

from organscope.data.index import Sample
from organscope.evaluation.metrics.segmentation import (
    defined_mean,
    false_cells,
    found_cells,
    match_cells,
    segmentation_scores,
)
from organscope.inference.operating_points import COLUMNS
from organscope.inference.stitching import decode_bands
from organscope.ops.instances import THRESHOLDS, Decoder, Head, decode_cells, decoder_in_words
from organscope.training.split import TrainingSplit

_MOST_PX = 1 << 25
"""Pixels of all images together that thresholds are tried on; larger images count with their middle."""

_FEW_IMAGES = 6
"""With fewer validation images a fine-tuning chooses thresholds and calibration on the training images as well: a
handful of cells says less than cells that the network has seen for a few steps."""

MapsAndLabels = tuple[str, np.ndarray, np.ndarray]
"""Name of the dataset, maps float32 (y, x, k), labels int32 (y, x)."""

_Options = list[dict[str, Any]]


def tuning_samples(split: TrainingSplit, n_training: int, *, is_finetuning: bool) -> list[Sample]:
    """The images that thresholds and calibration are chosen on; `n_training` of each data set's training images too."""
    if is_finetuning and len(split.validation) < _FEW_IMAGES:
        return [*split.validation, *split.training]
    by_set: dict[str, list[Sample]] = defaultdict(list)
    for sample in split.training:
        by_set[sample.dataset].append(sample)
    chosen = (np.unique(np.linspace(0, len(own) - 1, n_training).astype(int)) for own in by_set.values())
    more = (own[number] for own, numbers in zip(by_set.values(), chosen, strict=True) for number in numbers)
    return [*split.validation, *more]


def tune_decoder(images: Iterable[MapsAndLabels], n_images: int, head: Head, report: Callable[[str], None]) -> Decoder:
    """Find the decoder with the best mean of Dice, AJI, PQ and mean AP, each dataset counting the same.

    First a coarse grid of foreground and seeds, where most is won or lost; then one parameter after the other
    around the best so far. About 70 settings.

    Args:
        images: Held-out images with the bundle's maps; passed through once.
        n_images: How many there are.
        head: Of the network.
        report: Gets one line for the person who watches.
    """
    side_px = int(np.sqrt(_MOST_PX / max(n_images, 1)))
    examples = [(dataset, *_middle(maps, labels, side_px)) for dataset, maps, labels in images]
    scores: dict[Decoder, float] = {}
    best = Decoder(head=head)
    for options in (_grid, _finer_seeds, _finer_foreground, _least_likely, _smallest, _finer_foreground):
        candidates = [best, *(best.model_copy(update=option) for option in options(best))]
        _try(candidates, examples, scores)
        best = max(candidates, key=scores.__getitem__)
    report(
        f"decoder: {decoder_in_words(best)}; mean of Dice, AJI, PQ and mean AP on the validation images "
        f"{scores[best]:.4f}"
    )
    return best


def _grid(best: Decoder) -> _Options:
    seeds = [{"seed_threshold": t} for t in (0.3, 0.4, 0.5, 0.6, 0.7)]
    seeds += [{"seed_prominence": p, "smoothing": n} for p, n in product((0.04, 0.08, 0.16), (0, 2, 6))]
    return [{"foreground_threshold": f, **seed} for f, seed in product((0.35, 0.45, 0.55), seeds)]


def _finer_seeds(best: Decoder) -> _Options:
    if best.seed_prominence is None:
        around = ((-0.05, 0), (0.05, 0), (0, 1), (0, 3))
        return [{"seed_threshold": round(best.seed_threshold + step, 3), "smoothing": n} for step, n in around]
    near = [round(best.seed_prominence * factor, 3) for factor in (0.5, 0.7, 1.4, 2)]
    return [{"seed_prominence": p} for p in near] + [{"smoothing": n} for n in (1, 4, 10)]


def _finer_foreground(best: Decoder) -> _Options:
    near = (round(best.foreground_threshold + step, 3) for step in (-0.1, -0.05, -0.025, 0.025, 0.05, 0.1))
    return [{"foreground_threshold": f} for f in near if 0 < f < 1]


def _least_likely(best: Decoder) -> _Options:
    """The least probability lies above the foreground threshold, since every pixel of a cell does."""
    share = (0.0, 0.15, 0.3, 0.4, 0.5, 0.6)
    likely = [round(best.foreground_threshold + s * (1 - best.foreground_threshold), 3) if s else 0.0 for s in share]
    return [{"fill_holes": fill, "min_probability": p} for fill, p in product((False, True), likely)]


def _smallest(best: Decoder) -> _Options:
    return [{"min_area_px": area} for area in (10, 20, 30, 45, 70)]


def _middle(maps: np.ndarray, labels: np.ndarray, side_px: int) -> tuple[np.ndarray, np.ndarray]:
    start = [max(0, (length - side_px) // 2) for length in labels.shape]
    window = tuple(slice(first, first + side_px) for first in start)
    return np.ascontiguousarray(maps[window]), labels[window]


def _try(decoders: list[Decoder], examples: list[MapsAndLabels], scores: dict[Decoder, float]) -> None:
    """Score the decoders that have no score yet."""
    for decoder in decoders:
        if decoder not in scores:
            by_dataset: dict[str, list[float]] = {}
            for dataset, maps, labels in examples:
                by_dataset.setdefault(dataset, []).append(_score(maps, labels, decoder))
            scores[decoder] = float(defined_mean([defined_mean(values) for values in by_dataset.values()]))


def _score(maps: np.ndarray, labels: np.ndarray, decoder: Decoder) -> float:
    found = segmentation_scores(labels, decode_cells(maps, decoder))
    # Dice alone punishes a cell that is missed as a whole by its size, and so speaks for keeping doubtful ones.
    return (found["dice"] + found["aji"] + found["pq"] + found["mean_ap"]) / 4


def measure_operating_points(images: Iterable[MapsAndLabels], decoder: Decoder) -> pd.DataFrame:
    """Count found and false cells at the decoder's threshold and at each lower one of `organscope.ops.instances`.

    Args:
        images: Held-out images with the bundle's maps; one is in memory at a time.
        decoder: As tuned.

    Returns:
        The columns of `organscope.inference.operating_points.COLUMNS`, one row a data set and threshold.
    """
    usual = decoder.foreground_threshold
    thresholds = (usual, *(t for t in THRESHOLDS if t < usual))
    rows = []
    for dataset, maps, labels in images:
        for threshold in thresholds:
            faint = None if threshold == usual else threshold
            predicted, _ = decode_bands([maps], maps.shape[:2], decoder, faint_threshold=faint)
            rows.append({"dataset": dataset, "threshold": threshold, "n_images": 1, **_counts(labels, predicted)})
    table = pd.DataFrame(rows, columns=list(COLUMNS)).groupby(["dataset", "threshold"], as_index=False).sum()
    return table[list(COLUMNS)].astype(COLUMNS)


def _counts(labels: np.ndarray, predicted: np.ndarray) -> dict[str, int]:
    pairs = match_cells(labels, predicted)
    return {
        "n_truth": pairs.truth_ids.size,
        "n_predicted": pairs.predicted_ids.size,
        "n_found": int(found_cells(pairs).sum()),
        "n_false": int(false_cells(pairs).sum()),
        "n_matched_50": pairs.matched(0.5).size,
    }


def typical_diameter_px(samples: Sequence[Sample]) -> float | None:
    """Median equivalent diameter of the cells of all images, in pixels; None where there is no cell."""
    areas = [np.bincount(sample.read_labels().ravel(), minlength=1)[1:] for sample in samples]
    area_px = np.concatenate([area[area > 0] for area in areas])
    return round(float(np.sqrt(4 * np.median(area_px) / np.pi)), 1) if area_px.size else None
