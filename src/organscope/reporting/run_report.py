"""One HTML page that shows what was found in each image, and with what.

Images inside the page, so that one file can be kept, sent and opened anywhere.

How every page is rendered: escaped, and with no name left undefined.

A distribution as a small drawing that needs no other file.
"""

import base64
import io
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

import numpy as np
from jaxtyping import Float
from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup, escape
from PIL import Image as PillowImage

from organscope.io.paths import atomic_path
from organscope.ops.pixel_size import PixelSize, pixel_size_text
from organscope.reporting.overlays import read_note

# Longest side of each image by the number of images on the page: the page stays under about 30 MB.
_SIDE_PX_BY_COUNT = ((12, 1024), (60, 640), (300, 384))
_SMALLEST_SIDE_PX = 256


def side_px_for(n_images: int) -> int:
    """Longest side of an image on a page that shows so many of them."""
    return next((side for count, side in _SIDE_PX_BY_COUNT if n_images <= count), _SMALLEST_SIDE_PX)


def image_uri(path: Path, max_side_px: int) -> str:
    """The image at `path` as a JPEG data URI, shrunk to `max_side_px` on its longer side."""
    with PillowImage.open(path) as image:
        small = image.convert("RGB")
    small.thumbnail((max_side_px, max_side_px), PillowImage.Resampling.LANCZOS)
    stream = io.BytesIO()
    small.save(stream, format="JPEG", quality=88, subsampling=0)
    return "data:image/jpeg;base64," + base64.b64encode(stream.getvalue()).decode("ascii")


