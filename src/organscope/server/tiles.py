"""Tiles of any image when they are asked for: those made beforehand, or read from the slide.

The image as tiles of ever smaller size, made once, so that looking at it costs almost nothing.

A SQLite file with one JPEG a tile: `power` 0 is full resolution, each further power halves it. One read of the image
gives all of them.
"""

import io
import math
import sqlite3
import threading
from collections import OrderedDict
from contextlib import closing
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Num, UInt8
from numpy import ndarray
from PIL import Image as PillowImage

from organscope.io import Image, atomic_path, open_image
from organscope.io.image import block_mean
from organscope.ops import intensity
from organscope.ops.intensity import scale_intensity, to_rgb
from organscope.server.errors import RefusalError

TILE_PX = 256
_JPEG_QUALITY = 90
_SAMPLE_PX = 1 << 20
#: Images that have smaller resolutions of their own are shown from the file above this size.
_MAX_COPIED_PX = 64_000_000


def needs_pyramid(image: Image) -> bool:
    """Whether tiles are made beforehand; a large image with levels of its own is read when a tile is asked for."""
    return len(image.levels) == 1 or image.height_px * image.width_px <= _MAX_COPIED_PX


def highest_power(height_px: int, width_px: int) -> int:
    """The power at which the whole image is one tile."""
    return max(0, math.ceil(math.log2(max(height_px, width_px) / TILE_PX)))


def display_range(image: Image) -> tuple[tuple[float, float], bool]:
    """The intensities of an image to show as black and white, and whether that stretches what the file holds."""
    return intensity.display_range(image.displayed(image.sample(_SAMPLE_PX)), image.value_range)


def to_display(pixels: Num[np.ndarray, "y x k"], shown: tuple[float, float]) -> UInt8[np.ndarray, "y x 3"]:
    """Intensities that are seen (see `Image.displayed`) as 8-bit color in the display range."""
    colors = to_rgb(pixels)
    if colors.dtype == np.uint8 and shown == (0.0, 255.0):
        return np.ascontiguousarray(colors)
    return np.rint(scale_intensity(colors, *shown) * 255).astype(np.uint8)


def _encode_tile(pixels: UInt8[np.ndarray, "y x 3"]) -> bytes:
    """One tile as JPEG; color is not subsampled, because stains are told by it."""
    stream = io.BytesIO()
    PillowImage.fromarray(pixels).save(stream, format="JPEG", quality=_JPEG_QUALITY, subsampling=0)
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
            jpeg = _encode_tile(np.ascontiguousarray(band[:, left : left + TILE_PX]))
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


_MAX_OPEN_SLIDES = 3


class TileReader:
    """Gives tiles; keeps the slides that were asked for last open, and their tiles up to a number of bytes."""

    def __init__(self, cache_bytes: int) -> None:
        self._cache = ByteCache(cache_bytes)
        self._slides: OrderedDict[str, Image] = OrderedDict()
        self._lock = threading.Lock()

    def tile(self, image: dict[str, Any], power: int, x: int, y: int) -> bytes:
        """One tile as JPEG.

        Args:
            image: A row of the database, with its `view`.
            power: 0 for full resolution, each further one halves it.
            x: Column of the tile.
            y: Row of the tile.

        Raises:
            RefusalError: 404, where the image has no such tile.
        """
        _require_tile(image, power, x, y)
        if image["view"]["pyramid"]:
            found = read_tile(Path(image["view"]["pyramid"]), power, x, y)
            if found is None:
                raise _no_tile(power, x, y)
            return found
        key = (image["id"], power, x, y)
        found = self._cache.get(key)
        if found is None:
            found = _encode_tile(slide_tile(self._open(image), tuple(image["view"]["shown"]), power, x, y))
            self._cache.put(key, found)
        return found

    def _open(self, image: dict[str, Any]) -> Image:
        with self._lock:
            opened = self._slides.pop(image["id"], None) or open_image(image["path"], **opening_options(image["view"]))
            self._slides[image["id"]] = opened
            while len(self._slides) > _MAX_OPEN_SLIDES:
                # Closed when the last reader lets it go.
                self._slides.popitem(last=False)
        return opened


def slide_tile(image: Image, shown: tuple[float, float], power: int, x: int, y: int) -> UInt8[ndarray, "y x 3"]:
    """One tile of an image from the smallest of its resolutions that is fine enough."""
    wanted = 2**power
    level = max(i for i, level in enumerate(image.levels) if level.downsample <= wanted * 1.01)
    size = image.levels[level]
    step = max(1, round(wanted / size.downsample))
    side = TILE_PX * step
    top, left = y * side, x * side
    height, width = min(side, size.height_px - top), min(side, size.width_px - left)
    if height < 1 or width < 1:
        raise _no_tile(power, x, y)
    pixels = image.displayed(image.read(top, left, height, width, level=level))
    return to_display(block_mean(pixels, step) if step > 1 else pixels, shown)


def opening_options(view: dict[str, Any]) -> dict[str, Any]:
    """With which the file is opened; images that an earlier version analyzed have a channel at most."""
    return view["options"] if "options" in view else {"channel": view["channel"]}


class ByteCache:
    """The bytes that were asked for last, up to a total."""

    def __init__(self, max_bytes: int) -> None:
        self._max_bytes = max_bytes
        self._n_bytes = 0
        self._kept: OrderedDict[tuple, bytes] = OrderedDict()
        self._lock = threading.Lock()

    def get(self, key: tuple) -> bytes | None:
        """What was put there, None where it is gone."""
        with self._lock:
            if key in self._kept:
                self._kept.move_to_end(key)
            return self._kept.get(key)

    def put(self, key: tuple, value: bytes) -> None:
        """Keep it, and let the oldest go."""
        with self._lock:
            self._n_bytes += len(value) - len(self._kept.pop(key, b""))
            self._kept[key] = value
            while self._n_bytes > self._max_bytes and len(self._kept) > 1:
                self._n_bytes -= len(self._kept.popitem(last=False)[1])


def _require_tile(image: dict[str, Any], power: int, x: int, y: int) -> None:
    if image["view"] is None:
        raise RefusalError(
            409, f"Expected the image of {image['name']}, found that it is not prepared yet. Try again soon."
        )
    side = TILE_PX * 2**power
    is_there = power <= highest_power(image["height_px"], image["width_px"])
    if not (is_there and x * side < image["width_px"] and y * side < image["height_px"]):
        raise _no_tile(power, x, y)


def _no_tile(power: int, x: int, y: int) -> RefusalError:
    return RefusalError(404, f"Expected a tile of the image, found none at power {power}, column {x}, row {y}.")
