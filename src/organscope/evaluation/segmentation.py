"""Score a segmentation bundle image by image."""

from collections.abc import Callable, Sequence

import numpy as np
import pandas as pd
from jaxtyping import Float64, Int64

from organscope.data.index import Sample
from organscope.errors import AnnotationError
from organscope.evaluation.metrics.classification import N_BINS, calibration_error, reliability_sums
from organscope.evaluation.metrics.segmentation import (
    CellPairs,
    cell_counts,
    defined_mean,
    detection_scores,
    judged_cells,
    match_cells,
    scores_of_pairs,
)
from organscope.evaluation.statistics import (
    LEVEL,
    N_RESAMPLES,
    SEED,
    bootstrap_mean,
    bootstrap_ratio,
    choose_unit,
    percentile_interval,
    resample_counts,
)
from organscope.inference import Segmentation, segment_image
from organscope.models import Bundle

_ORGAN_MEANS = ("dice", "aji", "pq", "ap_50")


def score_images(
    bundle: Bundle, samples: Sequence[Sample], progress: Callable[[int, int], None]
) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Segment each image and compare it with its labels; one image is in memory at a time.

    Returns:
        One row an image (`scores_of_pairs` and `cell_counts`), and one row a predicted cell (`id` of the
        image, `cell`, `probability`, `matched` at IoU .5).
    """
    images, cells = [], []
    for position, sample in enumerate(samples):
        progress(position, len(samples))
        known = sample.read_labels(keep_ignored=True)
        truth = np.maximum(known, 0)
        with sample.open() as image:
            found = segment_image(image, bundle)
        if truth.shape != found.labels.shape:
            raise AnnotationError(
                f"Expected labels of {found.labels.shape} px for {sample.image_path}, found {truth.shape} "
                f"in {sample.labels_path}. Import the data again."
            )
        pairs = match_cells(truth, judged_cells(found.labels, known < 0))
        images.append(_image_row(sample, pairs, found))
        cells.append(_cell_rows(sample, pairs, found.probability[pairs.predicted_ids - 1]))
    progress(len(samples), len(samples))
    return pd.DataFrame(images), pd.concat(cells, ignore_index=True)


def summarize(images: pd.DataFrame, cells: pd.DataFrame) -> tuple[pd.DataFrame, str]:
    """Scores of the images of one data set with 95 % intervals.

    Plain names are means over images, `pooled_` ones are made of the cells of all images together, and
    `cell_ece` is the calibration error of the cells' probability against "matched at IoU .5".

    Returns:
        Columns `metric`, `value`, `low`, `high`, `unit`; and the note on the intervals.
    """
    unit = choose_unit(images["group"].to_numpy())
    drawn = resample_counts(unit.groups, n_resamples=N_RESAMPLES, seed=SEED)
    once = np.ones((1, len(images)), np.int64)
    values, resampled = (_statistics(images, cells, counts) for counts in (once, drawn))
    rows = [
        (name, float(values[name][0]), *percentile_interval(resampled[name], level=LEVEL), unit.name) for name in values
    ]
    return pd.DataFrame(rows, columns=["metric", "value", "low", "high", "unit"]), unit.note


def by_organ(images: pd.DataFrame) -> pd.DataFrame:
    """One row a data set and organ: means over its images, error rates over its cells, 95 % intervals.

    An organ's images often come from a single slide, so images are drawn here, not groups.
    """
    rows = []
    for (dataset, organ), part in images.groupby(["dataset", "organ"], sort=True):
        alone = np.arange(len(part))
        row = {"dataset": dataset, "organ": organ, "n_images": len(part), "n_cells": part["n_truth"].sum()}
        for name in _ORGAN_MEANS:
            values = part[name].to_numpy()
            defined = ~np.isnan(values)
            row[name] = float(defined_mean(values))
            row[f"{name}_low"], row[f"{name}_high"] = (np.nan, np.nan)
            if defined.any():
                row[f"{name}_low"], row[f"{name}_high"] = bootstrap_mean(values[defined], alone[defined], seed=SEED)
        for name, column in (("missed_rate", "n_truth"), ("false_rate", "n_predicted")):
            below = part[column].to_numpy()
            above = below - part["n_matched_50"].to_numpy()
            row[name] = above.sum() / max(below.sum(), 1)
            row[f"{name}_low"], row[f"{name}_high"] = bootstrap_ratio(above, below, alone, seed=SEED)
        rows.append(row)
    return pd.DataFrame(rows)


def _image_row(sample: Sample, pairs: CellPairs, found: Segmentation) -> dict:
    return {
        "id": sample.id,
        "dataset": sample.dataset,
        "organ": sample.organ,
        "group": sample.group,
        "fold": sample.fold,
        **scores_of_pairs(pairs),
        **cell_counts(pairs),
        "seconds": found.seconds,
        "scale": found.scale.factor,
    }


def _cell_rows(sample: Sample, pairs: CellPairs, probability: np.ndarray) -> pd.DataFrame:
    matched = np.isin(np.arange(pairs.predicted_ids.size), pairs.predicted[pairs.matched(0.5)])
    rows = {"id": sample.id, "cell": pairs.predicted_ids, "probability": probability, "matched": matched}
    return pd.DataFrame(rows).astype({"id": "str"})


def _statistics(
    images: pd.DataFrame, cells: pd.DataFrame, drawn: Int64[np.ndarray, "resamples n"]
) -> dict[str, Float64[np.ndarray, " resamples"]]:
    """Every score for each of several draws of images, given how often each image is drawn."""
    counts = images.loc[:, "n_truth":"matched_iou_50"]
    means = images.loc[:, "dice":"false_rate"]
    sums = {name: drawn @ counts[name].to_numpy() for name in counts}
    pooled = detection_scores(sums)
    bins = (drawn @ _reliability_of_images(images, cells)).reshape(-1, 3, N_BINS)
    return {
        **{name: _drawn_mean(means[name].to_numpy(np.float64), drawn) for name in means},
        **{f"pooled_{name}": pooled[name] for name in pooled if name not in ("rq", "sq")},
        "cell_ece": np.array([calibration_error(one) for one in bins]),
    }


def _drawn_mean(
    values: Float64[np.ndarray, " n"], drawn: Int64[np.ndarray, "resamples n"]
) -> Float64[np.ndarray, " resamples"]:
    """Mean of each draw over the images whose score is defined; not-a-number where none of them was drawn."""
    n_defined = drawn @ (~np.isnan(values)).astype(np.int64)
    sums = drawn @ np.nan_to_num(values)
    return np.where(n_defined > 0, sums / np.maximum(n_defined, 1), np.nan)


def _reliability_of_images(images: pd.DataFrame, cells: pd.DataFrame) -> Float64[np.ndarray, "n sums"]:
    sums = np.zeros((len(images), 3 * N_BINS))
    position = pd.Series(np.arange(len(images)), index=images["id"])
    for name, part in cells.groupby("id"):
        confidence, matched = part["probability"].to_numpy(), part["matched"].to_numpy()
        sums[position[name]] = reliability_sums(confidence, matched).reshape(-1)
    return sums