def page_environment() -> Environment:
    """An environment for the templates of this room; every text from outside is escaped."""
    return Environment(
        loader=PackageLoader("organscope.reporting"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )


_WIDTH, _HEIGHT = 360, 150
_LEFT, _RIGHT, _TOP, _BOTTOM = 34, 10, 8, 34
_MAX_BINS = 30


def histogram_svg(values: Float[np.ndarray, " n"], *, unit: str, what: str = "cells") -> Markup:
    """Bars of how many values lie where, with the median marked, as inline SVG in the page's own colors.

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
        f'<svg class="histogram" viewBox="0 0 {_WIDTH} {_HEIGHT}" role="img" aria-label="{escape(title)}">',
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
    step = (_WIDTH - _LEFT - _RIGHT) / counts.size
    height = _HEIGHT - _TOP - _BOTTOM
    bars = []
    for place, count in enumerate(counts):
        tall = height * count / counts.max()
        bars.append(
            f'<rect class="bar" x="{_LEFT + place * step + 0.5:.1f}" y="{_TOP + height - tall:.1f}" '
            f'width="{step - 1:.1f}" height="{tall:.1f}"/>'
        )
    return bars


def _median_line(fraction: float) -> str:
    x = _LEFT + fraction * (_WIDTH - _LEFT - _RIGHT)
    return f'<line class="median" x1="{x:.1f}" x2="{x:.1f}" y1="{_TOP}" y2="{_HEIGHT - _BOTTOM}"/>'


def _axes(top: float, most: int, unit: str, beyond: bool) -> list[str]:
    base = _HEIGHT - _BOTTOM
    right = _WIDTH - _RIGHT
    last = f"{top:,.0f}{'+' if beyond else ''}"
    return [
        f'<line class="axis" x1="{_LEFT}" x2="{right}" y1="{base}" y2="{base}"/>',
        f'<text x="{_LEFT - 5}" y="{_TOP + 8}" text-anchor="end">{most:,}</text>',
        f'<text x="{_LEFT - 5}" y="{base}" text-anchor="end">0</text>',
        f'<text x="{_LEFT}" y="{base + 13}" text-anchor="middle">0</text>',
        f'<text x="{(_LEFT + right) / 2}" y="{base + 13}" text-anchor="middle">{top / 2:,.0f}</text>',
        f'<text x="{right}" y="{base + 13}" text-anchor="end">{last}</text>',
        f'<text x="{(_LEFT + right) / 2}" y="{_HEIGHT - 4}" text-anchor="middle">cell area, {escape(unit)}</text>',
    ]


def _n_bins(n_values: int) -> int:
    return max(5, min(_MAX_BINS, round(2 * n_values ** (1 / 3))))


def _round_up(value: float) -> float:
    """The next number of two digits and zeros, so that the axis reads easily."""
    if value <= 0:
        return 1.0
    scale = 10.0 ** (math.floor(math.log10(value)) - 1)
    return math.ceil(value / scale) * scale


_SMALL_SIDE_PX = 640
"""Longest side of an image that stands beside the first one of an image."""


@dataclass(frozen=True)
class OrganEntry:
    """The answer for one image.

    Attributes:
        organ: The most probable organ.
        confidence: Its probability, in [0, 1].
        accepted: False where the answer is "I don't know".
        reason: Why it was not accepted, in plain words; empty where it was.
        probabilities: The most probable organs with their probabilities, falling.
        prediction_set: Organs that cannot be ruled out, the most probable first; empty where no set was made.
        coverage: Share of the images whose organ is in their set, in (0, 1).
        promise: Sentences of the recall contract for this organ; empty where there is none.
        must_find: Organ that a person asked not to miss; empty where none was named.
        flagged: Whether the image may show that organ.
    """

    organ: str
    confidence: float
    accepted: bool
    reason: str
    probabilities: tuple[tuple[str, float], ...]
    prediction_set: tuple[str, ...] = ()
    coverage: float = 0.0
    promise: tuple[str, ...] = ()
    must_find: str = ""
    flagged: bool = False


@dataclass(frozen=True)
class CellShare:
    """One bar of the organs of the cells: a name, how many cells, and their color in the image."""

    organ: str
    n_cells: int
    colour: tuple[int, int, int]


@dataclass(frozen=True)
class CellsEntry:
    """The organs of the cells of one image.

    Attributes:
        image: Every cell in the color of its organ.
        organ: What the cells say together; empty where the image has none.
        confidence: Its probability, in [0, 1].
        accepted: False where it is not to be relied on.
        agreement: With the image as a whole: "agree", "disagree", "unsure" or "no cells".
        shares: The most frequent organs first; the last bar may stand for all others.
        image_organ: What the image as a whole says without them.
        image_confidence: Its probability.
        help_to_decide: The answer for the image counts them.
    """

    picture: Path
    organ: str
    confidence: float
    accepted: bool
    agreement: str
    shares: tuple[CellShare, ...]
    image_organ: str
    image_confidence: float
    help_to_decide: bool = False

    @property
    def n_cells(self) -> int:
        return sum(share.n_cells for share in self.shares)


@dataclass(frozen=True)
class KindBar:
    """One kind of cell: how many, which share with its interval, and how many a square millimeter if that is known."""

    kind: str
    n_cells: int
    n_sure: int
    share: float
    share_low: float
    share_high: float
    per_mm2: float | None
    color: tuple[int, int, int]


@dataclass(frozen=True)
class KindsEntry:
    """The kinds of the cells of one image.

    Attributes:
        picture: Every cell in the color of its kind, gray where that is not sure.
        bars: One a kind; none without cells.
        not_sure: Cells whose kind is not to be relied on.
        sentence: What the intervals mean.
    """

    picture: Path
    bars: tuple[KindBar, ...]
    not_sure: int
    sentence: str


@dataclass(frozen=True)
class OrganMapEntry:
    """The organs of the fields of a slide: an image, and how many fields of each; see `CellShare`."""

    picture: Path
    shares: tuple[CellShare, ...]

    @property
    def n_fields(self) -> int:
        return sum(share.n_cells for share in self.shares)


@dataclass(frozen=True)
class ImageEntry:
    """What the page says about one image; `areas` are in `area_unit`, one number a cell or an even sample of them.

    `cells` is None where the organ of each cell was not named, `evidence` where the network cannot show what its
    answer rests on, `organ_map` where the image is no slide. `cell_count` is the number of cells where `areas` is a
    sample. `dab` are positive cells as `ihc.csv` holds them; None where they were not asked for.
    """

    name: str
    overlay: Path
    height_px: int
    width_px: int
    um_per_px: PixelSize | None
    areas: np.ndarray
    area_unit: str
    organ: OrganEntry
    cells: CellsEntry | None = None
    evidence: Path | None = None
    organ_map: OrganMapEntry | None = None
    cell_count: int | None = None
    notes: tuple[str, ...] = ()
    kinds: KindsEntry | None = None
    dab: Mapping[str, str | int | float] | None = None

    @property
    def n_pictures(self) -> int:
        return 1 + sum(part is not None for part in (self.cells, self.evidence, self.organ_map, self.kinds))

    @property
    def n_cells(self) -> int:
        return int(self.areas.size) if self.cell_count is None else self.cell_count

    @property
    def median_area(self) -> float | None:
        return float(np.median(self.areas)) if self.areas.size else None

    @property
    def histogram(self) -> Markup:
        what = "cells" if self.areas.size == self.n_cells else "sampled cells"
        return histogram_svg(self.areas, unit=self.area_unit, what=what)


@dataclass(frozen=True)
class FailureEntry:
    """An image that could not be used, and the sentence that says why."""

    name: str
    message: str


@dataclass(frozen=True)
class BundleEntry:
    """A model that took part."""

    name: str
    version: str
    task: str
    licence: str
    summary: str


@dataclass(frozen=True)
class Page:
    """Everything the page shows; `promise` are sentences about the organ that must not be missed, if one was named."""

    created: datetime
    organscope_version: str
    images: Sequence[ImageEntry]
    failures: Sequence[FailureEntry]
    bundles: Sequence[BundleEntry]
    promise: tuple[str, ...] = ()

    @property
    def names_cells(self) -> bool:
        return any(entry.cells is not None for entry in self.images)


def render_page(page: Page) -> str:
    """The page as HTML that needs no other file; every text from outside is escaped."""
    environment = page_environment()
    environment.filters["area"] = area_text
    environment.filters["pixel_size"] = lambda size: pixel_size_text(size, "µm")
    environment.filters["css"] = lambda color: f"rgb({', '.join(map(str, color))})"
    side_px = side_px_for(sum(entry.n_pictures for entry in page.images))
    template = environment.get_template("report.html.j2")
    return template.render(
        page=page,
        large=lambda path: image_uri(path, side_px),
        note=read_note,
        small=lambda path: image_uri(path, min(side_px, _SMALL_SIDE_PX)),
    )


def write_page(path: Path, page: Page) -> None:
    """Write the page to `path`.

    Raises:
        OutputError: The folder is not writable or the disk is full.
    """
    with atomic_path(path) as temporary:
        # A file name may hold bytes that are no text; the page shows a question mark for them.
        temporary.write_text(render_page(page), encoding="utf-8", errors="replace")
