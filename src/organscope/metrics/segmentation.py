"""How well predicted cells agree with true cells, on one image and pooled over images.

Empty cases, everywhere in this module: where neither image has a cell nothing is defined (not-a-number), so that an
image without cells is not an image with a perfect score; means are over the images with a score (`defined_mean`).
Where only one has cells there is no agreement (0); without true cells none is missed, without predicted cells none is
false (rates of 0). stardist 0.9 scores an image without any cell 0; the two differ on such images only.
"""

from collections.abc import Mapping

import numpy as np
from jaxtyping import Float64, Integer, Num
from numpy.typing import ArrayLike

from organscope.metrics.matching import CellPairs, match_cells

IOU_THRESHOLDS = (0.5, 0.6, 0.7, 0.8, 0.9)

Counts = int | float | np.number | Num[np.ndarray, "..."]


def segmentation_scores(truth: Integer[np.ndarray, "y x"], predicted: Integer[np.ndarray, "v w"]) -> dict[str, float]:
    """Score one picture; see `scores_of_pairs`.

    Args:
        truth: Label image, 0 = background.
        predicted: Label image of the same shape.

    Raises:
        ShapeError: The two images differ in shape.
        ValueRangeError: A label is negative.
    """
    return scores_of_pairs(match_cells(truth, predicted))


def scores_of_pairs(pairs: CellPairs) -> dict[str, float]:
    """Every score of one picture.

    Returns:
        All in [0, 1], or not-a-number where neither image has a cell: `dice` and `iou` of the foreground, `aji`,
        `adapted_rand_error` (the only one that is better the smaller it is, beside the rates of errors), and those of
        `detection_scores`.
    """
    counts = cell_counts(pairs)
    detection = {name: float(value) for name, value in detection_scores(counts).items()}
    return {**foreground_scores(pairs), "aji": aggregated_jaccard(pairs), **_rand(pairs), **detection}


def _rand(pairs: CellPairs) -> dict[str, float]:
    return {"adapted_rand_error": adapted_rand_error(pairs)}


def foreground_scores(pairs: CellPairs) -> dict[str, float]:
    """Dice, 2 |A and B| / (|A| + |B|), and IoU, |A and B| / |A or B|, of the foreground pixels."""
    both = int(pairs.intersection_px.sum())
    total = int(pairs.truth_area_px.sum() + pairs.predicted_area_px.sum())
    if total == 0:
        return {"dice": float("nan"), "iou": float("nan")}
    return {"dice": 2 * both / total, "iou": both / (total - both)}


def aggregated_jaccard(pairs: CellPairs) -> float:
    """Aggregated Jaccard index, algorithm 1 of Kumar et al., IEEE Trans. Med. Imaging 36:1550 (2017).

    Each true cell takes the predicted cell of greatest IoU, whether or not another true cell takes it too
    (as `get_fast_aji` of HoVer-Net does; the one-to-one variant is called AJI+). Their intersections are
    summed above; below, their unions, the true cells that overlap nothing, and the predicted cells that no
    true cell took.
    """
    order = np.lexsort((-pairs.iou, pairs.truth))
    taken, first = np.unique(pairs.truth[order], return_index=True)
    best = order[first]
    untaken_truth = np.delete(pairs.truth_area_px, taken).sum()
    untaken_predicted = np.delete(pairs.predicted_area_px, np.unique(pairs.predicted[best])).sum()
    union = pairs.union_px[best].sum() + untaken_truth + untaken_predicted
    return float(pairs.intersection_px[best].sum() / union) if union else float("nan")


def adapted_rand_error(pairs: CellPairs) -> float:
    """1 - F of the pairs of different pixels that lie in one cell, in truth and in the prediction.

    As in the ISBI 2012 challenge on membranes (Arganda-Carreras et al., Frontiers in Neuroanatomy 9:142, 2015,
    equations 3 and 4, alpha = .5) only pixels of true cells count; those without a predicted cell count together as
    one. Large cells weigh more than by their area: it punishes merged cells above all.
    """
    shared = pairs.intersection_px.astype(np.float64)
    in_truth = pairs.truth_area_px.astype(np.float64)
    if in_truth.size == 0:
        return float("nan") if pairs.predicted_ids.size == 0 else 1.0
    left = in_truth - np.bincount(pairs.truth, weights=shared, minlength=in_truth.size)
    in_predicted = np.append(np.bincount(pairs.predicted, weights=shared), left.sum())
    both = sum(_n_pairs(members) for members in (shared, left))
    either = sum(_n_pairs(members) for members in (in_truth, in_predicted))
    return float(1 - 2 * both / either) if either else 0.0


