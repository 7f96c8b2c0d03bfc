"""What is measured on held-out pictures so that few misses have a price, and what is known about the size of cells."""

from collections.abc import Iterable, Sequence

import numpy as np
import pandas as pd

from organscope.dataset.index import Sample
from organscope.metrics.finding import false_cells, found_cells
from organscope.metrics.matching import match_cells
from organscope.ops.faint import THRESHOLDS
from organscope.ops.instances import Decoder
from organscope.predict.operating_point import COLUMNS
from organscope.predict.stitch import decode_bands
from organscope.train.segmentation.tune import MapsAndLabels


def measure_operating_points(pictures: Iterable[MapsAndLabels], decoder: Decoder) -> pd.DataFrame:
    """Count found and false cells at the decoder's threshold and at each lower one of `organscope.ops.faint`.

    Args:
        pictures: Held-out pictures with the bundle's maps; one is in memory at a time.
        decoder: As tuned.

    Returns:
        The columns of `organscope.predict.operating_point.COLUMNS`, one row a data set and threshold.
    """
    usual = decoder.foreground_threshold
    thresholds = (usual, *(t for t in THRESHOLDS if t < usual))
    rows = []
    for dataset, maps, labels in pictures:
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
    """Median equivalent diameter of the cells of all pictures, in pixels; None where there is no cell."""
    areas = [np.bincount(sample.read_labels().ravel(), minlength=1)[1:] for sample in samples]
    area_px = np.concatenate([area[area > 0] for area in areas])
    return round(float(np.sqrt(4 * np.median(area_px) / np.pi)), 1) if area_px.size else None
