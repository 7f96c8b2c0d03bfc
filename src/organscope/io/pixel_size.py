"""Whether a pixel size fits the cells that were found in the image: nuclei are neither huge nor tiny.

What a file states of its pixel size, and whether a microscope can have made it.
"""

import math
from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
from jaxtyping import Num

from organscope.ops.pixel_size import MAX_RATIO, PixelSize, elongation, is_square, pixel_area_um2, pixel_size_text

_DIAMETERS_UM = (1.0, 60.0)
"""Median equivalent diameters of cells that are possible; a nucleus has 20 to 500 square micrometers."""

_MIN_CELLS = 3
"""Fewer say nothing: one of them may be dust or a fold."""


def judge_pixel_size(
    um_per_px: PixelSize | None, areas_px: Num[np.ndarray, " n"], *, is_given: bool
) -> tuple[PixelSize | None, tuple[str, ...]]:
    """The pixel size to use for what was found, and a sentence where it is doubtful.

    Args:
        um_per_px: As the file states it or a person gave it.
        areas_px: Of the cells that were found.
        is_given: A person gave it: it is used in any case.

    Returns:
        None in place of a size from the file that makes the median cell impossibly large or small.
    """
    if um_per_px is None or len(areas_px) < _MIN_CELLS:
        return um_per_px, ()
    area_um2 = float(np.median(areas_px)) * pixel_area_um2(um_per_px)
    diameter_um = math.sqrt(4 * area_um2 / math.pi)
    if _DIAMETERS_UM[0] <= diameter_um <= _DIAMETERS_UM[1]:
        return um_per_px, ()
    found = f"the median cell would be {diameter_um:.3g} um wide ({area_um2:,.4g} um2)"
    expected = f"cells are {_DIAMETERS_UM[0]:g} to {_DIAMETERS_UM[1]:g} um wide"
    size = pixel_size_text(um_per_px)
    if is_given:
        return um_per_px, (f"With the given pixel size of {size} {found}, but {expected}: check --um-per-px.",)
    said = f"The pixel size of the file, {size}, was not used: {found}, but {expected}."
    return None, (f"{said} Give the true one with --um-per-px.",)


#: Unit as ImageJ, OME-TIFF and OME-Zarr write it, in lower case -> micrometers.
UM_PER_UNIT = {
    **dict.fromkeys(("pm", "picometer", "picometre"), 1e-6),
    **dict.fromkeys(("å", "å", "a", "ångström", "angstrom"), 1e-4),
    **dict.fromkeys(("nm", "nanometer", "nanometre", "nanometers"), 1e-3),
    **dict.fromkeys(("um", "µm", "μm", "\\u00b5m", "\\u03bcm", "&#181;m"), 1.0),
    **dict.fromkeys(("micron", "microns", "micrometer", "micrometre", "micrometers", "micrometres"), 1.0),
    **dict.fromkeys(("mm", "millimeter", "millimetre", "millimeters"), 1e3),
    **dict.fromkeys(("cm", "centimeter", "centimetre", "centimeters"), 1e4),
    **dict.fromkeys(("m", "meter", "metre"), 1e6),
    **dict.fromkeys(("in", "inch", "inches"), UM_PER_INCH := 25_400.0),
}
#: Units that say that nothing is known.
_NO_LENGTH = ("", "pixel", "pixels", "px", "none", "arbitrary")

_SMALLEST_UM, _LARGEST_UM = 1e-3, 20.0
"""An electron microscope resolves nanometers; of cells at 20 um a pixel nothing can be seen."""

_LARGEST_OF_INCHES_UM = 5.0
"""Microscopes do not count in dots per inch; printers and scanners do, with up to 4,800 or so."""

_PRINTER_DPI = (
    72, 75, 90, 96, 100, 120, 144, 150, 180, 200, 220, 240, 254, 266, 300, 320, 350, 360, 400, 600, 720, 800, 1000,
    1200, 1440, 1600, 1800, 2000, 2400, 2820, 2880, 3000, 3200, 3600, 4000, 4800, 5400, 5760, 6400, 7200, 8000, 9600,
    12800, 19200,
)  # fmt: skip
"""Dots per inch of screens, printers and scanners."""

_PRINTER_UNITS = (UM_PER_INCH, UM_PER_UNIT["cm"], UM_PER_UNIT["m"])
"""Units in which their resolution is written: inches, centimeters in TIFF and JPEG, meters in PNG and BMP."""

_REMEDY = "Give it with --um-per-px where it is known."


@dataclass(frozen=True)
class Stated:
    """The pixel size that a file states, as far as it can be believed.

    Attributes:
        um_per_px: Height and width, None where nothing usable is stated.
        notes: Sentences on what is unusual, or was not used and why.
    """

    um_per_px: PixelSize | None = None
    notes: tuple[str, ...] = ()


