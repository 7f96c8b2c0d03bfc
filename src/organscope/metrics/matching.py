"""Which predicted cell is which true cell: overlaps of two label images, never larger than their number."""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float64, Int64, Integer

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
