"""A data set from its index to its page and tables."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pandas as pd

from organscope import __version__
from organscope.dataset.index import Index
from organscope.dataset.names import make_folder
from organscope.dataset.summary import Summary, summarise
from organscope.dataset.survey import Survey, survey_index
from organscope.dataset.survey.survey import Progress
from organscope.images import atomic_path
from organscope.report.dataset.figures import Drawing
from organscope.report.dataset.gallery import draw_figures, notes_of
from organscope.report.dataset.montage import Tile, draw_mosaic, draw_tiles
from organscope.report.dataset.page import DatasetPage, render_dataset_page

PAGE_NAME = "summary.html"
FIGURES_FOLDER = "figures"
JOURNAL_NAME = ".summary-journal.jsonl"


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


def summarise_index(
    index: Index, out: str | Path, *, workers: int = 1, umap: bool = True, progress: Progress | None = None
) -> SummaryReport:
    """Read every file of an index once, and write a page, figures and tables.

    Memory grows with the number of images by a few kilobytes each; pixels are not kept. An interrupted summary goes on
    where it stopped. Several workers need a caller that can be imported (`if __name__ == "__main__"`).

    Args:
        index: What to summarise.
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
    make_folder(out / FIGURES_FOLDER)
    journal = out / JOURNAL_NAME
    survey = survey_index(index, journal, workers=workers, progress=progress)
    failures = _failures(survey)
    summary = summarise(survey, umap=umap)
    drawings, tiles = draw_figures(summary), draw_tiles(summary.examples)
    notes = notes_of(summary, len(failures))
    page = DatasetPage(datetime.now(UTC), __version__, index, summary, drawings, tiles, failures, notes)
    files = [_write_page(out / PAGE_NAME, page), *_write_tables(out, summary), *_write_figures(out, drawings, tiles)]
    journal.unlink()
    return SummaryReport(summary, failures, files)


def _failures(survey: Survey) -> list[tuple[str, str]]:
    return [
        (sample.id, error) for sample, facts in survey for error in (facts.image_error, facts.labels_error) if error
    ]


def _write_page(path: Path, page: DatasetPage) -> Path:
    with atomic_path(path) as temporary:
        # A file name may hold bytes that are no text; the page shows a question mark for them.
        temporary.write_text(render_dataset_page(page), encoding="utf-8", errors="replace")
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
    pictures = {drawing.name: drawing.light for drawing in drawings}
    if tiles:
        pictures["montage"] = draw_mosaic(tiles)
    paths = [out / FIGURES_FOLDER / f"{name}.png" for name in pictures]
    for path, picture in zip(paths, pictures.values(), strict=True):
        with atomic_path(path) as temporary:
            temporary.write_bytes(picture)
    return paths
