"""COCO run-length encoding: runs of 0 and 1 in turn, down the columns of the image.

Compressed counts are the LEB128-like text of the COCO API (`rleToString` in maskApi.c): 5 bits a character,
bit 5 says that more follow, bit 4 of the last one is the sign; from the fourth count on, the difference to the
count two before is stored.
"""

import numpy as np
from jaxtyping import Bool, Int64
from numpy.typing import ArrayLike

from organscope.dataset.annotations.cells import CellMask
from organscope.errors import AnnotationError


def rle_cell(counts: str | ArrayLike, height_px: int, width_px: int) -> CellMask | None:
    """Decode one cell without ever making a mask of the whole image.

    Args:
        counts: Compressed text, or the list of run lengths.
        height_px: Rows of the image.
        width_px: Columns of the image.

    Returns:
        None where no pixel is set.

    Raises:
        AnnotationError: The counts are no run lengths of an image of this size.
    """
    runs = decode_counts(counts) if isinstance(counts, str) else _as_runs(counts)
    if (runs < 0).any() or runs.sum() != height_px * width_px:
        raise AnnotationError(
            f"Expected run lengths that sum to {height_px} x {width_px} pixels, found {int(runs.sum())}."
        )
    ends = np.cumsum(runs)
    starts, ends = ends[0:-1:2], ends[1::2]
    filled = ends > starts
    starts, ends = starts[filled], ends[filled]
    if not len(starts):
        return None
    return _fill_runs(*_split_at_columns(starts, ends, height_px))


def _as_runs(counts: ArrayLike) -> Int64[np.ndarray, "n"]:
    try:
        runs = np.asarray(counts)
    except ValueError as error:
        raise AnnotationError(f"Expected a list of run lengths ({error}).") from error
    if runs.ndim != 1 or runs.size == 0 or runs.dtype.kind not in "iu":
        raise AnnotationError(f"Expected a list of whole run lengths, found {runs.dtype} of {runs.shape}.")
    return runs.astype(np.int64)


def _split_at_columns(starts: np.ndarray, ends: np.ndarray, height_px: int):
    """Cut runs where a column ends; returns column, first row and end row of every part."""
    first, last = starts // height_px, (ends - 1) // height_px
    n_columns = last - first + 1
    run = np.repeat(np.arange(len(starts)), n_columns)
    column = np.arange(len(run)) - np.repeat(np.cumsum(n_columns) - n_columns, n_columns) + first[run]
    row_start = np.maximum(starts[run] - column * height_px, 0)
    row_end = np.minimum(ends[run] - column * height_px, height_px)
    return column, row_start, row_end


def _fill_runs(column: np.ndarray, row_start: np.ndarray, row_end: np.ndarray) -> CellMask:
    top, left = int(row_start.min()), int(column.min())
    height, width = int(row_end.max()) - top, int(column.max()) - left + 1
    change = np.zeros((height + 1, width), np.int32)
    np.add.at(change, (row_start - top, column - left), 1)
    np.add.at(change, (row_end - top, column - left), -1)
    return CellMask(top, left, np.cumsum(change, axis=0)[:-1] > 0)


def encode_counts(mask: Bool[np.ndarray, "h w"], top_px: int, left_px: int, height_px: int, width_px: int) -> str:
    """Compressed counts of a cell, given as a mask with its place in an image."""
    column, row = np.nonzero(mask.T)
    flat = (column + left_px) * height_px + (row + top_px)
    breaks = np.flatnonzero(np.diff(flat) != 1)
    starts = flat[np.r_[0, breaks + 1]] if len(flat) else flat
    ends = flat[np.r_[breaks, len(flat) - 1]] + 1 if len(flat) else flat
    borders = np.stack([starts, ends], axis=1).reshape(-1)
    runs = np.diff(np.r_[0, borders, height_px * width_px])
    if len(runs) > 1 and runs[-1] == 0:
        runs = runs[:-1]
    return _to_text(runs)


def _to_text(runs: Int64[np.ndarray, "n"]) -> str:
    values = runs.copy()
    values[3:] -= runs[1:-2]
    text = []
    for value in values.tolist():
        while True:
            bits = value & 0x1F
            value >>= 5
            more = value != -1 if bits & 0x10 else value != 0
            text.append(chr(bits + (0x20 if more else 0) + 48))
            if not more:
                break
    return "".join(text)


def decode_counts(text: str) -> Int64[np.ndarray, "n"]:
    """Run lengths from compressed text.

    Raises:
        AnnotationError: The text holds other characters, or ends in the middle of a number.
    """
    codes = np.frombuffer(text.encode("utf-8"), np.uint8).astype(np.int64) - 48
    if not len(codes) or codes.min() < 0 or codes.max() > 63 or codes[-1] & 0x20:
        raise AnnotationError(f"Expected compressed COCO run lengths, found {text[:20]!r}.")
    is_last = (codes & 0x20) == 0
    number = np.cumsum(is_last) - is_last
    place = np.arange(len(codes)) - np.r_[0, np.flatnonzero(is_last)[:-1] + 1][number]
    if place.max() > 11:
        raise AnnotationError("Expected compressed COCO run lengths, found a number of more than 60 bits.")
    values = np.zeros(int(is_last.sum()), np.int64)
    np.add.at(values, number, (codes & 0x1F) << (5 * place))
    negative = (codes[is_last] & 0x10) != 0
    values -= np.where(negative, np.int64(1) << (5 * (place[is_last] + 1)), 0)
    values[1::2] = np.cumsum(values[1::2])
    values[2::2] = np.cumsum(values[2::2])
    return values
