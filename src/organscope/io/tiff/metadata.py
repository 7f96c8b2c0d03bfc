"""What a TIFF file says of its pixel size and of its black and white."""

import re
from collections.abc import Iterator
from xml.etree import ElementTree

import numpy as np
import tifffile

from organscope.io.pixel_size import Stated, first_usable, stated_in_unit, stated_resolution, stated_size
from organscope.io.source import dtype_range

#: Value of the ResolutionUnit tag -> micrometers; 4 and 5 are an extension of tifffile.
_UM_PER_RESOLUTION_UNIT = {2: 25_400.0, 3: 10_000.0, 4: 1_000.0, 5: 1.0}
_QPI_NAME = re.compile(r"<Name>([^<]*)</Name>")
_APERIO_MPP = re.compile(r"\bMPP\s*=\s*([0-9.]+)")


def read_pixel_size(file: tifffile.TiffFile, page: tifffile.TiffPage, series: int = 0) -> Stated:
    """Pixel size from OME-XML, Aperio, ImageJ or resolution tags: the first of them that is usable.

    Args:
        file: Open.
        page: First page of the image.
        series: Number of the image in the file.
    """
    return first_usable(_statements(file, page, series))


def read_value_range(
    file: tifffile.TiffFile, page: tifffile.TiffPage, dtype: np.dtype, series: int = 0
) -> tuple[float, float]:
    """Black and white: from the bits that the file says are used, else from the pixel type.

    A MaxSampleValue that is no whole number of bits is the brightest pixel of some image, not the white of
    the camera, and is ignored.
    """
    low, high = dtype_range(dtype)
    if not np.issubdtype(dtype, np.integer):
        return _float_range(page) or (low, high)
    for white in _stated_white(file, page, series):
        if 0 < white < high:
            return low, float(white)
    return low, high


def _statements(file: tifffile.TiffFile, page: tifffile.TiffPage, series: int) -> Iterator[Stated]:
    ome = _ome_attributes(file, series)
    if ome is not None:
        values = (_number(ome.get(f"PhysicalSize{axis}")) for axis in "YX")
        units = tuple(ome.get(f"PhysicalSize{axis}Unit", "µm") for axis in "YX")
        yield stated_in_unit(*values, units, "OME-XML")
    aperio = _APERIO_MPP.search(file.pages.first.description)
    if aperio:
        yield stated_size(_number(aperio[1]), _number(aperio[1]), "The Aperio description")
    per_unit = tuple(_pixels_per_unit(page, name) for name in ("YResolution", "XResolution"))
    if file.is_imagej:
        unit, unit_of_y = (str(file.imagej_metadata.get(name, "")) for name in ("unit", "yunit"))
        values = (1 / value if value else None for value in per_unit)
        yield stated_in_unit(*values, (unit_of_y or unit, unit), "ImageJ")
        return
    unit = _UM_PER_RESOLUTION_UNIT.get(int(page.tags.valueof("ResolutionUnit", 2)))
    yield stated_resolution(*per_unit, unit, "The resolution tags")


def _stated_white(file: tifffile.TiffFile, page: tifffile.TiffPage, series: int) -> Iterator[int]:
    ome = _ome_attributes(file, series)
    if ome is not None and ome.get("SignificantBits", "").isdigit():
        yield 2 ** int(ome["SignificantBits"]) - 1
    yield 2**page.bitspersample - 1
    stated = np.max(page.tags.valueof("MaxSampleValue", 0))
    if stated >= 255 and (int(stated) + 1).bit_count() == 1:
        yield int(stated)


def _float_range(page: tifffile.TiffPage) -> tuple[float, float] | None:
    tags = page.tags
    low, high = np.min(tags.valueof("SMinSampleValue", 0)), np.max(tags.valueof("SMaxSampleValue", 0))
    return (float(low), float(high)) if np.isfinite([low, high]).all() and high > low else None


def _pixels_per_unit(page: tifffile.TiffPage, name: str) -> float | None:
    numerator, denominator = page.tags.valueof(name, (0, 1))
    return numerator / denominator if numerator and denominator else None


def read_channel_names(file: tifffile.TiffFile, series: int, n_channels: int) -> tuple[str, ...]:
    """Names of the channels of one image, from OME-XML, ImageJ, Micro-Manager or PerkinElmer; "" where unknown."""
    for names in _stated_names(file, series, n_channels):
        if len(names) == n_channels and any(names):
            return tuple(names)
    return ("",) * n_channels


def _stated_names(file: tifffile.TiffFile, series: int, n_channels: int) -> Iterator[list[str]]:
    ome = _ome_pixels(file, series)
    if ome is not None:
        yield [channel.get("Name") or channel.get("Fluor", "") for channel in ome.findall("{*}Channel")]
    if file.is_imagej:
        # Of every plane, channels first.
        labels = (file.imagej_metadata or {}).get("Labels") or []
        yield [str(label) for label in labels[:n_channels]]
    if file.is_micromanager:
        summary = (file.micromanager_metadata or {}).get("Summary", {})
        yield [str(name) for name in summary.get("ChNames", [])]
    if file.is_qpi:
        found = [_QPI_NAME.search(page.description) for page in file.series[0].pages if page is not None]
        yield [name[1] if name else "" for name in found]


def _ome_attributes(file: tifffile.TiffFile, series: int) -> dict[str, str] | None:
    pixels = _ome_pixels(file, series)
    return None if pixels is None else dict(pixels.attrib)


def _ome_pixels(file: tifffile.TiffFile, series: int) -> ElementTree.Element | None:
    """The Pixels element of one image of the OME-XML."""
    if not file.is_ome:
        return None
    try:
        root = ElementTree.fromstring(file.ome_metadata)
    except ElementTree.ParseError:
        return None
    pixels = root.findall(".//{*}Pixels")
    return pixels[series] if series < len(pixels) else None


def _number(text: str | None) -> float | None:
    try:
        return None if text is None else float(text)
    except ValueError:
        return float("nan")
