"""A distribution as a small drawing that needs no other file."""

import math

import numpy as np
from jaxtyping import Float
from markupsafe import Markup, escape

WIDTH, HEIGHT = 360, 150
LEFT, RIGHT, TOP, BOTTOM = 34, 10, 8, 34
MAX_BINS = 30


def histogram_svg(values: Float[np.ndarray, " n"], *, unit: str, what: str = "cells") -> Markup:
    """Bars of how many values lie where, with the median marked, as inline SVG in the page's own colours.

    The axis ends at the 99th percentile, so that one huge value does not squeeze the others; values beyond it
    are counted in the last bar, whose label says so.

    Args:
        values: At least one finite number, none negative.
        unit: Unit on the axis, for instance `px²`.
        what: What is counted.
    """
    top = _round_up(float(np.percentile(values, 99)))
    counts, _ = np.histogram(np.clip(values, 0, top), bins=_n_bins(values.size), range=(0, top))
    median = float(np.median(values))
    beyond = bool(values.max() > top)
    title = f"Areas of {values.size:,} {what}: median {area_text(median)} {unit}"
    parts = [
        f'<svg class="histogram" viewBox="0 0 {WIDTH} {HEIGHT}" role="img" aria-label="{escape(title)}">',
        f"<title>{escape(title)}</title>",
        *_bars(counts),
        _median_line(min(median / top, 1.0)),
        *_axes(top, int(counts.max()), unit, beyond),
        "</svg>",
    ]
    return Markup("".join(parts))


def area_text(area: float) -> str:
    """An area with at least two digits."""
    return f"{area:,.1f}" if area < 100 else f"{area:,.0f}"


def _bars(counts: np.ndarray) -> list[str]:
    step = (WIDTH - LEFT - RIGHT) / counts.size
    height = HEIGHT - TOP - BOTTOM
    bars = []
    for place, count in enumerate(counts):
        tall = height * count / counts.max()
        bars.append(
            f'<rect class="bar" x="{LEFT + place * step + 0.5:.1f}" y="{TOP + height - tall:.1f}" '
            f'width="{step - 1:.1f}" height="{tall:.1f}"/>'
        )
    return bars


def _median_line(fraction: float) -> str:
    x = LEFT + fraction * (WIDTH - LEFT - RIGHT)
    return f'<line class="median" x1="{x:.1f}" x2="{x:.1f}" y1="{TOP}" y2="{HEIGHT - BOTTOM}"/>'


def _axes(top: float, most: int, unit: str, beyond: bool) -> list[str]:
    base = HEIGHT - BOTTOM
    right = WIDTH - RIGHT
    last = f"{top:,.0f}{'+' if beyond else ''}"
    return [
        f'<line class="axis" x1="{LEFT}" x2="{right}" y1="{base}" y2="{base}"/>',
        f'<text x="{LEFT - 5}" y="{TOP + 8}" text-anchor="end">{most:,}</text>',
        f'<text x="{LEFT - 5}" y="{base}" text-anchor="end">0</text>',
        f'<text x="{LEFT}" y="{base + 13}" text-anchor="middle">0</text>',
        f'<text x="{(LEFT + right) / 2}" y="{base + 13}" text-anchor="middle">{top / 2:,.0f}</text>',
        f'<text x="{right}" y="{base + 13}" text-anchor="end">{last}</text>',
        f'<text x="{(LEFT + right) / 2}" y="{HEIGHT - 4}" text-anchor="middle">cell area, {escape(unit)}</text>',
    ]


def _n_bins(n_values: int) -> int:
    return max(5, min(MAX_BINS, round(2 * n_values ** (1 / 3))))


def _round_up(value: float) -> float:
    """The next number of two digits and zeros, so that the axis reads easily."""
    if value <= 0:
        return 1.0
    scale = 10.0 ** (math.floor(math.log10(value)) - 1)
    return math.ceil(value / scale) * scale
