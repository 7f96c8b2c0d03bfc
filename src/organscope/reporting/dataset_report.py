"""The page of a data set.

Which figures a data set gets, with their captions.

A data set from its index to its page and tables.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import Any

import pandas as pd

from organscope import __version__
from organscope.data.index import Index
from organscope.data.summary import UNKNOWN_ORGAN, Summary, summarize, umap_is_installed
from organscope.data.survey import Progress, Survey, survey_index
from organscope.io import atomic_path
from organscope.io.paths import make_folder
from organscope.ops.pixel_size import pixel_size_text
from organscope.reporting.dataset_figures import (
    Drawing,
    Tile,
    data_uri,
    draw,
    draw_mosaic,
    draw_tiles,
    plot_by_image,
    plot_colors,
    plot_counts,
    plot_intensities,
    plot_map,
    plot_measure,
    plot_shapes,
)
from organscope.reporting.run_report import page_environment

_MAX_SHOWN_FAILURES = 50


@dataclass(frozen=True)
class _DatasetPage:
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


def _render_dataset_page(page: _DatasetPage) -> str:
    """The page as HTML that needs no other file; every text from outside is escaped."""
    environment = page_environment()
    environment.filters["number"] = _number
    return environment.get_template("dataset.html.j2").render(
        page=page,
        name=", ".join(sorted(page.index.table["dataset"].unique())) or page.index.folder.name,
        facts=describe(page.summary),
        failures=page.failures[:_MAX_SHOWN_FAILURES],
        organs=page.summary.organs.to_dict("records"),
        area=page.summary.measures[0],
        data_uri=data_uri,
    )


def describe(summary: Summary) -> list[tuple[str, str]]:
    """What is counted at the head of the page: name and value."""
    images = summary.images
    labeled = images["n_cells"].notna()
    return [
        ("images", f"{summary.n_images:,}"),
        ("cells", f"{summary.n_cells:,} in {labeled.sum():,} labeled images"),
        ("organs", "unknown" if set(images["organ"]) == {UNKNOWN_ORGAN} else f"{summary.n_organs:,}"),
        ("groups (slides, patients)", f"{images['group'].nunique():,}"),
        ("image sizes", _values(images["height_px"].astype(str) + " x " + images["width_px"].astype(str) + " px")),
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


_BOXES = (
    "Boxes from the 25th to the 75th percentile with the median, whiskers from the 5th to the 95th, over all cells."
)
_IMAGE_BOXES = (
    "One point an image; boxes are quartiles over the images of an organ, whiskers reach 1.5 times their span."
)
_COLORS = (
    "The median color of each image (at most 60 an organ), from dark to bright. Rows that can be told apart by color "
    "show that the stain, or the slide, gives the organ away."
)
_INTENSITIES = (
    "Boxes over the pixels of an image from the 25th to the 75th percentile with the median, whiskers from the 5th to "
    "the 95th; of each the median over the images of the organ. Where rows differ, the scan gives the organ away."
)
_NEAR = "Each point is an image; near ones have like percentiles of colors and like texture."
_SLIDES = "Clusters that follow the group rather than the organ are slides, not tissue."


def _draw_figures(summary: Summary) -> list[Drawing]:
    """All figures that the data allow: those of cells need labels, the maps at least 3 different images.

    Where there is one organ only, distributions are histograms, and what compares organs is left out.
    """
    by_organ = summary.n_organs > 1
    drawings = []
    if by_organ:
        caption = "Number of images, and of annotated cells, of each organ."
        drawings.append(draw("counts", "Images and cells by organ", caption, partial(plot_counts, summary)))
    if summary.n_cells:
        drawings += _draw_cells(summary, by_organ)
    caption = "Median over pixels and colors, where black is 0 and white is 1."
    plot = partial(plot_by_image, summary, "brightness", "brightness of an image")
    drawings.append(draw("brightness", *_titled("Brightness", caption, _IMAGE_BOXES, by_organ), plot))
    if by_organ and _is_gray(summary):
        drawings.append(draw("intensities", "Intensities by organ", _INTENSITIES, partial(plot_intensities, summary)))
    elif by_organ:
        drawings.append(draw("colours", "Colors by organ", _COLORS, partial(plot_colors, summary)))
    return drawings + _draw_maps(summary)


def _notes_of(summary: Summary, n_failures: int) -> list[str]:
    """What a reader must know before believing the figures."""
    notes = []
    if n_failures:
        notes.append(f"{n_failures} files could not be read and are missing from the figures.")
    if summary.n_cells and summary.measures[0].name == "area_px" and summary.images["um_per_px_y"].nunique() > 0:
        notes.append("Areas are in pixels because not every image says how large a pixel is; they compare badly.")
    if summary.embedding is not None and not umap_is_installed():
        notes.append("The UMAP map needs umap-learn, the extra [umap].")
    return notes


def _is_gray(summary: Summary) -> bool:
    medians = summary.images[["red_p50", "green_p50", "blue_p50"]].to_numpy()
    return bool((medians == medians[:, :1]).all())


def _draw_cells(summary: Summary, by_organ: bool) -> list[Drawing]:
    areas = _titled("Cell areas", "Over all cells." if not by_organ else "", _BOXES, by_organ)
    density = _titled("Cell density", "Annotated cells of an image for its size.", _IMAGE_BOXES, by_organ)
    shapes = _titled("Cell shapes", "Solidity is the area over that of the convex hull.", _BOXES, by_organ)
    return [
        draw("areas", *areas, partial(plot_measure, summary, summary.measures[0])),
        draw("density", *density, partial(plot_by_image, summary, *_density(summary))),
        draw("shapes", *shapes, partial(plot_shapes, summary)),
    ]


def _titled(title: str, caption: str, boxes: str, by_organ: bool) -> tuple[str, str]:
    return (f"{title} by organ", f"{caption} {boxes}".strip()) if by_organ else (title, caption)


def _density(summary: Summary) -> tuple[str, str]:
    labeled = summary.images[summary.images["n_cells"].notna()]
    if labeled["cells_per_mm2"].notna().all():
        return "cells_per_mm2", "cells a mm²"
    return "cells_per_mpx", "cells a megapixel"


def _draw_maps(summary: Summary) -> list[Drawing]:
    embedding = summary.embedding
    if embedding is None:
        return []
    advice = f" {_SLIDES}" if summary.n_organs > 1 else ""
    plot = partial(plot_map, embedding, "pca")
    drawings = [draw("pca", "Map of the images: principal components", _NEAR + advice, plot)]
    if embedding.has_umap:
        caption = f"{_NEAR} Distances between clusters mean little.{advice}"
        drawings.append(draw("umap", "Map of the images: UMAP", caption, partial(plot_map, embedding, "umap")))
    return drawings


_PAGE_NAME = "summary.html"
_FIGURES_FOLDER = "figures"
_JOURNAL_NAME = ".summary-journal.jsonl"


@dataclass(frozen=True)
class SummaryReport:
    """What was written.

    Attributes:
        summary: The tables.
        failures: Id and reason of each sample whose image or labels could not be read.
        files: The page first.
    """

    summary: Summary
    failures: list[tuple[str, str]]
    files: list[Path]

    def counts(self) -> dict[str, Any]:
        """The set in a few numbers."""
        organs = self.summary.organs.set_index("organ")[["n_images", "n_cells"]]
        return {
            "n_images": self.summary.n_images,
            "n_cells": self.summary.n_cells,
            "n_organs": self.summary.n_organs,
            "organs": organs.to_dict("index"),
        }


def summarize_index(
    index: Index, out: str | Path, *, workers: int = 1, umap: bool = True, progress: Progress | None = None
) -> SummaryReport:
    """Read every file of an index once, and write a page, figures and tables.

    Memory grows with the number of images by a few kilobytes each; pixels are not kept. An interrupted summary goes on
    where it stopped. Several workers need a caller that can be imported (`if __name__ == "__main__"`).

    Args:
        index: What to summarize.
        out: Folder; made where it does not exist.
        workers: Number of processes.
        umap: Also draw the UMAP map where umap-learn is installed.
        progress: Called after every sample with the finished and with all.

    Raises:
        DatasetError: No image can be read.
        OutputError: The folder cannot be written.
        InputError: A worker process ended by itself.
    """
    out = Path(out)
    make_folder(out / _FIGURES_FOLDER)
    journal = out / _JOURNAL_NAME
    survey = survey_index(index, journal, workers=workers, progress=progress)
    failures = _failures(survey)
    summary = summarize(survey, umap=umap)
    drawings, tiles = _draw_figures(summary), draw_tiles(summary.examples)
    notes = _notes_of(summary, len(failures))
    page = _DatasetPage(datetime.now(UTC), __version__, index, summary, drawings, tiles, failures, notes)
    files = [_write_page(out / _PAGE_NAME, page), *_write_tables(out, summary), *_write_figures(out, drawings, tiles)]
    journal.unlink()
    return SummaryReport(summary, failures, files)


def _failures(survey: Survey) -> list[tuple[str, str]]:
    return [
        (sample.id, error) for sample, facts in survey for error in (facts.image_error, facts.labels_error) if error
    ]


def _write_page(path: Path, page: _DatasetPage) -> Path:
    with atomic_path(path) as temporary:
        # A file name may hold bytes that are no text; the page shows a question mark for them.
        temporary.write_text(_render_dataset_page(page), encoding="utf-8", errors="replace")
    return path


def _write_tables(out: Path, summary: Summary) -> list[Path]:
    tables: dict[str, pd.DataFrame] = {
        "organs.csv": summary.organs,
        "images.csv": summary.images,
        "distributions.csv": summary.distributions(),
    }
    if summary.embedding is not None:
        tables["map.csv"] = summary.embedding.table
    for name, table in tables.items():
        with atomic_path(out / name) as temporary:
            table.to_csv(temporary, index=False, errors="replace")
    return [out / name for name in tables]


def _write_figures(out: Path, drawings: Sequence[Drawing], tiles: Sequence[Tile]) -> list[Path]:
    images = {drawing.name: drawing.light for drawing in drawings}
    if tiles:
        images["montage"] = draw_mosaic(tiles)
    paths = [out / _FIGURES_FOLDER / f"{name}.png" for name in images]
    for path, image in zip(paths, images.values(), strict=True):
        with atomic_path(path) as temporary:
            temporary.write_bytes(image)
    return paths