def _n_pairs(members: Float64[np.ndarray, " n"]) -> float:
    return float((members * (members - 1)).sum())


def cell_counts(pairs: CellPairs) -> dict[str, int | float]:
    """What the scores at a threshold are made of; add up over pictures to pool them.

    Returns:
        `n_truth`, `n_predicted`, `n_matched_50` ... `n_matched_90` (true positives), and `matched_iou_50`,
        the sum of the IoU of the matches at .5.
    """
    matched = [pairs.matched(threshold) for threshold in IOU_THRESHOLDS]
    return {
        "n_truth": pairs.truth_ids.size,
        "n_predicted": pairs.predicted_ids.size,
        **{f"n_matched_{_percent(t)}": m.size for t, m in zip(IOU_THRESHOLDS, matched, strict=True)},
        "matched_iou_50": float(pairs.iou[matched[0]].sum()),
    }


def detection_scores(counts: Mapping[str, Counts]) -> dict[str, Float64[np.ndarray, "..."]]:
    """Scores of matched cells, from the `cell_counts` of a picture or from their sums over pictures.

    Sums over pictures give the pooled scores, in which a picture weighs as many as its cells: stardist pools
    so by default (`matching_dataset(by_image=False)`), and so is its published average precision.

    Args:
        counts: Numbers, or arrays of one shape for many sums at once.

    Returns:
        All in [0, 1], not-a-number where there is no cell at all, and of the shape of the counts:
        `rq`, `sq`, `pq`: recognition (also called detection, DQ), segmentation and panoptic quality at IoU
        .5, equation 1 of Kirillov et al., CVPR 2019. `sq` is 0 where cells are there but none matches.
        `f1_50`: 2 TP / (2 TP + FP + FN) at IoU .5, which is `rq` by its other name.
        `ap_50` ... `ap_90`: TP / (TP + FP + FN) at IoU .5, .6 ... .9, called average precision by the Data
        Science Bowl 2018 and StarDist (Schmidt et al., MICCAI 2018); `mean_ap`: their mean.
        `missed_rate`: true cells without a match at IoU .5; `false_rate`: predicted cells without one.
    """
    n_truth, n_predicted = np.asarray(counts["n_truth"]), np.asarray(counts["n_predicted"])
    n_matched = [np.asarray(counts[f"n_matched_{_percent(t)}"]) for t in IOU_THRESHOLDS]
    matched_iou = np.asarray(counts["matched_iou_50"])
    precisions = [_ratio(n, n_truth + n_predicted - n, empty=np.nan) for n in n_matched]
    n_mean = (n_truth + n_predicted) / 2
    recognition = _ratio(n_matched[0], n_mean, empty=np.nan)
    none_wrong = np.where(n_mean > 0, 0.0, np.nan)
    return {
        "rq": recognition,
        "sq": _ratio(matched_iou, n_matched[0], empty=none_wrong),
        "pq": _ratio(matched_iou, n_mean, empty=np.nan),
        "f1_50": recognition,
        **{f"ap_{_percent(t)}": p for t, p in zip(IOU_THRESHOLDS, precisions, strict=True)},
        "mean_ap": np.asarray(np.mean(precisions, axis=0)),
        "missed_rate": _ratio(n_truth - n_matched[0], n_truth, empty=none_wrong),
        "false_rate": _ratio(n_predicted - n_matched[0], n_predicted, empty=none_wrong),
    }


def defined_mean(values: ArrayLike, axis: int = 0) -> Float64[np.ndarray, "..."]:
    """Mean of the scores that are defined; not-a-number where none is.

    Args:
        values: Scores, not-a-number where one is not defined.
        axis: Over which the mean is taken.
    """
    values = np.asarray(values, np.float64)
    n_defined = np.count_nonzero(~np.isnan(values), axis=axis)
    return np.asarray(_ratio(np.nansum(values, axis=axis), n_defined, empty=np.nan))


def _ratio(above: Counts, below: Counts, *, empty: Counts) -> Float64[np.ndarray, "..."]:
    """Quotient, or `empty` where the denominator is 0."""
    return np.where(np.greater(below, 0), np.divide(above, np.where(np.greater(below, 0), below, 1)), empty)


def _percent(threshold: float) -> int:
    return round(100 * threshold)
