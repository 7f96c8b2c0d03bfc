"""The size of a pixel: height and width in micrometers, which need not be equal.

Every pixel size in organscope is a pair in the order of arrays, y before x. A person may give one number for square
pixels.
"""

import math
from collections.abc import Sequence

from organscope.errors import UsageError

PixelSize = tuple[float, float]
"""Height and width of a pixel (y, x) in micrometers."""

MAX_RATIO = 4.0
"""Pixels of which one side is longer than so many times the other are taken for a mistake."""

_SQUARE = 1.001
"""Sides within this ratio are the same: resolution tags are rounded."""

_LIMITS_UM = (1e-4, 1e4)


def given_pixel_size(value: float | int | Sequence[float | int] | None) -> PixelSize | None:
    """A pixel size that a person gave: one number for square pixels, or height and width.

    Raises:
        UsageError: It is no length from 0.0001 to 10,000 um, or one side is more than 4 times the other.
    """
    return None if value is None else _checked(value)


def _checked(value: float | int | Sequence[float | int]) -> PixelSize:
    numbers = [float(side) for side in (value if isinstance(value, Sequence) else (value, value))]
    if len(numbers) != 2 or not all(_LIMITS_UM[0] <= side <= _LIMITS_UM[1] for side in numbers):
        raise UsageError(
            f"Expected a pixel size from {_LIMITS_UM[0]:g} to {_LIMITS_UM[1]:,.0f} um, one number or height and width "
            f"(Y,X), found {value}."
        )
    sides = numbers[0], numbers[1]
    if elongation(sides) > MAX_RATIO:
        raise UsageError(
            f"Expected pixels of which one side is at most {MAX_RATIO:g} times the other, found "
            f"{pixel_size_text(sides)}. Check both numbers, or resample the image to square pixels first."
        )
    return sides


def parse_pixel_size(text: str) -> PixelSize:
    """A pixel size as people write it: `0.5`, or height and width as in `1.0,0.5`.

    Raises:
        UsageError: As `given_pixel_size`.
    """
    try:
        sides = [float(part) for part in text.split(",")]
    except ValueError:
        raise UsageError(
            f"Expected a pixel size in um, one number such as 0.5 or height and width such as 1.0,0.5, found '{text}'."
        ) from None
    return _checked(sides if len(sides) > 1 else sides[0])


def is_square(size: PixelSize) -> bool:
    """Whether both sides are equal, but for rounding."""
    return elongation(size) <= _SQUARE


def elongation(size: PixelSize) -> float:
    """The longer side over the shorter."""
    return max(size) / min(size)


def pixel_area_um2(size: PixelSize) -> float:
    """Area of a pixel in square micrometers."""
    return size[0] * size[1]


def side_um(size: PixelSize) -> float:
    """Side in micrometers of the square pixel of the same area."""
    return math.sqrt(pixel_area_um2(size))


def squaring_factors(size: PixelSize | None) -> tuple[float, float]:
    """Pixels for one of the image along y and x that make pixels square and keep their area; (1, 1) where they are."""
    if size is None or is_square(size):
        return 1.0, 1.0
    side = side_um(size)
    return size[0] / side, size[1] / side


def sides_px(side_px: int, size: PixelSize | None, factor: float = 1.0) -> tuple[int, int]:
    """Rows and columns of the rectangle that is a square of `side_px` once pixels are square and the image scaled."""
    down, across = squaring_factors(size)
    return max(1, round(side_px / (factor * down))), max(1, round(side_px / (factor * across)))


def pixel_size_text(size: PixelSize, unit: str = "um") -> str:
    """For people: `0.5 um`, or `1 um high and 0.5 um wide`."""
    if is_square(size):
        return f"{size[1]:.4g} {unit}"
    return f"{size[0]:.4g} {unit} high and {size[1]:.4g} {unit} wide"
