"""Tiles of any image when they are asked for: those made beforehand, or read from the slide."""

import threading
from collections import OrderedDict
from pathlib import Path
from typing import Any

from jaxtyping import UInt8
from numpy import ndarray

from organscope.images import Image, open_image
from organscope.images.sampling import block_mean
from organscope.web.pyramid import TILE_PX, encode_tile, highest_power, read_tile, to_display
from organscope.web.refusals import RefusalError

MAX_OPEN_SLIDES = 3


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
            found = encode_tile(slide_tile(self._open(image), tuple(image["view"]["shown"]), power, x, y))
            self._cache.put(key, found)
        return found

    def _open(self, image: dict[str, Any]) -> Image:
        with self._lock:
            opened = self._slides.pop(image["id"], None) or open_image(image["path"], **opening_options(image["view"]))
            self._slides[image["id"]] = opened
            while len(self._slides) > MAX_OPEN_SLIDES:
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
            409, f"Expected the picture of {image['name']}, found that it is not prepared yet. Try again soon."
        )
    side = TILE_PX * 2**power
    is_there = power <= highest_power(image["height_px"], image["width_px"])
    if not (is_there and x * side < image["width_px"] and y * side < image["height_px"]):
        raise _no_tile(power, x, y)


def _no_tile(power: int, x: int, y: int) -> RefusalError:
    return RefusalError(404, f"Expected a tile of the image, found none at power {power}, column {x}, row {y}.")
