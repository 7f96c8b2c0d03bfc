"""PNG, JPEG and BMP, which are decoded as a whole on the first read and kept.

PNG with 16 bits a color, which Pillow cannot read in full.
"""

import struct
import zlib
from pathlib import Path

import imagecodecs
import numpy as np
from jaxtyping import Num, UInt16
from PIL import BmpImagePlugin, ImageFile, JpegImagePlugin, PngImagePlugin

from organscope.errors import ImageReadError
from organscope.io.pixel_size import UM_PER_UNIT, Stated, first_usable, stated_resolution
from organscope.io.selection import Channels, Choice, Selection, select, selection_notes
from organscope.io.source import Level, dtype_range

_SIGNATURE = b"\x89PNG\r\n\x1a\n"
#: Where the header keeps the bits of a sample and the color type.
_DEPTH_BYTE, _COLOR_BYTE = 24, 25
#: Color type -> channels: RGB, gray and alpha, RGB and alpha. Pillow reads gray alone as it is.
_N_CHANNELS = {2: 3, 4: 2, 6: 4}


def _n_channels_of_16_bit_color(path: Path) -> int:
    """Channels of a PNG with 16 bits a sample and more than one channel; 0 for every other file."""
    with path.open("rb") as file:
        head = file.read(_COLOR_BYTE + 1)
    if not head.startswith(_SIGNATURE) or head[_DEPTH_BYTE] != 16:
        return 0
    return _N_CHANNELS.get(head[_COLOR_BYTE], 0)


def _decode_16_bit_color(path: Path) -> UInt16[np.ndarray, "y x c"]:
    """All pixels.

    Raises:
        ValueError: The file is truncated or damaged.
    """
    content = path.read_bytes()
    _require_whole(content)
    return imagecodecs.png_decode(content)


def _require_whole(content: bytes) -> None:
    # imagecodecs 2026.3 releases None once too often where decoding fails; enough damaged files end the process.
    start, name = len(_SIGNATURE), b""
    while name != b"IEND":
        if start + 12 > len(content):
            raise ValueError("the file ends before its last part")
        length, name = struct.unpack_from(">I4s", content, start)
        end = start + 8 + length
        if content[end : end + 4] != struct.pack(">I", zlib.crc32(content[start + 4 : end])):
            raise ValueError(f"the checksum of the part {name.decode('latin-1')} differs")
        start = end + 4


#: First bytes -> reader. The plug-ins are called directly: the size guard of `PIL.Image.open` is a global
#: switch of the process, and ours is asked before anything is decoded.
_PLUGINS = {
    b"\x89PNG\r\n\x1a\n": PngImagePlugin.PngImageFile,
    b"\xff\xd8\xff": JpegImagePlugin.JpegImageFile,
    b"BM": BmpImagePlugin.BmpImageFile,
}
#: Modes that keep their values; every other mode is converted to one of them.
_MODE_CHANNELS = {"L": 1, "LA": 2, "RGB": 3, "RGBA": 4, "P": 1, "I;16": 1}
_EXIF_ORIENTATION, _EXIF_X_RESOLUTION, _EXIF_Y_RESOLUTION, _EXIF_UNIT = 274, 282, 283, 296
_EXIF_UNITS = {2: UM_PER_UNIT["inch"], 3: UM_PER_UNIT["cm"]}
#: Unit of the JFIF density -> micrometers; 0 states a ratio alone.
_JFIF_UNITS = {1: UM_PER_UNIT["inch"], 2: UM_PER_UNIT["cm"]}


def is_raster(path: Path, head: bytes) -> bool:
    """Whether the first bytes are those of a PNG, JPEG or BMP file."""
    return head.startswith(tuple(_PLUGINS))


