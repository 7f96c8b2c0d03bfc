"""Whether a pixel size fits the cells that were found in the image: nuclei are neither huge nor tiny."""

import math

import numpy as np
from jaxtyping import Num

from organscope.ops.pixel_size import PixelSize, pixel_area_um2, pixel_size_text

DIAMETERS_UM = (1.0, 60.0)
"""Median equivalent diameters of cells that are possible; a nucleus has 20 to 500 square micrometers."""

MIN_CELLS = 3
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
    if um_per_px is None or len(areas_px) < MIN_CELLS:
        return um_per_px, ()
    area_um2 = float(np.median(areas_px)) * pixel_area_um2(um_per_px)
    diameter_um = math.sqrt(4 * area_um2 / math.pi)
    if DIAMETERS_UM[0] <= diameter_um <= DIAMETERS_UM[1]:
        return um_per_px, ()
    found = f"the median cell would be {diameter_um:.3g} um wide ({area_um2:,.4g} um2)"
    expected = f"cells are {DIAMETERS_UM[0]:g} to {DIAMETERS_UM[1]:g} um wide"
    size = pixel_size_text(um_per_px)
    if is_given:
        return um_per_px, (f"With the given pixel size of {size} {found}, but {expected}: check --um-per-px.",)
    said = f"The pixel size of the file, {size}, was not used: {found}, but {expected}."
    return None, (f"{said} Give the true one with --um-per-px.",)
