"""One HTML page that shows what was found in each image, and with what."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

import numpy as np
from markupsafe import Markup

from organscope.images.atomic import atomic_path
from organscope.ops.pixel_size import PixelSize, pixel_size_text
from organscope.report.embed import picture_uri, side_px_for
from organscope.report.histogram import area_text, histogram_svg
from organscope.report.overlay import read_note
from organscope.report.rendering import page_environment

SMALL_SIDE_PX = 640
"""Longest side of a picture that stands beside the first one of an image."""


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
        coverage: Share of the pictures whose organ is in their set, in (0, 1).
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
    """One bar of the organs of the cells: a name, how many cells, and their colour in the picture."""

    organ: str
    n_cells: int
    colour: tuple[int, int, int]


@dataclass(frozen=True)
class CellsEntry:
    """The organs of the cells of one image.

    Attributes:
        picture: Every cell in the colour of its organ.
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
class OrganMapEntry:
    """The organs of the fields of a slide: a picture, and how many fields of each; see `CellShare`."""

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
    sample.
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

    @property
    def n_pictures(self) -> int:
        return 1 + sum(part is not None for part in (self.cells, self.evidence, self.organ_map))

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
    environment.filters["css"] = lambda colour: f"rgb({', '.join(map(str, colour))})"
    side_px = side_px_for(sum(entry.n_pictures for entry in page.images))
    template = environment.get_template("report.html.j2")
    return template.render(
        page=page,
        large=lambda path: picture_uri(path, side_px),
        note=read_note,
        small=lambda path: picture_uri(path, min(side_px, SMALL_SIDE_PX)),
    )


def write_page(path: Path, page: Page) -> None:
    """Write the page to `path`.

    Raises:
        OutputError: The folder is not writable or the disk is full.
    """
    with atomic_path(path) as temporary:
        # A file name may hold bytes that are no text; the page shows a question mark for them.
        temporary.write_text(render_page(page), encoding="utf-8", errors="replace")
