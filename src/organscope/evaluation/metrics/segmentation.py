"""Segmentation metrics: Dice, AJI, PQ and AP after matching cells; detection counts.

Empty cases, everywhere in this module: where neither image has a cell nothing is defined (not-a-number), so that an
image without cells is not an image with a perfect score; means are over the images with a score (`defined_mean`).
Where only one has cells there is no agreement (0); without true cells none is missed, without predicted cells none is
false (rates of 0). stardist 0.9 scores an image without any cell 0; the two differ on such images only.

Which predicted cell is which true cell: overlaps of two label images, never larger than their number.

Which cells are found at all, however well they are outlined: what counts where no cell may be missed.

A match at IoU .5 asks for an outline, and two people who outline faint nuclei often disagree by more. Here a true cell
is found where at least half of its pixels lie in predicted cells, or at least half of a predicted cell lies in it; and
a predicted cell is false where less than half of its pixels lie in true cells.
"""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float64, Int64, Integer, Num
from numpy.typing import ArrayLike

from organscope.errors import ShapeError, ValueRangeError

_ID_BITS = 32
#: A cell that lies in an ignored region by more than this share is not judged.
_IGNORED_SHARE = 0.5


def judged_cells(predicted: Integer[np.ndarray, "y x"], ignored: Bool[np.ndarray, "y x"]) -> Integer[np.ndarray, "y x"]:
    """Predicted cells without those that lie mostly where nothing is known, as COCO treats crowds.

    Args:
        predicted: 0 for background, one value a cell.
        ignored: Where neither cells nor background are known.
    """
    if not ignored.any():
        return predicted
    n_ids = int(predicted.max(initial=0)) + 1
    area, hidden = (np.bincount(ids, minlength=n_ids) for ids in (predicted.ravel(), predicted[ignored]))
    kept = hidden <= _IGNORED_SHARE * area
    return np.where(kept[predicted], predicted, 0)


@dataclass(frozen=True)
class CellPairs:
    """Two label images as their cells and every pair of cells that shares a pixel.

    Attributes:
        truth_ids: Labels of the true cells, ascending.
        truth_area_px: Pixels of each true cell.
        predicted_ids: Labels of the predicted cells, ascending.
        predicted_area_px: Pixels of each predicted cell.
        truth: Position in `truth_ids`, one a pair; pairs are sorted by `truth`, then by `predicted`.
        predicted: Position in `predicted_ids`, one a pair.
        intersection_px: Pixels that the two cells of a pair share, at least 1.
    """

    truth_ids: Int64[np.ndarray, " n_truth"]
    truth_area_px: Int64[np.ndarray, " n_truth"]
    predicted_ids: Int64[np.ndarray, " n_predicted"]
    predicted_area_px: Int64[np.ndarray, " n_predicted"]
    truth: Int64[np.ndarray, " n_pairs"]
    predicted: Int64[np.ndarray, " n_pairs"]
    intersection_px: Int64[np.ndarray, " n_pairs"]

    @property
    def union_px(self) -> Int64[np.ndarray, " n_pairs"]:
        """Pixels that either cell of a pair covers."""
        areas = self.truth_area_px[self.truth] + self.predicted_area_px[self.predicted]
        return areas - self.intersection_px

    @property
    def iou(self) -> Float64[np.ndarray, " n_pairs"]:
        """Intersection over union of each pair, in (0, 1]."""
        return self.intersection_px / self.union_px

    def matched(self, threshold: float) -> Int64[np.ndarray, " n_matched"]:
        """Positions of the pairs that count as the same cell: IoU at or above the threshold, one to one.

        Above one half a cell fits no two others (Kirillov et al., CVPR 2019, section 4.1). At exactly one
        half a cell can consist of two others of equal area; the first of them then counts, which is also
        the most matches that any assignment finds.

        Args:
            threshold: At least .5 and at most 1.

        Raises:
            ValueRangeError: The threshold is outside.
        """
        if not 0.5 <= threshold <= 1:
            raise ValueRangeError(f"Expected an IoU threshold from 0.5 to 1, found {threshold}.")
        candidates = np.flatnonzero(self.iou >= threshold)
        for side in (self.truth, self.predicted):
            _, first = np.unique(side[candidates], return_index=True)
            candidates = candidates[np.sort(first)]
        return candidates


def match_cells(truth: Integer[np.ndarray, "y x"], predicted: Integer[np.ndarray, "v w"]) -> CellPairs:
    """Find every pair of a true and a predicted cell that overlap.

    Counts runs of pixels that carry the same two labels, so that time is linear in the pixels and memory
    never holds a table of all true by all predicted cells.

    Args:
        truth: Label image, 0 = background; labels need not be consecutive.
        predicted: Label image of the same shape.

    Raises:
        ShapeError: The two images differ in shape.
        ValueRangeError: A label is negative or above 2^31 - 1.
    """
    if truth.shape != predicted.shape:
        raise ShapeError(
            f"Expected two label images of one shape, found truth {truth.shape} and "
            f"predicted {predicted.shape}. Check that the labels belong to this image."
        )
    codes, counts = _joint_histogram(_as_ids(truth), _as_ids(predicted))
    truth_of, predicted_of = codes >> _ID_BITS, codes & ((1 << _ID_BITS) - 1)
    truth_ids, truth_area = _areas(truth_of, counts)
    predicted_ids, predicted_area = _areas(predicted_of, counts)
    both = (truth_of > 0) & (predicted_of > 0)
    return CellPairs(
        truth_ids=truth_ids,
        truth_area_px=truth_area,
        predicted_ids=predicted_ids,
        predicted_area_px=predicted_area,
        truth=np.searchsorted(truth_ids, truth_of[both]),
        predicted=np.searchsorted(predicted_ids, predicted_of[both]),
        intersection_px=counts[both],
    )


