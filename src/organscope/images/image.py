"""An image of any format, read by region."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Num

from organscope.errors import ShapeError
from organscope.images.sampling import sample_image, shrink_image
from organscope.images.selection import Channels, Selection
from organscope.images.source import Level, Source
from organscope.ops.pixel_size import PixelSize, given_pixel_size, is_square, pixel_size_text


class Image:
    """A microscope image that is read region by region; made by `open_image`.

    Arrays are y x c in the pixel type of the file, native byte order, with at least one channel.

    Attributes:
        path: The file or folder.
        levels: Resolutions, full one first; at least one.
        um_per_px: Height and width (y, x) of a level-0 pixel in micrometers, None where unknown.
        size_is_given: Whether a person said it, rather than the file.
        value_range: What black and white are: the full range of the integer type or of the bits that the file
            says are used; (0, 1) for floats. Never derived from the pixels.
        n_channels: 1 where a channel was chosen.
        channels: Which of them are colors, and their names where the file gives them.
        selection: Which image, page, z plane, time point and channel of the file is read, and of how many.
        notes: Full sentences on choices that were made because nobody made them, and on the pixel size.
    """

    def __init__(
        self,
        path: Path,
        source: Source,
        options: dict[str, Any],
        *,
        channels: Channels | None = None,
        channel: int | None = None,
    ) -> None:
        """Describe an open source.

        Args:
            path: The file or folder.
            source: What reads it.
            options: With which `open_image` opens it again.
            channels: Those that are read, where they are not those of the source.
            channel: The number of the only one that is read, where one was chosen.
        """
        self.path = path
        self.levels: tuple[Level, ...] = source.levels
        self.dtype: np.dtype = source.dtype
        self.value_range = source.value_range
        self._source = source
        self._options = options
        given = options["um_per_px"]
        self.size_is_given: bool = given is not None
        self.um_per_px: PixelSize | None = source.um_per_px if given is None else given_pixel_size(given)
        self.n_channels = source.n_channels
        self.channels = channels or source.channels
        shown = self.channels.shown
        seen = channel if channel is not None else shown[0] if len(shown) == 1 else None
        self.selection: Selection = replace(source.selection, channel=seen)
        sentence = self.channels.sentence()
        on_size = (*(source.pixel_notes if given is None else ()), *_note_on_shape(self.um_per_px))
        self.notes: tuple[str, ...] = (*source.notes, *([sentence] if sentence else []), *on_size)

    @classmethod
    def from_array(
        cls,
        pixels: Any,
        *,
        um_per_px: Any = None,
        channel: int | str | None = None,
        value_range: tuple[float, float] | None = None,
        name: str = "image",
    ) -> "Image":
        """An image from an array; the pixels are copied.

        Black and white follow the type, as in files: the full range of 8, 16 or 32-bit integers, 0 to 1 for floats,
        false and true. 64-bit integers, which are Python's own, are taken as the fewest of 8, 16 or 32 bits that hold
        them. Floats beyond 0 to 1 are taken as 0 to 255 or 0 to 65535 where they fit, else from their least to their
        greatest value; `notes` says so.

        Args:
            pixels: (y, x) or (y, x, channels) of any whole numbers, floats or truth values. Three or four channels are
                colors (the fourth is opacity); of more than four one has to be chosen.
            um_per_px: Side of a pixel in micrometers.
            channel: Take only this one, counted from 0.
            value_range: Values that are black and white, in place of those above.
            name: What its results are called.

        Raises:
            UsageError: It is no array of numbers, or an argument is impossible.
            ShapeError: It has another number of dimensions, or no pixels.
            ValueRangeError: A pixel is not finite.
        """
        from organscope.images.array import image_from_array

        return image_from_array(pixels, um_per_px=um_per_px, channel=channel, value_range=value_range, name=name)

    @property
    def name(self) -> str:
        """File name with its suffix."""
        return self.path.name

    @property
    def height_px(self) -> int:
        """Rows at full resolution."""
        return self.levels[0].height_px

    @property
    def width_px(self) -> int:
        """Columns at full resolution."""
        return self.levels[0].width_px

    def read(self, y_px: int, x_px: int, height_px: int, width_px: int, *, level: int = 0) -> Num[np.ndarray, "y x c"]:
        """Pixels of one region.

        Args:
            y_px: First row, in pixels of the level.
            x_px: First column, in pixels of the level.
            height_px: Rows, at least 1.
            width_px: Columns, at least 1.
            level: Index into `levels`.

        Raises:
            ShapeError: There is no such level, or the region is empty or leaves it.
            ImageReadError: The file is damaged there.
        """
        self._require_inside(y_px, x_px, height_px, width_px, level)
        return self._source.read(level, y_px, x_px, height_px, width_px)

    def read_whole(self, level: int = 0) -> Num[np.ndarray, "y x c"]:
        """All pixels of one level.

        Raises:
            ShapeError: There is no such level.
            ImageReadError: The file is damaged.
        """
        self._require_inside(0, 0, 1, 1, level)
        return self.read(0, 0, self.levels[level].height_px, self.levels[level].width_px, level=level)

    def visible(self, pixels: Num[np.ndarray, "y x c"]) -> Num[np.ndarray, "y x k"]:
        """Of pixels of this image the channels that networks and viewers see: three colors, or one.

        Raises:
            ShapeError: The image has several channels that are no colors, and none was chosen.
        """
        shown = self.channels.require_shown(self.path)
        return pixels if len(shown) == pixels.shape[2] else pixels[:, :, shown[0] : shown[-1] + 1]

    def displayed(self, pixels: Num[np.ndarray, "y x c"]) -> Num[np.ndarray, "y x k"]:
        """As `visible`, to look at; the first channel where none was chosen."""
        return self.visible(pixels) if self.channels.shown else pixels[:, :, :1]

    def with_source(self, source: Source) -> "Image":
        """This image as another source gives it, such as from memory or at another scale."""
        copy = Image(self.path, source, {"um_per_px": None}, channels=source.channels)
        copy.size_is_given = self.size_is_given
        copy.selection, copy.notes = self.selection, self.notes
        return copy

    def thumbnail(self, max_side_px: int) -> Num[np.ndarray, "y x c"]:
        """A small view for reports: every pixel is the mean of the block of pixels that it stands for.

        Taken from the smallest level that is large enough, band by band, so that memory stays flat.

        Args:
            max_side_px: The longer side has at most this many pixels; a smaller image is not enlarged.

        Raises:
            ImageReadError: The file is damaged.
        """
        return shrink_image(self, max_side_px)

    def sample(self, max_pixels: int = 16_000_000) -> Num[np.ndarray, "y x c"]:
        """Pixels for statistics of the whole image (percentiles), always the same ones.

        Args:
            max_pixels: An image up to this size is read whole.

        Returns:
            The image as it lies; of a larger one a column (n x 1 x c) of the pixels of blocks of 512 x 512 on
            an even grid from edge to edge.

        Raises:
            ImageReadError: The file is damaged.
        """
        return sample_image(self, max_pixels)

    def close(self) -> None:
        """Release the file; reading afterwards is an error of the caller."""
        self._source.close()

    def _require_inside(self, y: int, x: int, height: int, width: int, level: int) -> None:
        if not 0 <= level < len(self.levels):
            raise ShapeError(f"Expected a level from 0 to {len(self.levels) - 1} of {self.path}, found {level}.")
        size = self.levels[level]
        inside = y >= 0 and x >= 0 and y + height <= size.height_px and x + width <= size.width_px
        if height < 1 or width < 1 or not inside:
            raise ShapeError(
                f"Expected a region inside {size.height_px} x {size.width_px} px of {self.path} "
                f"(level {level}), found {height} x {width} px at row {y}, column {x}. "
                "Clip the region to the image."
            )

    def __enter__(self) -> "Image":
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def __del__(self) -> None:
        if hasattr(self, "_source"):
            self.close()

    def __reduce__(self) -> tuple:
        # Open files do not travel between processes; the other process opens the file again.
        from organscope.images.opening import reopen_image

        return reopen_image, (self.path, self._options)

    def __repr__(self) -> str:
        size = f"{self.height_px} x {self.width_px} px, {self.n_channels} x {self.dtype}"
        pixel = "pixel size unknown" if self.um_per_px is None else f"pixels {pixel_size_text(self.um_per_px)}"
        return f"Image({str(self.path)!r}, {size}, {len(self.levels)} level(s), {pixel})"


def _note_on_shape(um_per_px: PixelSize | None) -> tuple[str, ...]:
    if um_per_px is None or is_square(um_per_px):
        return ()
    return (f"Pixels are not square: {pixel_size_text(um_per_px)}. Areas and lengths in um allow for it.",)
