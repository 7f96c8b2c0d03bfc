"""One image through the bundles, from its file to its results on disk."""

import time
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np
import pandas as pd
from jaxtyping import Int32, Num

from organscope.images import Image, open_image, write_labels
from organscope.images.cells import write_cells
from organscope.images.geojson import write_geojson
from organscope.images.selection import Choice
from organscope.images.source import DEFAULT_MAX_PIXELS
from organscope.jobs.cell_answer import CellAnswer, answer_of_cells, with_cells_heard
from organscope.jobs.files import CELL_MAP, CELLS_GEOJSON, EVIDENCE, LABELS, OVERLAY, result_folder
from organscope.jobs.held import hold_image
from organscope.jobs.models import Models
from organscope.jobs.plan import Target
from organscope.jobs.plausible_size import judge_pixel_size
from organscope.jobs.result import ImageResult
from organscope.ops.measure import cell_outlines, measure_cells
from organscope.ops.pixel_size import PixelSize
from organscope.predict import (
    CellOrgans,
    Classification,
    Scale,
    Segmentation,
    Sizing,
    classify_centres,
    classify_image,
    segment_image,
)
from organscope.predict.prepare import intensity_notes
from organscope.report.cell_map import cell_colours, draw_cell_map, write_cell_map
from organscope.report.evidence import MAX_SIDE_PX as EVIDENCE_SIDE_PX
from organscope.report.evidence import draw_evidence, write_evidence
from organscope.report.overlay import draw_outlines, overlay_note, shrunk_to_bytes, write_overlay

SEGMENTATION_SHARE = 0.8
"""Part of the work on an image that finding its cells is, where the organ of each is named too."""


@dataclass(frozen=True)
class Reading:
    """How every image of a run is opened and seen; see `organscope.images.open_image`, `organscope.predict.Sizing`."""

    um_per_px: float | PixelSize | None = None
    channel: int | str | None = None
    max_pixels: int = DEFAULT_MAX_PIXELS
    sizing: Sizing = field(default_factory=Sizing)
    page: int | None = None
    z: int | None = None
    t: int | None = None
    series: int | None = None
    project: str | None = None

    def __post_init__(self) -> None:
        # Refuses what no file can have before a run starts.
        Choice(self.channel, self.page, self.z, self.t, self.series, self.project)

    def open(self, source: Path) -> Image:
        """Open an image of the run.

        Raises:
            ImageReadError: It cannot be read.
            UsageError: What was chosen is not in it.
        """
        choice = {name: getattr(self, name) for name in ("channel", "page", "z", "t", "series", "project")}
        return open_image(source, um_per_px=self.um_per_px, max_pixels=self.max_pixels, **choice)


@dataclass(frozen=True)
class FoundCells:
    """The cells of one image.

    Attributes:
        labels: 0 for background, then 1..n.
        table: One row a cell, as it is written.
        organs: The organ of each; None where it was not named.
        scale: How the network that found them saw the image.
        um_per_px: Pixel size of the table; None where it is unknown or cannot be true of these cells.
        notes: Sentences on it.
    """

    labels: Int32[np.ndarray, "y x"]
    table: pd.DataFrame
    organs: CellOrgans | None = None
    scale: Scale = field(default_factory=Scale)
    um_per_px: PixelSize | None = None
    notes: tuple[str, ...] = ()


@dataclass(frozen=True)
class Answer:
    """What the bundles say of one image, before anything is written.

    Attributes:
        image: In memory, unless it is too large or cells were not asked for.
        cells: None where they were not asked for.
        classification: The organ, after its cells were heard; None where it was not asked for.
        cell_answer: What the cells say together; None where the organ of each cell was not named.
        notes: What was chosen when the file was read and its intensities were scaled, in sentences.
    """

    image: Image
    cells: FoundCells | None = None
    classification: Classification | None = None
    cell_answer: CellAnswer | None = None
    notes: tuple[str, ...] = ()

    def result(self, target: Target, seconds: float) -> ImageResult:
        """What tables and report say of it, without what is too much to keep for every image of a run."""
        # Evidence is drawn by now.
        organ = None if self.classification is None else replace(self.classification, evidence=None)
        return ImageResult(
            target=target,
            height_px=self.image.height_px,
            width_px=self.image.width_px,
            um_per_px=self.image.um_per_px if self.cells is None else self.cells.um_per_px,
            seconds=seconds,
            areas_px=None if self.cells is None else self.cells.table["area_px"].to_numpy(),
            classification=organ,
            cell_answer=self.cell_answer,
            scale=None if self.cells is None else self.cells.scale,
            selection=self.image.selection,
            notes=self.notes,
        )


def work_on_image(
    target: Target,
    out: Path,
    models: Models,
    reading: Reading,
    advance: Callable[[float], None] | None = None,
) -> ImageResult:
    """Open one image, apply the bundles and write the results that belong to it alone.

    Args:
        target: The image and its place below `out`.
        out: The output folder.
        models: A bundle for each answer that is wanted.
        reading: How to open the image.
        advance: Told the fraction of the work that is done.

    Raises:
        InputError: The image cannot be used.
        OutputError: The results cannot be written; nothing of them is there.
    """
    started = time.perf_counter()
    with reading.open(target.source) as opened:
        answer = answer_image(opened, models, sizing=reading.sizing, advance=advance)
        write_answer(out / target.stem, answer)
    return answer.result(target, time.perf_counter() - started)


