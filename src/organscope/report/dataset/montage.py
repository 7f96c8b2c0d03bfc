"""Examples of a data set with the outlines of their cells."""

import io
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import UInt8
from PIL import Image as Picture

from organscope.dataset.index import Sample
from organscope.errors import InputError
from organscope.report.overlay import draw_overlay

#: Part of an image that is shown, from its middle, and the side at which it is.
FIELD_PX = 512
SIDE_PX = 256
MOSAIC_COLUMNS = 9
MOSAIC_SIDE_PX = 96
MOSAIC_GAP_PX = 4


@dataclass(frozen=True)
class Tile:
    """One example: its sample, and the picture of its middle with outlines."""

    sample: Sample
    picture: UInt8[np.ndarray, "y x 3"]

    def to_jpeg(self) -> bytes:
        """The picture as JPEG."""
        stream = io.BytesIO()
        Picture.fromarray(self.picture).save(stream, format="JPEG", quality=85, subsampling=0)
        return stream.getvalue()


def draw_tiles(samples: Sequence[Sample]) -> list[Tile]:
    """The examples that can be drawn, one in memory at a time."""
    tiles = []
    for sample in samples:
        try:
            tiles.append(Tile(sample, _draw(sample)))
        except InputError:
            # The survey has said what is wrong with this sample; the montage shows the others.
            continue
    return tiles


def draw_mosaic(tiles: Sequence[Tile]) -> bytes:
    """The middle of all tiles as one PNG of 256 colours, row by row."""
    columns = min(MOSAIC_COLUMNS, len(tiles))
    rows = -(-len(tiles) // columns)
    step = MOSAIC_SIDE_PX + MOSAIC_GAP_PX
    sheet = Picture.new("RGB", (columns * step - MOSAIC_GAP_PX, rows * step - MOSAIC_GAP_PX), "white")
    for place, tile in enumerate(tiles):
        height, width = tile.picture.shape[:2]
        top, left = max(0, (height - MOSAIC_SIDE_PX) // 2), max(0, (width - MOSAIC_SIDE_PX) // 2)
        middle = tile.picture[top : top + MOSAIC_SIDE_PX, left : left + MOSAIC_SIDE_PX]
        sheet.paste(Picture.fromarray(middle), (place % columns * step, place // columns * step))
    stream = io.BytesIO()
    sheet.quantize(256, dither=Picture.Dither.NONE).save(stream, format="PNG", optimize=True)
    return stream.getvalue()


def _draw(sample: Sample) -> UInt8[np.ndarray, "y x 3"]:
    with sample.open() as image:
        height, width = min(FIELD_PX, image.height_px), min(FIELD_PX, image.width_px)
        top, left = (image.height_px - height) // 2, (image.width_px - width) // 2
        pixels = image.displayed(image.read(top, left, height, width))
        value_range = image.value_range
        size = image.height_px, image.width_px
    labels = np.zeros((height, width), np.int32)
    if sample.labels_path is not None:
        whole = sample.read_labels()
        if whole.shape == size:
            labels = whole[top : top + height, left : left + width]
    return draw_overlay(pixels, labels, value_range, max_side_px=SIDE_PX)