def first_usable(statements: Iterable[Stated]) -> Stated:
    """The first of several statements that can be used; what was passed over before is said."""
    passed_over: tuple[str, ...] = ()
    for stated in statements:
        if stated.um_per_px is not None:
            return Stated(stated.um_per_px, passed_over + stated.notes)
        passed_over += stated.notes
    return Stated(None, tuple(dict.fromkeys(passed_over)))


def stated_size(y_um: float | None, x_um: float | None, place: str) -> Stated:
    """A size that a file states in a unit of length, where microscopes write it.

    Args:
        y_um: Height of a pixel in micrometers, None where it is not stated.
        x_um: Width.
        place: Where it stands, for people: `OME-XML`.
    """
    if y_um is None and x_um is None:
        return Stated()
    if y_um is None or x_um is None:
        known, axis = (x_um, "x") if y_um is None else (y_um, "y")
        stated = stated_size(known, known, place)
        if stated.um_per_px is None:
            return stated
        said = f"{place} states the pixel size along {axis} only; pixels were taken to be square."
        return Stated(stated.um_per_px, (*stated.notes, said))
    size = float(y_um), float(x_um)
    if not all(math.isfinite(side) and side > 0 for side in size):
        return _unused(f"{place} states pixels of {size[0]:g} x {size[1]:g} um, which is no size")
    if not all(_SMALLEST_UM <= side <= _LARGEST_UM for side in size):
        return _unused(
            f"{place} states {_per_pixel(size)}, which is not from {_SMALLEST_UM:g} to {_LARGEST_UM:g} um as images of "
            "cells have, perhaps in another unit"
        )
    if elongation(size) > MAX_RATIO:
        return _unused(
            f"{place} states {_per_pixel(size)}, of which one side is more than {MAX_RATIO:g} times the other"
        )
    return Stated(size)


def stated_resolution(
    y_per_unit: float | None, x_per_unit: float | None, um_per_unit: float | None, place: str
) -> Stated:
    """A resolution, as TIFF tags, PNG and JPEG state it, where programs also write that of a screen or a printer.

    Args:
        y_per_unit: Pixels along y for one unit; None or 0 where it is not stated.
        x_per_unit: Along x.
        um_per_unit: The unit in micrometers; None where there is none, so that only a ratio is stated.
        place: Where it stands, for people.
    """
    sides = [float(side) if side else None for side in (y_per_unit, x_per_unit)]
    if not any(sides):
        return Stated()
    if um_per_unit is None:
        return _ratio_alone(*sides, place)
    um = [None if per_unit is None else um_per_unit / per_unit for per_unit in sides]
    dots = [UM_PER_INCH / side for side in um if side is not None]
    if all(math.isfinite(dpi) and dpi > 0 and _is_printers(dpi, um_per_unit) for dpi in dots):
        low, high = min(dots), max(dots)
        named = f"{low:,.0f}" if high - low < 1 else f"{low:,.0f} and {high:,.0f}"
        return _unused(
            f"{place} state {named} dots per inch ({UM_PER_INCH / low:.4g} um a pixel), the resolution of a screen, a "
            "printer or a scanner"
        )
    return stated_size(*um, place)


def stated_in_unit(y: float | None, x: float | None, units: tuple[str, str], place: str) -> Stated:
    """A size with the names of its units along y and x."""
    if y is None and x is None:
        return Stated()
    found = []
    for value, unit in zip((y, x), units, strict=True):
        um = UM_PER_UNIT.get(unit.strip().lower())
        if value is not None and um is None:
            if unit.strip().lower() in _NO_LENGTH:
                return Stated()
            return _unused(f"{place} states the pixel size in '{unit}', which is no length that is known here")
        found.append(None if value is None else value * um)
    return stated_size(*found, place)


def _ratio_alone(y: float | None, x: float | None, place: str) -> Stated:
    # Programs that know nothing write 1 : 1.
    if y is None or x is None or not math.isfinite(y / x) or is_square((abs(y), abs(x))):
        return Stated()
    return _unused(f"{place} state pixels that are not square ({y:g} and {x:g} along y and x), but no size")


def _is_printers(dpi: float, um_per_unit: float) -> bool:
    if UM_PER_INCH / dpi > (_LARGEST_OF_INCHES_UM if um_per_unit == UM_PER_INCH else _LARGEST_UM):
        return True
    if um_per_unit not in _PRINTER_UNITS:
        return False
    # Half of the last digit: programs round to a whole number for the unit.
    rounded = 0.51 * UM_PER_INCH / um_per_unit
    return any(abs(dpi - known) <= rounded for known in _PRINTER_DPI)


def _per_pixel(size: PixelSize) -> str:
    return f"{pixel_size_text(size)} a pixel" if is_square(size) else f"pixels {pixel_size_text(size)}"


def _unused(what: str) -> Stated:
    return Stated(None, (f"{what}; the pixel size was taken as unknown. {_REMEDY}",))