def answer_image(
    opened: Image,
    models: Models,
    *,
    sizing: Sizing | None = None,
    advance: Callable[[float], None] | None = None,
) -> Answer:
    """Apply the bundles to one image; nothing is written.

    Raises:
        InputError: The image cannot be used.
    """
    image = opened if models.cells is None else hold_image(opened)
    answer = Answer(image, notes=reading_notes(image, models))
    if models.organs is not None:
        answer = replace(answer, classification=classify_image(image, models.organs, rules=models.image_rules))
    if models.cells is None:
        return answer
    found = find_cells(image, models, advance, sizing=sizing, size_is_given=opened.size_is_given)
    answer = replace(answer, cells=found, notes=answer.notes + found.notes)
    if answer.cells.organs is None:
        return answer
    heard = answer_of_cells(answer.cells.organs, answer.classification)
    organ = with_cells_heard(answer.classification, heard, models.together, models.rules)
    return replace(answer, classification=organ, cell_answer=heard)


def write_answer(folder: Path, answer: Answer) -> None:
    """Write the files that belong to one image alone; none where cells were not asked for.

    Raises:
        OutputError: They cannot be written; nothing of them is there.
    """
    if answer.cells is not None:
        write_cell_results(folder, answer.image, answer.cells, answer.classification)


def reading_notes(image: Image, models: Models) -> tuple[str, ...]:
    """What was chosen when the file was read and its intensities were scaled, in sentences, each once.

    Raises:
        InputError: The image is damaged, or has channels of which one must be chosen.
    """
    bundles = [bundle for bundle in (models.cells, models.organs) if bundle is not None]
    scaled = (note for bundle in bundles for note in intensity_notes(image, bundle.manifest.preprocessing))
    return tuple(dict.fromkeys((*image.notes, *scaled)))


def find_cells(
    image: Image,
    models: Models,
    advance: Callable[[float], None] | None = None,
    *,
    sizing: Sizing | None = None,
    size_is_given: bool = False,
) -> FoundCells:
    """Segment an image, measure its cells and, where there is a bundle for it, name the organ of each.

    A pixel size that is not `size_is_given` is left out of the measures where it cannot be true of the cells.

    Raises:
        InputError: The image is damaged, or of a kind that cannot be prepared.
    """
    end = 1.0 if models.cell_organs is None else SEGMENTATION_SHARE
    segmentation = segment_image(
        image,
        models.cells,
        sizing=sizing or Sizing(),
        faint_threshold=models.faint_threshold,
        progress=_between(advance, 0.0, end),
    )
    areas_px = np.bincount(segmentation.labels.ravel())[1:]
    um_per_px, notes = judge_pixel_size(image.um_per_px, areas_px, is_given=size_is_given)
    table = cell_table(image.read_whole(), segmentation, um_per_px)
    if models.cell_organs is None:
        return FoundCells(segmentation.labels, table, None, segmentation.scale, um_per_px, notes)
    centres = table[["centroid_y_px", "centroid_x_px"]].to_numpy()
    organs = classify_centres(image, centres, models.cell_organs, progress=_between(advance, end, 1.0))
    place = table.columns.get_loc("touches_border")
    table.insert(place, "organ", np.array(organs.organs, object)[organs.organ_index])
    table.insert(place + 1, "organ_probability", organs.confidence)
    return FoundCells(segmentation.labels, table, organs, segmentation.scale, um_per_px, notes)


def write_cell_results(folder: Path, image: Image, found: FoundCells, whole: Classification | None = None) -> None:
    """Write labels, tables, outlines and pictures of one image together.

    Raises:
        OutputError: They cannot be written; nothing of them is there.
    """
    outlines = cell_outlines(found.labels)
    pixels = image.visible(image.read_whole())
    picture, labels = shrunk_to_bytes(pixels, found.labels, image.value_range)
    with result_folder(folder) as partial:
        write_labels(partial / LABELS, found.labels, found.um_per_px)
        write_cells(partial, found.table)
        write_geojson(partial / CELLS_GEOJSON, outlines, found.table)
        write_overlay(partial / OVERLAY, draw_outlines(picture, labels), overlay_note(pixels, image.value_range))
        if found.organs is not None:
            colours = cell_colours(found.organs.organ_index, len(found.organs.organs))
            write_cell_map(partial / CELL_MAP, draw_cell_map(picture, labels, colours))
        if whole is not None and whole.evidence is not None:
            shape = (image.height_px, image.width_px)
            speaks = whole.evidence.speaks_for(whole.decision.organ_index, shape, max_side_px=EVIDENCE_SIDE_PX)
            write_evidence(partial / EVIDENCE, draw_evidence(picture, speaks))


def cell_table(
    pixels: Num[np.ndarray, "y x c"], segmentation: Segmentation, um_per_px: PixelSize | None
) -> pd.DataFrame:
    """One row a cell: what was measured, and the probability that the network gave it."""
    table = pd.DataFrame(measure_cells(segmentation.labels, pixels, um_per_px))
    table.insert(table.columns.get_loc("touches_border"), "probability", segmentation.probability)
    return table


def _between(advance: Callable[[float], None] | None, start: float, stop: float) -> Callable[[float], None] | None:
    """A listener for one part of the work, which is told of the part alone."""
    return None if advance is None else lambda fraction: advance(start + fraction * (stop - start))
