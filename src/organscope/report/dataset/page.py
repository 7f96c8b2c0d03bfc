"""The page of a data set."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

import pandas as pd

from organscope.dataset.index import Index
from organscope.dataset.summary import Summary
from organscope.dataset.summary.distributions import UNKNOWN_ORGAN
from organscope.ops.pixel_size import pixel_size_text
from organscope.report.dataset.figures import Drawing
from organscope.report.dataset.montage import Tile
from organscope.report.dataset.style import data_uri
from organscope.report.rendering import page_environment

MAX_SHOWN_FAILURES = 50


@dataclass(frozen=True)
class DatasetPage:
    """Everything the page shows.

    Attributes:
        created: UTC.
        organscope_version: Of this program.
        index: The data set.
        summary: Its tables.
        drawings: Its figures, in order.
        tiles: Examples.
        failures: Id and reason of each sample that could not be read.
        notes: What a reader must know before believing the figures.
    """

    created: datetime
    organscope_version: str
    index: Index
    summary: Summary
    drawings: Sequence[Drawing]
    tiles: Sequence[Tile]
    failures: Sequence[tuple[str, str]]
    notes: Sequence[str]


def render_dataset_page(page: DatasetPage) -> str:
    """The page as HTML that needs no other file; every text from outside is escaped."""
    environment = page_environment()
    environment.filters["number"] = _number
    return environment.get_template("dataset.html.j2").render(
        page=page,
        name=", ".join(sorted(page.index.table["dataset"].unique())) or page.index.folder.name,
        facts=describe(page.summary),
        failures=page.failures[:MAX_SHOWN_FAILURES],
        organs=page.summary.organs.to_dict("records"),
        area=page.summary.measures[0],
        data_uri=data_uri,
    )


def describe(summary: Summary) -> list[tuple[str, str]]:
    """What is counted at the head of the page: name and value."""
    images = summary.images
    labelled = images["n_cells"].notna()
    return [
        ("images", f"{summary.n_images:,}"),
        ("cells", f"{summary.n_cells:,} in {labelled.sum():,} labelled images"),
        ("organs", "unknown" if set(images["organ"]) == {UNKNOWN_ORGAN} else f"{summary.n_organs:,}"),
        ("groups (slides, patients)", f"{images['group'].nunique():,}"),
        ("picture sizes", _values(images["height_px"].astype(str) + " x " + images["width_px"].astype(str) + " px")),
        ("pixel types", _values(images["n_channels"].astype(str) + " x " + images["dtype"])),
        ("pixel size", _values(images[["um_per_px_y", "um_per_px_x"]].apply(_pixel_size, axis=1))),
        (
            "images in each fold",
            ", ".join(f"{n:,} in {fold}" for fold, n in images["fold"].value_counts().sort_index().items()),
        ),
    ]


def _pixel_size(sides: pd.Series) -> str:
    return "unknown" if sides.isna().any() else pixel_size_text(tuple(sides), "µm")


def _values(column: pd.Series) -> str:
    """The most frequent values of a column."""
    counts = column.value_counts()
    shown = ", ".join(f"{value} ({n:,})" if len(counts) > 1 else str(value) for value, n in counts.head(3).items())
    return shown if len(counts) <= 3 else f"{shown} and {len(counts) - 3:,} more"


def _number(value: float | None, digits: int = 0) -> str:
    """A number for a table; a dash where there is none."""
    return "–" if value is None or pd.isna(value) else f"{value:,.{digits}f}"