def _as_ids(labels: Integer[np.ndarray, "y x"]) -> Int64[np.ndarray, " n"]:
    ids = labels.reshape(-1)
    if ids.size and (ids.min() < 0 or ids.max() >= 1 << (_ID_BITS - 1)):
        raise ValueRangeError(
            f"Expected labels from 0 to 2^31 - 1, found {ids.min()} to {ids.max()}. Check that this is a label image."
        )
    return ids.astype(np.int64)


def _joint_histogram(
    truth: Int64[np.ndarray, " n"], predicted: Int64[np.ndarray, " n"]
) -> tuple[Int64[np.ndarray, " n_codes"], Int64[np.ndarray, " n_codes"]]:
    """Distinct pairs of labels as one number each, ascending, and the pixels of each."""
    code = (truth << _ID_BITS) | predicted
    if code.size == 0:
        return code, code
    starts = np.flatnonzero(np.concatenate([[True], code[1:] != code[:-1]]))
    lengths = np.diff(starts, append=code.size)
    codes, inverse = np.unique(code[starts], return_inverse=True)
    counts = np.bincount(inverse, weights=lengths, minlength=codes.size)
    return codes, counts.astype(np.int64)


def _areas(
    ids: Int64[np.ndarray, " n"], counts: Int64[np.ndarray, " n"]
) -> tuple[Int64[np.ndarray, " n_cells"], Int64[np.ndarray, " n_cells"]]:
    """Labels of the cells, ascending, and their pixels; background is left out."""
    cells, inverse = np.unique(ids, return_inverse=True)
    area = np.bincount(inverse, weights=counts, minlength=cells.size).astype(np.int64)
    return cells[cells > 0], area[cells > 0]


IOU_THRESHOLDS = (0.5, 0.6, 0.7, 0.8, 0.9)

_Counts = int | float | np.number | Num[np.ndarray, "..."]


def segmentation_scores(truth: Integer[np.ndarray, "y x"], predicted: Integer[np.ndarray, "v w"]) -> dict[str, float]:
    """Score one image; see `scores_of_pairs`.

    Args:
        truth: Label image, 0 = background.
        predicted: Label image of the same shape.

    Raises:
        ShapeError: The two images differ in shape.
        ValueRangeError: A label is negative.
    """
    return scores_of_pairs(match_cells(truth, predicted))


def scores_of_pairs(pairs: CellPairs) -> dict[str, float]:
    """Every score of one image.

    Returns:
        All in [0, 1], or not-a-number where neither image has a cell: `dice` and `iou` of the foreground, `aji`,
        `adapted_rand_error` (the only one that is better the smaller it is, beside the rates of errors), and those of
        `detection_scores`.
    """
    counts = cell_counts(pairs)
    detection = {name: float(value) for name, value in detection_scores(counts).items()}
    return {**_foreground_scores(pairs), "aji": aggregated_jaccard(pairs), **_rand(pairs), **detection}


def _rand(pairs: CellPairs) -> dict[str, float]:
    return {"adapted_rand_error": _adapted_rand_error(pairs)}


def _foreground_scores(pairs: CellPairs) -> dict[str, float]:
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


def _adapted_rand_error(pairs: CellPairs) -> float:
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
    """What the scores at a threshold are made of; add up over images to pool them.

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


def detection_scores(counts: Mapping[str, _Counts]) -> dict[str, Float64[np.ndarray, "..."]]:
    """Scores of matched cells, from the `cell_counts` of an image or from their sums over images.

    Sums over images give the pooled scores, in which an image weighs as many as its cells: stardist pools
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


def _ratio(above: _Counts, below: _Counts, *, empty: _Counts) -> Float64[np.ndarray, "..."]:
    """Quotient, or `empty` where the denominator is 0."""
    return np.where(np.greater(below, 0), np.divide(above, np.where(np.greater(below, 0), below, 1)), empty)


def _percent(threshold: float) -> int:
    return round(100 * threshold)


def found_cells(pairs: CellPairs) -> Bool[np.ndarray, " n_truth"]:
    """Which true cells are found."""
    covered = np.bincount(pairs.truth, weights=pairs.intersection_px, minlength=pairs.truth_ids.size)
    found = 2 * covered >= pairs.truth_area_px
    marks = 2 * pairs.intersection_px >= pairs.predicted_area_px[pairs.predicted]
    found[pairs.truth[marks]] = True
    return found


def false_cells(pairs: CellPairs) -> Bool[np.ndarray, " n_predicted"]:
    """Which predicted cells are false."""
    covered = np.bincount(pairs.predicted, weights=pairs.intersection_px, minlength=pairs.predicted_ids.size)
    return 2 * covered < pairs.predicted_area_px
