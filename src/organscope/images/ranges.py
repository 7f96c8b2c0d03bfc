"""Contiguous pixels of a file that cannot be mapped, read by ranges of rows."""

import itertools
import math
from collections.abc import Callable

import numpy as np
from jaxtyping import Num


class RangedArray:
    """An array that lies contiguously in a file; indexing reads only the rows that are asked for.

    Attributes:
        shape: Of the whole array.
        dtype: Of its values, in the byte order of the file.
    """

    def __init__(
        self,
        read_at: Callable[[int, int], bytes],
        dtype: np.dtype,
        offset: int,
        shape: tuple[int, ...],
        y_axis: int,
    ) -> None:
        """Describe an array; nothing is read.

        Args:
            read_at: Gives so many bytes from an offset in the file, or fewer at its end.
            dtype: With its byte order.
            offset: Of the first value, in bytes.
            shape: Of the whole array.
            y_axis: Of its axes the one of the rows.
        """
        self.shape, self.dtype = shape, dtype
        self._read_at, self._offset, self._y_axis = read_at, offset, y_axis

    def __getitem__(self, index: tuple[int | slice, ...]) -> Num[np.ndarray, "..."]:
        """A region.

        Args:
            index: A number or a slice without steps for each axis; a slice for the rows.

        Raises:
            OSError: The file ends before.
        """
        leading, rows, trailing = index[: self._y_axis], index[self._y_axis], index[self._y_axis + 1 :]
        chosen = [self._numbers(axis, cut) for axis, cut in enumerate(leading)]
        planes = [self._rows(place, rows)[(slice(None), *trailing)] for place in itertools.product(*chosen)]
        kept = [len(numbers) for numbers, cut in zip(chosen, leading, strict=True) if isinstance(cut, slice)]
        return np.stack(planes).reshape(*kept, *planes[0].shape)

    def _numbers(self, axis: int, cut: int | slice) -> range:
        return range(self.shape[axis])[cut] if isinstance(cut, slice) else range(cut, cut + 1)

    def _rows(self, place: tuple[int, ...], rows: slice) -> Num[np.ndarray, "y ..."]:
        start, stop, _ = rows.indices(self.shape[self._y_axis])
        row_shape = self.shape[self._y_axis + 1 :]
        row_bytes = math.prod(row_shape) * self.dtype.itemsize
        n_rows = self.shape[self._y_axis]
        plane = int(np.ravel_multi_index(place, self.shape[: self._y_axis])) if place else 0
        encoded = self._read_at(self._offset + (plane * n_rows + start) * row_bytes, (stop - start) * row_bytes)
        if len(encoded) != (stop - start) * row_bytes:
            raise OSError(f"the file ends after {len(encoded)} of {(stop - start) * row_bytes} bytes")
        return np.frombuffer(encoded, self.dtype).reshape(stop - start, *row_shape)