class RasterSource:
    """A PNG, JPEG or BMP file.

    Palettes and CMYK become RGB, one bit becomes 0 and 255; alpha is kept as the last channel. Of an animation one
    frame is read.

    Attributes:
        orientation: What the EXIF data says; not applied here.
    """

    def __init__(self, path: Path, max_pixels: int, choice: Choice, as_stored: bool = False) -> None:
        self._path = path
        self._pixels: np.ndarray | None = None
        with _parse(path) as image:
            width, height = image.size
            _require_size(path, height, width, max_pixels)
            self.orientation = _orientation(image)
            n_frames = getattr(image, "n_frames", 1)
            stated = _pixel_size(image)
            self.um_per_px, self.pixel_notes = stated.um_per_px, stated.notes
            self._mode = image.mode if as_stored and image.mode == "P" else _kept_mode(image)
        self._channels = slice(None)
        # Pillow reduces 16-bit color to 8 bits without a word.
        n_channels_16_bit = _n_channels_of_16_bit_color(path)
        self._is_16_bit_colour = n_channels_16_bit > 0
        self.n_channels = n_channels_16_bit or _MODE_CHANNELS[self._mode]
        self.dtype = np.dtype(np.uint16 if n_channels_16_bit or self._mode == "I;16" else np.uint8)
        self.value_range = dtype_range(self.dtype)
        self.levels: tuple[Level, ...] = (Level(height, width, 1.0),)
        self.channels = Channels.unnamed(
            self.n_channels, is_color=self.n_channels >= 3, has_alpha=self.n_channels in (2, 4)
        )
        self.selection = select(choice, Selection(n_pages=n_frames, n_channels=self.n_channels), path)
        self.notes = selection_notes(choice, self.selection)

    def read(self, level: int, y_px: int, x_px: int, height_px: int, width_px: int) -> Num[np.ndarray, "y x c"]:
        """A copy of a region of the decoded image."""
        if self._pixels is None:
            self._pixels = self._decode()
        return self._pixels[y_px : y_px + height_px, x_px : x_px + width_px, self._channels].copy()

    def choose_channel(self, channel: int) -> None:
        """Give only one channel from now on."""
        self._channels, self.n_channels = slice(channel, channel + 1), 1

    def close(self) -> None:
        """Let the decoded pixels go."""
        self._pixels = None

    def _decode(self) -> Num[np.ndarray, "y x c"]:
        try:
            # Of an animation imagecodecs gives the first frame.
            first = self._is_16_bit_colour and self.selection.page == 0
            pixels = _decode_16_bit_color(self._path) if first else self._decode_with_pillow()
        except (OSError, SyntaxError, ValueError, RuntimeError) as error:
            raise _damaged(self._path, error) from error
        return pixels.reshape(self.levels[0].height_px, self.levels[0].width_px, -1)

    def _decode_with_pillow(self) -> Num[np.ndarray, "..."]:
        with _parse(self._path) as image:
            image.seek(self.selection.page)
            image.load()
            return np.asarray(image.convert(self._mode))


def _parse(path: Path) -> ImageFile.ImageFile:
    with path.open("rb") as file:
        magic = file.read(8)
    plugin = next(plugin for start, plugin in _PLUGINS.items() if magic.startswith(start))
    try:
        return plugin(path)
    except (OSError, SyntaxError, ValueError) as error:
        raise _damaged(path, error) from error


def _damaged(path: Path, error: Exception) -> ImageReadError:
    return ImageReadError(
        f"Expected a whole image, found that {path} is truncated or damaged ({error}). Copy or export it again."
    )


def _require_size(path: Path, height: int, width: int, max_pixels: int) -> None:
    if height * width > max_pixels:
        raise ImageReadError(
            f"Expected at most {max_pixels / 1e6:.0f} megapixels, found {height} x {width} px "
            f"({height * width / 1e6:.0f} megapixels) in {path}, a format that must be decoded as a whole. "
            "Convert it to a tiled TIFF, which is read by region, or allow more where a command has --max-megapixels."
        )


def _orientation(image: ImageFile.ImageFile) -> int:
    # Asked for EXIF data that is not in its head, Pillow decodes the whole PNG to look behind the pixels.
    return image.getexif().get(_EXIF_ORIENTATION, 1) if "exif" in image.info else 1


def _kept_mode(image: ImageFile.ImageFile) -> str:
    if image.mode in _MODE_CHANNELS and image.mode != "P":
        return image.mode
    if image.mode == "1":
        return "L"
    return "RGBA" if "transparency" in image.info else "RGB"


def _pixel_size(image: ImageFile.ImageFile) -> Stated:
    return first_usable((_density(image), _exif_resolution(image)))


def _density(image: ImageFile.ImageFile) -> Stated:
    """The JFIF density of a JPEG, or pHYs of PNG and the header of BMP, which count pixels in a meter."""
    place = f"The {image.format} densities"
    if isinstance(image, JpegImagePlugin.JpegImageFile):
        across, down = image.info.get("jfif_density", (None, None))
        return stated_resolution(down, across, _JFIF_UNITS.get(image.info.get("jfif_unit")), place)
    if "aspect" in image.info:
        across, down = image.info["aspect"]
        # pHYs without a unit holds the shape of pixels as densities.
        return stated_resolution(down, across, None, place)
    across, down = image.info.get("dpi", (None, None))
    per_meter = (dpi and dpi / UM_PER_UNIT["inch"] * UM_PER_UNIT["m"] for dpi in (down, across))
    return stated_resolution(*per_meter, UM_PER_UNIT["m"], place)


def _exif_resolution(image: ImageFile.ImageFile) -> Stated:
    if "exif" not in image.info:
        return Stated()
    exif = image.getexif()
    values = [_number(exif.get(tag)) for tag in (_EXIF_Y_RESOLUTION, _EXIF_X_RESOLUTION)]
    return stated_resolution(*values, _EXIF_UNITS.get(exif.get(_EXIF_UNIT, 2)), "The EXIF resolutions")


def _number(value: object) -> float | None:
    try:
        return None if value is None else float(value)
    except (TypeError, ValueError, ZeroDivisionError):
        return None
