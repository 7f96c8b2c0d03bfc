"""The picture as tiles of ever smaller size, made once, so that looking at it costs almost nothing.

A SQLite file with one JPEG a tile: `power` 0 is full resolution, each further power halves it. One read of the image
gives all of them.
"""

import io
import math
import sqlite3
from contextlib import closing
from pathlib import Path

import numpy as np
from jaxtyping import Num, UInt8
from PIL import Image as Picture

from organscope.images import Image, atomic_path
from organscope.ops import preprocess
from organscope.ops.preprocess import scale_intensity, to_rgb

TILE_PX = 256
JPEG_QUALITY = 90
SAMPLE_PX = 1 << 20
#: Images that have smaller resolutions of their own are shown from the file above this size.
MAX_COPIED_PX = 64_000_000


def needs_pyramid(image: Image) -> bool:
    """Whether tiles are made beforehand; a large image with levels of its own is read when a tile is asked for."""
    return len(image.levels) == 1 or image.height_px * image.width_px <= MAX_COPIED_PX


def highest_power(height_px: int, width_px: int) -> int:
    """The power at which the whole image is one tile."""
    return max(0, math.ceil(math.log2(max(height_px, width_px) / TILE_PX)))


def display_range(image: Image) -> tuple[tuple[float, float], bool]:
    """The intensities of an image to show as black and white, and whether that stretches what the file holds."""
    return preprocess.display_range(image.displayed(image.sample(SAMPLE_PX)), image.value_range)


def to_display(pixels: Num[np.ndarray, "y x k"], shown: tuple[float, float]) -> UInt8[np.ndarray, "y x 3"]:
    """Intensities that are seen (see `Image.displayed`) as 8-bit color in the display range."""
    colours = to_rgb(pixels)
    if colours.dtype == np.uint8 and shown == (0.0, 255.0):
        return np.ascontiguousarray(colours)
    return np.rint(scale_intensity(colours, *shown) * 255).astype(np.uint8)


def encode_tile(pixels: UInt8[np.ndarray, "y x 3"]) -> bytes:
    """One tile as JPEG; colour is not subsampled, because stains are told by it."""
    stream = io.BytesIO()
    Picture.fromarray(pixels).save(stream, format="JPEG", quality=JPEG_QUALITY, subsampling=0)
    return stream.getvalue()


def write_pyramid(path: Path, image: Image, shown: tuple[float, float]) -> None:
    """Write the tiles of an image of any size; memory grows with its width alone.

    Raises:
        ImageReadError: The file is damaged.
        OutputError: The folder is not writable or the disk is full.
    """
    with atomic_path(path) as temporary, closing(sqlite3.connect(temporary, isolation_level=None)) as tiles:
        tiles.execute("PRAGMA journal_mode = OFF")
        tiles.execute("CREATE TABLE tiles (power INTEGER, x INTEGER, y INTEGER, jpeg BLOB, PRIMARY KEY (power, x, y))")
        tiles.execute("BEGIN")
        top = _Level(tiles, 0, highest_power(image.height_px, image.width_px))
        for y in range(0, image.height_px, TILE_PX):
            rows = image.read(y, 0, min(TILE_PX, image.height_px - y), image.width_px)
            top.add(to_display(image.displayed(rows), shown))
        top.finish()
        tiles.execute("COMMIT")


def read_tile(path: Path, power: int, x: int, y: int) -> bytes | None:
    """A tile that was written; None where there is none."""
    with closing(sqlite3.connect(f"{path.as_uri()}?mode=ro&immutable=1", uri=True)) as tiles:
        row = tiles.execute("SELECT jpeg FROM tiles WHERE power = ? AND x = ? AND y = ?", (power, x, y)).fetchone()
    return None if row is None else row[0]


class _Level:
    """Collects rows of one resolution, writes a row of tiles when it is full, and passes half of it on."""

    def __init__(self, tiles: sqlite3.Connection, power: int, highest: int) -> None:
        self._tiles = tiles
        self._power = power
        self._row = 0
        self._held: list[np.ndarray] = []
        self._n_held = 0
        self._smaller = _Level(tiles, power + 1, highest) if power < highest else None

    def add(self, rows: UInt8[np.ndarray, "y x 3"]) -> None:
        """Rows below those of before, at most a tile high."""
        self._held.append(rows)
        self._n_held += len(rows)
        if self._n_held >= TILE_PX:
            whole = np.concatenate(self._held)
            self._held, self._n_held = [whole[TILE_PX:]], len(whole) - TILE_PX
            self._write(whole[:TILE_PX])

    def finish(self) -> None:
        """Write what is left, here and in all smaller resolutions."""
        if self._n_held:
            self._write(np.concatenate(self._held))
        if self._smaller is not None:
            self._smaller.finish()

    def _write(self, band: UInt8[np.ndarray, "y x 3"]) -> None:
        for x, left in enumerate(range(0, band.shape[1], TILE_PX)):
            jpeg = encode_tile(np.ascontiguousarray(band[:, left : left + TILE_PX]))
            self._tiles.execute("INSERT INTO tiles VALUES (?, ?, ?, ?)", (self._power, x, self._row, jpeg))
        self._row += 1
        if self._smaller is not None:
            self._smaller.add(halve(band))


def halve(pixels: UInt8[np.ndarray, "y x 3"]) -> UInt8[np.ndarray, "v u 3"]:
    """Each 2 x 2 pixels as their mean; an odd edge is repeated."""
    height, width = pixels.shape[:2]
    even = np.pad(pixels, ((0, height % 2), (0, width % 2), (0, 0)), mode="edge").astype(np.uint16)
    sums = even[::2, ::2] + even[1::2, ::2] + even[::2, 1::2] + even[1::2, 1::2]
    return ((sums + 2) >> 2).astype(np.uint8)
