"""Cells from maps that come band by band, the same as from the whole maps at once.

A cell depends on nothing but its own connected piece of foreground (see `organscope.ops.instances`). So a
piece that a band does not cut can be decoded at once, and a piece that goes on below waits, with its rows
alone, for the bands that complete it.
"""

from collections.abc import Iterable, Iterator

import numpy as np
from jaxtyping import Float32, Int32
from scipy import ndimage

from organscope.ops.faint import decode_with_faint
from organscope.ops.hole_kernels import fill_holes
from organscope.ops.instances import HEAD_MAPS, Decoder, cell_probability, decode_cells
from organscope.predict.stitch_kernels import number_in_raster_order

CHUNK_PX = 1 << 20
"""Pixels that are decoded at a time; decoding needs about 50 bytes for each."""

Maps = Float32[np.ndarray, "y x k"]


def decode_bands(
    bands: Iterable[Maps], shape: tuple[int, int], decoder: Decoder, *, faint_threshold: float | None = None
) -> tuple[Int32[np.ndarray, "y x"], Float32[np.ndarray, " n"]]:
    """Label the cells of an image whose maps come from top to bottom.

    Args:
        bands: Foreground probability and the head's maps, in bands of full width.
        shape: Height and width of the image.
        decoder: Thresholds.
        faint_threshold: Also give the cells that only this lower threshold shows.

    Returns:
        The labels that `decode_cells` (`decode_with_faint`) gives for all bands put together, in raster order, and
        the mean foreground probability of each cell 1..n.
    """
    lowest = decoder.foreground_threshold if faint_threshold is None else faint_threshold
    labels = np.zeros(shape, dtype=np.int32)
    held = np.zeros((0, shape[1], len(HEAD_MAPS[decoder.head])), dtype=np.float32)
    probability: list[Float32[np.ndarray, " n"]] = []
    n_cells = bottom = 0
    for chunk in _chunks(bands):
        bottom += len(chunk)
        maps = np.concatenate([held, chunk]) if len(held) else chunk
        maps, held = _hold_back(maps, lowest) if bottom < shape[0] else (maps, held)
        top = bottom - len(maps)
        found = _decode(maps, decoder, faint_threshold)
        probability.append(cell_probability(found, maps[:, :, 0]))
        # Pieces held back earlier lie in rows where others are done, so only their own pixels are written.
        np.copyto(labels[top:bottom], found + np.int32(n_cells), where=found > 0)
        n_cells += len(probability[-1])
    if faint_threshold is not None and decoder.fill_holes:
        fill_holes(labels, np.zeros(shape, dtype=bool))
    order = number_in_raster_order(labels, n_cells)
    return labels, np.concatenate([np.zeros(0, np.float32), *probability])[order]


def _decode(maps: Maps, decoder: Decoder, faint_threshold: float | None) -> Int32[np.ndarray, "y x"]:
    return decode_cells(maps, decoder) if faint_threshold is None else decode_with_faint(maps, decoder, faint_threshold)


def _chunks(bands: Iterable[Maps]) -> Iterator[Maps]:
    """The same rows in pieces of about `CHUNK_PX`."""
    for band in bands:
        rows = max(1, CHUNK_PX // band.shape[1])
        n = max(1, round(band.shape[0] / rows))
        yield from np.array_split(band, n)


def _hold_back(maps: Maps, threshold: float) -> tuple[Maps, Maps]:
    """Part the foreground into pieces that are complete and pieces that reach the lowest row.

    Returns:
        The maps without the foreground of unfinished pieces, and the rows of these without all other
        foreground; -1 says where it was, so that no hole is filled over it.
    """
    foreground = maps[:, :, 0] >= threshold
    pieces, n_pieces = ndimage.label(foreground, output=np.int32)
    unfinished = np.zeros(n_pieces + 1, dtype=bool)
    unfinished[pieces[-1]] = True
    unfinished[0] = False
    if not unfinished.any():
        return maps, maps[:0]
    waits = unfinished[pieces]
    first = int(np.argmax(waits.any(axis=1)))
    held = maps[first:].copy()
    held[:, :, 0][(foreground & ~waits)[first:]] = -1
    complete = maps.copy()
    complete[:, :, 0][waits] = -1
    return complete, held
