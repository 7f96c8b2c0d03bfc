"""Whole slides of the vendors whose files are more than a TIFF pyramid, read through openslide."""

from pathlib import Path

import numpy as np
import tifffile
from jaxtyping import UInt8

from organscope.errors import ImageReadError
from organscope.io.pixel_size import stated_size
from organscope.io.remote import UrlFile, UrlPath, is_url
from organscope.io.selection import Channels, Choice, Selection, select
from organscope.io.source import Level

#: Formats that are no TIFF, by suffix or by the first bytes (Sakura: SQLite; DICOM: after 128 free bytes).
_SUFFIXES = (".mrxs", ".vms", ".vmu", ".svslide", ".dcm")
_SQLITE_MAGIC = b"SQLite format 3\0"
_DICOM_MAGIC, _DICOM_OFFSET = b"DICM", 128
#: Aperio's JPEG 2000 in YCbCr, whose colors tifffile does not convert.
_APERIO_JPEG_2000_YCBCR = 33003


def is_slide(path: Path, head: bytes) -> bool:
    """Whether openslide reads this file better than the other readers, or alone does.

    Hamamatsu, Leica, Ventana and Philips TIFF store strips of restart markers, several scenes, overlapping or
    missing tiles. Aperio and plain pyramids are read by the TIFF reader unless tiles are missing.

    Raises:
        ImageReadError: The file lies at an address, where openslide cannot read it.
    """
    if is_url(path):
        _require_plain(path, head)
        return False
    if head.startswith((b"II", b"MM")):
        wanted = _is_vendor_tiff(path)
    else:
        is_dicom = head[_DICOM_OFFSET : _DICOM_OFFSET + len(_DICOM_MAGIC)] == _DICOM_MAGIC
        wanted = path.suffix.lower() in _SUFFIXES or head.startswith(_SQLITE_MAGIC) or is_dicom
    if not wanted:
        return False
    from openslide import OpenSlide

    return OpenSlide.detect_format(path) is not None


class SlideSource:
    """A whole slide: 8-bit RGB on white, all levels."""

    n_channels = 3
    dtype = np.dtype(np.uint8)
    value_range = (0.0, 255.0)
    channels = Channels.unnamed(3, is_color=True)
    notes = ()

    def __init__(self, path: Path, choice: Choice) -> None:
        from openslide import OpenSlide, OpenSlideError

        self._path = path
        self.selection = select(choice, Selection(n_channels=3), path)
        self._channels = slice(None)
        self._is_closed = False
        try:
            self._slide = OpenSlide(path)
            self.levels = tuple(
                Level(height, width, float(downsample))
                for (width, height), downsample in zip(
                    self._slide.level_dimensions, self._slide.level_downsamples, strict=True
                )
            )
        except OpenSlideError as error:
            raise _damaged(path, error) from error
        sides = (_number(self._slide.properties.get(f"openslide.mpp-{axis}")) for axis in "yx")
        stated = stated_size(*sides, "The slide")
        self.um_per_px, self.pixel_notes = stated.um_per_px, stated.notes

    def read(self, level: int, y_px: int, x_px: int, height_px: int, width_px: int) -> UInt8[np.ndarray, "y x 3"]:
        """Pixels of a region; raises ImageReadError where the file is damaged."""
        from openslide import OpenSlideError

        downsample = self._slide.level_downsamples[level]
        corner = (round(x_px * downsample), round(y_px * downsample))
        try:
            pixels = np.asarray(self._slide.read_region(corner, level, (width_px, height_px)))
        except OpenSlideError as error:
            raise _damaged(self._path, error) from error
        return _on_white(pixels)[:, :, self._channels]

    def choose_channel(self, channel: int) -> None:
        """Read only one channel from now on."""
        self._channels, self.n_channels = slice(channel, channel + 1), 1

    def close(self) -> None:
        """Close the file; openslide refuses to close twice."""
        if not self._is_closed:
            self._slide.close()
        self._is_closed = True


def _require_plain(url: UrlPath, head: bytes) -> None:
    with UrlFile(url) as remote:
        is_vendors = head.startswith((b"II", b"MM")) and _is_vendor_tiff(remote)
    if is_vendors or Path(url.file_name).suffix.lower() in _SUFFIXES:
        raise ImageReadError(
            f"Expected a plain TIFF pyramid or OME-Zarr at {url}, found a slide of a vendor's own kind, which is read "
            "only from disk. Download it, or convert it to OME-TIFF or OME-Zarr."
        )


def _is_vendor_tiff(path: Path | UrlFile) -> bool:
    try:
        with tifffile.TiffFile(path) as file:
            if file.is_ndpi or file.is_scn or file.is_bif or file.is_philips:
                return True
            page = file.pages.first
            return file.is_svs and (page.compression == _APERIO_JPEG_2000_YCBCR or 0 in page.databytecounts)
    # Damage is reported by the TIFF reader, which is asked next.
    except (ArithmeticError, AttributeError, LookupError, OSError, RuntimeError, TypeError, ValueError):
        return False


def _on_white(pixels: UInt8[np.ndarray, "y x 4"]) -> UInt8[np.ndarray, "y x 3"]:
    """Lay pixels with straight alpha on white glass."""
    alpha = pixels[:, :, 3:]
    if alpha.min() == 255:
        return np.ascontiguousarray(pixels[:, :, :3])
    opacity = alpha.astype(np.float32) / np.float32(255)
    blended = pixels[:, :, :3] * opacity + np.float32(255) * (1 - opacity)
    return np.rint(blended).astype(np.uint8)


def _damaged(path: Path, error: Exception) -> ImageReadError:
    return ImageReadError(
        f"Expected a whole slide, found that openslide cannot read {path} ({error}). Copy or export it again."
    )


def _number(text: str | None) -> float | None:
    try:
        return None if text is None else float(text)
    except ValueError:
        return float("nan")
