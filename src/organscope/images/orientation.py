"""Images that are stored turned or mirrored, read as viewers show them."""

import numpy as np
from jaxtyping import Num

from organscope.images.source import Level, Source

#: Orientation of EXIF and TIFF -> whether rows and columns change places, then the direction of rows and of columns.
ORIENTATIONS = {
    1: (False, 1, 1),
    2: (False, 1, -1),
    3: (False, -1, -1),
    4: (False, -1, 1),
    5: (True, 1, 1),
    6: (True, 1, -1),
    7: (True, -1, -1),
    8: (True, -1, 1),
}
"""From what is stored: transposed first, then reversed."""


class OrientedSource:
    """Another source, upright; closing it closes the other."""

    def __init__(self, source: Source, orientation: int) -> None:
        """Describe the upright image; nothing is read.

        Args:
            source: As it is stored.
            orientation: 2 to 8, as EXIF and TIFF number them.
        """
        self._source = source
        self._swap, self._down, self._across = ORIENTATIONS[orientation]
        self.levels = tuple(
            Level(level.width_px, level.height_px, level.downsample) if self._swap else level for level in source.levels
        )
        self.dtype = source.dtype
        size = source.um_per_px
        self.um_per_px = size[::-1] if self._swap and size is not None else size
        self.pixel_notes = source.pixel_notes
        self.value_range = source.value_range
        self.channels = source.channels
        self.selection = source.selection
        self.notes = (
            *source.notes,
            f"The image was turned upright, as its orientation tag ({orientation}) asks; rows and columns are those "
            "that viewers show.",
        )

    @property
    def n_channels(self) -> int:
        """Channels of every region that is read."""
        return self._source.n_channels

    def read(self, level: int, y_px: int, x_px: int, height_px: int, width_px: int) -> Num[np.ndarray, "y x c"]:
        """Pixels of an upright region."""
        size = self.levels[level]
        y = y_px if self._down == 1 else size.height_px - y_px - height_px
        x = x_px if self._across == 1 else size.width_px - x_px - width_px
        if self._swap:
            pixels = self._source.read(level, x, y, width_px, height_px).swapaxes(0, 1)
        else:
            pixels = self._source.read(level, y, x, height_px, width_px)
        return np.ascontiguousarray(pixels[:: self._down, :: self._across])

    def choose_channel(self, channel: int) -> None:
        """Read only one channel from now on."""
        self._source.choose_channel(channel)

    def close(self) -> None:
        """Close the other source."""
        self._source.close()


def upright(source: Source, orientation: object) -> Source:
    """The source as viewers show it; as it is where the orientation is the usual one or none that is known."""
    return OrientedSource(source, orientation) if orientation in ORIENTATIONS and orientation != 1 else source
