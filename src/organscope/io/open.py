"""Open an image with the reader that its content asks for."""

import copyreg
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, Protocol

from organscope.errors import ImageReadError
from organscope.io.image import Image
from organscope.io.ome_zarr import ZarrSource, is_ome_zarr
from organscope.io.openslide import SlideSource, is_slide
from organscope.io.paths import leads_nowhere
from organscope.io.raster import RasterSource, is_raster
from organscope.io.remote import UrlFile, is_url, located
from organscope.io.selection import RGB, Channels, Choice, choice_as_options
from organscope.io.source import DEFAULT_MAX_PIXELS, ChoosableSource, Source, upright
from organscope.io.tiff.reader import TiffSource, is_tiff
from organscope.ops.pixel_size import given_pixel_size

_HEAD_BYTES = 512


class _SourceOpener(Protocol):
    """Opens a file of one family of formats."""

    def __call__(self, path: Path, max_pixels: int, choice: Choice, as_stored: bool) -> ChoosableSource:
        """Open what was chosen of `path`; `as_stored` keeps palette indices and inverted gray, as labels need them."""
        ...


#: Asked in this order: does the path with these first bytes belong to the reader, and how it is opened.
_READERS: tuple[tuple[Callable[[Path, bytes], bool], _SourceOpener], ...] = (
    (is_ome_zarr, lambda path, max_pixels, choice, as_stored: ZarrSource(path, choice)),
    (is_slide, lambda path, max_pixels, choice, as_stored: SlideSource(path, choice)),
    (is_tiff, TiffSource),
    (is_raster, RasterSource),
)


def open_image(
    source: str | Path,
    *,
    um_per_px: float | Sequence[float] | None = None,
    channel: int | str | None = None,
    page: int | None = None,
    z: int | None = None,
    t: int | None = None,
    series: int | None = None,
    project: str | None = None,
    max_pixels: int = DEFAULT_MAX_PIXELS,
) -> Image:
    """Open a microscope image; pixels are read later, by region.

    The format is found from the content. Of several images in a file the largest is read, of pages, z planes and time
    points the first; `Image.notes` says so. All numbers count from 0.

    Args:
        source: TIFF, PNG, JPEG or a whole-slide file, or the folder of an OME-Zarr image. TIFF and OME-Zarr may lie at
            an address (https, s3, gs), of which only the regions that are read travel.
        um_per_px: Pixel size of level 0 in micrometers, one number or height and width; replaces what the file says.
        channel: Read only this channel, by its number or its name; "rgb" says that the first three channels are red,
            green and blue. Of gray pages without names it is the page of that number.
        page: Page of a file whose planes have no names.
        z: Plane of a stack.
        t: Time point.
        series: Image of a file that holds several.
        project: "max" takes the brightest of all z planes at every pixel.
        max_pixels: Refuse larger images (height x width) where the format must be decoded as a whole.

    Raises:
        ImageReadError: The file is missing, empty, truncated, no image, or too large to decode as a whole.
        UsageError: What was chosen is not in the file, or the pixel size is impossible.
    """
    path = located(source)
    um_per_px = given_pixel_size(um_per_px)
    choice = Choice(channel, page, z, t, series, project)
    opened = open_source(path, max_pixels, choice)
    if _names_a_page(opened, choice):
        opened.close()
        choice = replace(choice, channel=None, page=int(choice.channel))
        opened = open_source(path, max_pixels, choice)
    try:
        _require_usable(path, opened)
        channels, chosen = _chosen_channels(path, opened, choice.channel)
        if chosen is not None:
            opened.choose_channel(chosen)
    except Exception:
        opened.close()
        raise
    options = {"um_per_px": um_per_px, "max_pixels": max_pixels, **choice_as_options(choice)}
    return Image(path, opened, options, channels=channels, channel=chosen)


def reopen_image(path: Path, options: dict[str, Any]) -> Image:
    """Open an image again, as pickling needs it; pixels in memory travel."""
    if "pixels" in options:
        from organscope.io.image import image_from_array

        return image_from_array(**options)
    return open_image(path, **options)


def _reduce_image(image: Image) -> tuple:
    # Open files do not travel between processes; the other process opens the file again.
    return reopen_image, (image.path, image._options)


copyreg.pickle(Image, _reduce_image)


def open_source(path: Path, max_pixels: int, choice: Choice, as_stored: bool = False) -> Source:
    """Open a file with the reader for its content, upright.

    Raises:
        ImageReadError: As `open_image`.
    """
    head = _first_bytes(path)
    for recognizes, open_with in _READERS:
        if recognizes(path, head):
            _require_readable(path, recognizes)
            opened = open_with(path, max_pixels, choice, as_stored)
            return upright(opened, getattr(opened, "orientation", 1))
    kind = "a folder that is no OME-Zarr image" if path.is_dir() else "of no known format"
    raise ImageReadError(
        f"Expected an image, found that {path} is {kind}. Export it as TIFF, OME-TIFF, OME-Zarr, PNG or JPEG."
    )


def _require_readable(path: Path, recognized: Callable[[Path, bytes], bool]) -> None:
    if is_url(path) and recognized is is_raster:
        raise ImageReadError(
            f"Expected a TIFF or OME-Zarr image at {path}, found PNG, JPEG or BMP, which must be decoded as a whole. "
            "Download it and name the file."
        )


def _first_bytes(path: Path) -> bytes:
    if is_url(path) and is_ome_zarr(path, b""):
        return b""
    if is_url(path):
        with UrlFile(path) as remote:
            return remote.head(_HEAD_BYTES)
    if leads_nowhere(path):
        raise ImageReadError(
            f"Expected an image at {path}, found a link to {path.readlink()}, which does not exist. Fetch the file "
            "(git annex get, datalad get), connect the drive, or remove the link."
        )
    try:
        if path.is_dir():
            next(path.iterdir(), None)
            return b""
        with path.open("rb") as file:
            head = file.read(_HEAD_BYTES)
    except OSError as error:
        raise ImageReadError(f"Expected an image at {path}, found: {error.strerror or error}.") from error
    if not head:
        raise ImageReadError(f"Expected an image, found that {path} is empty (0 bytes). Copy or export it again.")
    return head


def _require_usable(path: Path, source: Source) -> None:
    level = source.levels[0]
    if level.height_px < 1 or level.width_px < 1 or source.n_channels < 1:
        raise ImageReadError(
            f"Expected an image with pixels, found {level.height_px} x {level.width_px} px in {path}. Export it again."
        )


def _names_a_page(source: Source, choice: Choice) -> bool:
    """Whether a channel is asked for of a file whose pages have no names: programs write channels so, too."""
    is_number = str(choice.channel).isdecimal() and int(choice.channel) > 0
    return is_number and choice.page is None and source.selection.n_pages > 1 and len(source.channels) == 1


def _chosen_channels(path: Path, source: Source, wanted: int | str | None) -> tuple[Channels, int | None]:
    """The channels that are read, and the number of the only one where one was chosen."""
    channels = source.channels
    if wanted is None:
        return channels, None
    if isinstance(wanted, str) and wanted.casefold() == RGB:
        return channels.as_color(path), None
    number = channels.number(wanted, path)
    return channels.only(number), number
