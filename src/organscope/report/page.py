"""One HTML page that shows what was found in each image, and with what."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

import numpy as np
from markupsafe import Markup

from organscope.images.atomic import atomic_path
from organscope.report.embed import picture_uri, side_px_for
from organscope.report.histogram import area_text, histogram_svg
from organscope.report.rendering import page_environment


@dataclass(frozen=True)
class OrganEntry:
    """The answer for one image.

    Attributes:
        organ: The most probable organ.
        confidence: Its probability, in [0, 1].
        accepted: False where the answer is "I don't know".
        reason: Why it was not accepted, in plain words; empty where it was.
        probabilities: The most probable organs with their probabilities, falling.
    """

    organ: str
    confidence: float
    accepted: bool
    reason: str
    probabilities: tuple[tuple[str, float], ...]


@dataclass(frozen=True)
class ImageEntry:
    """What the page says about one image; `areas` are in `area_unit`, one number a cell."""

    name: str
    overlay: Path
    height_px: int
    width_px: int
    um_per_px: float | None
    areas: np.ndarray
    area_unit: str
    organ: OrganEntry

    @property
    def n_cells(self) -> int:
        return int(self.areas.size)

    @property
    def median_area(self) -> float | None:
        return float(np.median(self.areas)) if self.areas.size else None

    @property
    def histogram(self) -> Markup:
        return histogram_svg(self.areas, unit=self.area_unit)


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
    """Everything the page shows."""

    created: datetime
    organscope_version: str
    images: Sequence[ImageEntry]
    failures: Sequence[FailureEntry]
    bundles: Sequence[BundleEntry]


def render_page(page: Page) -> str:
    """The page as HTML that needs no other file; every text from outside is escaped."""
    environment = page_environment()
    environment.filters["area"] = area_text
    side_px = side_px_for(len(page.images))
    template = environment.get_template("report.html.j2")
    return template.render(page=page, picture=lambda entry: picture_uri(entry.overlay, side_px))


def write_page(path: Path, page: Page) -> None:
    """Write the page to `path`.

    Raises:
        OutputError: The folder is not writable or the disk is full.
    """
    with atomic_path(path) as temporary:
        # A file name may hold bytes that are no text; the page shows a question mark for them.
        temporary.write_text(render_page(page), encoding="utf-8", errors="replace")
