"""Process one image end to end: read, segment, classify, decide, write.

Compile and load what the first image would otherwise wait for.

How much memory the process has needed.

One image of a run, tried: its result, or its failure as a sentence.
"""

import errno
import os
import platform
import tempfile
import time
import traceback
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np
import pandas as pd
from jaxtyping import Float32, Int32, Num
from PIL import Image as PillowImage

from organscope.decision.trust import CellsTrust
from organscope.errors import OrganscopeError, OutputError
from organscope.inference import (
    CellKinds,
    CellOrgans,
    Classification,
    Scale,
    Sizing,
    classify_centers,
    classify_image,
    name_cell_kinds,
    segment_image,
)
from organscope.inference.preprocess import intensity_notes
from organscope.io import Image, open_image, write_labels
from organscope.io.geojson import write_geojson
from organscope.io.image import hold_image
from organscope.io.pixel_size import judge_pixel_size
from organscope.io.remote import is_url
from organscope.io.selection import Choice
from organscope.io.source import DEFAULT_MAX_PIXELS
from organscope.io.tables import write_cells
from organscope.ops.pixel_size import PixelSize
from organscope.ops.polygons import cell_polygons
from organscope.ops.regionprops import label_numbers, measure_cells
from organscope.pipeline.given_labels import find_labels
from organscope.pipeline.ihc import DabCounts, DabSettings, measure_dab
from organscope.pipeline.kind_counts import KindCounts, count_kinds, kind_palette, with_kinds
from organscope.pipeline.measures import more_measures, require_measures
from organscope.pipeline.models import Models, PortableModels
from organscope.pipeline.plan import CELL_MAP, CELLS_GEOJSON, EVIDENCE, KIND_MAP, LABELS, OVERLAY, Target, result_folder
from organscope.pipeline.results import CellAnswer, Failure, ImageResult, answer_of_cells, combine_with_cells
from organscope.reporting.overlays import (
    EVIDENCE_SIDE_PX,
    cell_colors,
    draw_cell_map,
    draw_evidence,
    draw_outlines,
    overlay_note,
    shrunk_to_bytes,
    write_cell_map,
    write_evidence,
    write_overlay,
)
from organscope.system import peak_memory_mb

_MIN_CELLS = 5
"""With fewer the size of cells says nothing about the magnification."""

_SEGMENTATION_SHARE = 0.8
"""Part of the work on an image that finding its cells is, where the organ of each is named too."""


@dataclass(frozen=True)
class ReadOptions:
    """How every image of a run is opened and seen; see `organscope.io.open_image`, `organscope.inference.Sizing`.

    With `labels`, a folder of label images or the file of one, cells are not searched for; see
    `organscope.pipeline.given_labels`. `measures` are those of `organscope.pipeline.measures`,
    `dab` is of `organscope.pipeline.ihc`.
    """

    um_per_px: float | PixelSize | None = None
    channel: int | str | None = None
    max_pixels: int = DEFAULT_MAX_PIXELS
    sizing: Sizing = field(default_factory=Sizing)
    page: int | None = None
    z: int | None = None
    t: int | None = None
    series: int | None = None
    project: str | None = None
    labels: Path | None = None
    measures: tuple[str, ...] = ()
    dab: DabSettings | None = None

    def __post_init__(self) -> None:
        # Refuses what no file can have before a run starts.
        Choice(self.channel, self.page, self.z, self.t, self.series, self.project)
        require_measures(self.measures)

    def open(self, source: Path) -> Image:
        """Open an image of the run.

        Raises:
            ImageReadError: It cannot be read.
            UsageError: What was chosen is not in it.
        """
        choice = {name: getattr(self, name) for name in ("channel", "page", "z", "t", "series", "project")}
        return open_image(source, um_per_px=self.um_per_px, max_pixels=self.max_pixels, **choice)


@dataclass(frozen=True)
class _FoundCells:
    """The cells of one image.

    Attributes:
        labels: 0 for background, then 1..n.
        table: One row a cell, as it is written.
        organs: The organ of each; None where it was not named.
        scale: How the network that found them saw the image; None where labels were given.
        um_per_px: Pixel size of the table; None where it is unknown or cannot be true of these cells.
        trust: What the cells are worth; None where the bundle cannot tell.
        kinds: The kind of each; None where it was not named.
        notes: Sentences on it.
    """

    labels: Int32[np.ndarray, "y x"]
    table: pd.DataFrame
    organs: CellOrgans | None = None
    scale: Scale | None = None
    um_per_px: PixelSize | None = None
    trust: CellsTrust | None = None
    notes: tuple[str, ...] = ()
    kinds: CellKinds | None = None


@dataclass(frozen=True)
class Answer:
    """What the bundles say of one image, before anything is written.

    Attributes:
        image: In memory, unless it is too large or cells were not asked for.
        cells: None where they were not asked for.
        classification: The organ, after its cells were heard; None where it was not asked for.
        cell_answer: What the cells say together; None where the organ of each cell was not named.
        notes: What was chosen when the file was read and its intensities were scaled, in sentences.
        kinds: How many cells of each kind it has; None where kinds were not asked for.
        dab: Its positive cells; None where they were not asked for.
    """

    image: Image
    cells: _FoundCells | None = None
    classification: Classification | None = None
    cell_answer: CellAnswer | None = None
    notes: tuple[str, ...] = ()
    kinds: KindCounts | None = None
    dab: DabCounts | None = None

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
            trust=None if self.cells is None else self.cells.trust,
            selection=self.image.selection,
            notes=self.notes,
            kinds=self.kinds,
            dab=self.dab,
        )


def work_on_image(
    target: Target,
    out: Path,
    models: Models,
    reading: ReadOptions,
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
        labels, notes = None, ()
        if reading.labels is not None:
            labels, *notes = find_labels(reading.labels, target.stem, opened)
        asked = {"sizing": reading.sizing, "labels": labels, "measures": reading.measures, "dab": reading.dab}
        answer = answer_image(opened, models, advance=advance, **asked)
        answer = replace(answer, notes=(*answer.notes, *notes))
        write_answer(out / target.stem, answer)
    return answer.result(target, time.perf_counter() - started)


def answer_image(
    opened: Image,
    models: Models,
    *,
    sizing: Sizing | None = None,
    advance: Callable[[float], None] | None = None,
    labels: Int32[np.ndarray, "y x"] | None = None,
    measures: Sequence[str] = (),
    dab: DabSettings | None = None,
) -> Answer:
    """Apply the bundles to one image; nothing is written.

    Args:
        opened: The image.
        models: A bundle for each answer that is wanted.
        sizing: How large cells are.
        advance: Told the fraction of the work that is done.
        labels: Its cells, where they are not to be searched for.
        measures: More that is measured; see `organscope.pipeline.measures`.
        dab: What makes a cell positive; None where positive cells are not counted.

    Raises:
        InputError: The image cannot be used.
    """
    image = hold_image(opened) if models.has_cells else opened
    answer = Answer(image, notes=reading_notes(image, models))
    factor = None
    if models.has_cells:
        found = _find_cells(image, models, advance, sizing=sizing, size_is_given=opened.size_is_given, labels=labels)
        if measures:
            centers = found.table[["centroid_y_px", "centroid_x_px"]].to_numpy()
            columns = more_measures(image, found.labels, centers, measures, found.um_per_px)
            found = replace(found, table=found.table.assign(**columns))
        if dab is not None:
            table, counts = measure_dab(found.table, image, found.labels, found.um_per_px, dab)
            found, answer = replace(found, table=table), replace(answer, dab=counts)
        answer = replace(answer, cells=found, notes=answer.notes + found.notes)
        factor = found.scale.factor if labels is None and len(found.table) >= _MIN_CELLS else None
    if models.organs is not None:
        organ = classify_image(image, models.organs, rules=models.image_rules, factor=factor)
        answer = replace(answer, classification=organ)
    if answer.cells is not None and answer.cells.kinds is not None:
        kinds = answer.cells.kinds
        answer = replace(answer, kinds=count_kinds(kinds.kind_index, kinds.sure, models.cell_kinds))
    if answer.cells is None or answer.cells.organs is None:
        return answer
    heard = answer_of_cells(answer.cells.organs, answer.classification)
    organ = combine_with_cells(answer.classification, heard, models.together, models.rules)
    return replace(answer, classification=organ, cell_answer=heard)


def write_answer(folder: Path, answer: Answer) -> None:
    """Write the files that belong to one image alone; none where cells were not asked for.

    Raises:
        OutputError: They cannot be written; nothing of them is there.
    """
    if answer.cells is not None:
        _write_cell_results(folder, answer.image, answer.cells, answer.classification)


def reading_notes(image: Image, models: Models) -> tuple[str, ...]:
    """What was chosen when the file was read and its intensities were scaled, in sentences, each once.

    Raises:
        InputError: The image is damaged, or has channels of which one must be chosen.
    """
    bundles = [bundle for bundle in (models.cells, models.organs) if bundle is not None]
    scaled = (note for bundle in bundles for note in intensity_notes(image, bundle.manifest.preprocessing))
    return tuple(dict.fromkeys((*image.notes, *scaled)))


def trust_row(trust: CellsTrust | None) -> dict[str, str | float | None]:
    """What tables and outlines say of the worth of the cells; nothing where the bundle cannot tell."""
    return {} if trust is None else trust.row()


def trust_notes(trust: CellsTrust | None) -> tuple[str, ...]:
    """What a person should know of the worth of the cells; nothing where they are `ok`."""
    return () if trust is None or not trust.sentence else (trust.sentence,)


def _find_cells(
    image: Image,
    models: Models,
    advance: Callable[[float], None] | None = None,
    *,
    sizing: Sizing | None = None,
    size_is_given: bool = False,
    labels: Int32[np.ndarray, "y x"] | None = None,
) -> _FoundCells:
    """Segment an image, measure its cells and, where there is a bundle for it, name the organ of each.

    Given labels are taken in place of a segmentation.

    A pixel size that is not `size_is_given` is left out of the measures where it cannot be true of the cells.

    Raises:
        InputError: The image is damaged, or of a kind that cannot be prepared.
    """
    end = 1.0 if models.cell_organs is None else _SEGMENTATION_SHARE
    probability = scale = trust = None
    if labels is None:
        segmentation = segment_image(
            image,
            models.cells,
            sizing=sizing or Sizing(),
            faint_threshold=models.faint_threshold,
            progress=_between(advance, 0.0, end),
        )
        labels, probability = segmentation.labels, segmentation.probability
        scale, trust = segmentation.scale, segmentation.trust
    areas_px = np.bincount(label_numbers(labels)[0].ravel())[1:]
    um_per_px, notes = judge_pixel_size(image.um_per_px, areas_px, is_given=size_is_given)
    table = _cell_table(image.read_whole(), labels, probability, um_per_px)
    found = _FoundCells(
        labels=labels,
        table=table,
        scale=scale,
        um_per_px=um_per_px,
        trust=trust,
        notes=notes + trust_notes(trust),
    )
    centers = table[["centroid_y_px", "centroid_x_px"]].to_numpy()
    if models.cell_kinds is not None:
        diameter_px = float(np.sqrt(4 / np.pi * np.median(table["area_px"]))) if len(table) else None
        kinds = name_cell_kinds(image, centers, models.cell_kinds, diameter_px=diameter_px)
        table = with_kinds(table, kinds)
        found = replace(found, table=table, kinds=kinds)
    if models.cell_organs is None:
        return found
    progress = _between(advance, end, 1.0)
    organs = classify_centers(
        image, centers, models.cell_organs, progress=progress, factor=1.0 if scale is None else scale.factor
    )
    place = table.columns.get_loc("touches_border")
    table.insert(place, "organ", np.array(organs.organs, object)[organs.organ_index])
    table.insert(place + 1, "organ_probability", organs.confidence)
    return replace(found, organs=organs)


def _write_cell_results(folder: Path, image: Image, found: _FoundCells, whole: Classification | None = None) -> None:
    """Write labels, tables, outlines and images of one image together.

    Raises:
        OutputError: They cannot be written; nothing of them is there.
    """
    outlines = cell_polygons(found.labels)
    pixels = image.visible(image.read_whole())
    picture, labels = shrunk_to_bytes(pixels, label_numbers(found.labels)[0], image.value_range)
    with result_folder(folder) as partial:
        write_labels(partial / LABELS, found.labels, found.um_per_px)
        write_cells(partial, found.table)
        write_geojson(partial / CELLS_GEOJSON, outlines, found.table, folder.name, trust_row(found.trust))
        write_overlay(partial / OVERLAY, draw_outlines(picture, labels), overlay_note(pixels, image.value_range))
        if found.organs is not None:
            colors = cell_colors(found.organs.organ_index, len(found.organs.organs))
            write_cell_map(partial / CELL_MAP, draw_cell_map(picture, labels, colors))
        if found.kinds is not None:
            painted = kind_palette(found.kinds.kind_index, found.kinds.sure, found.kinds.kinds)
            write_cell_map(partial / KIND_MAP, draw_cell_map(picture, labels, *painted))
        if whole is not None and whole.evidence is not None:
            shape = (image.height_px, image.width_px)
            speaks = whole.evidence.speaks_for(whole.decision.organ_index, shape, max_side_px=EVIDENCE_SIDE_PX)
            write_evidence(partial / EVIDENCE, draw_evidence(picture, speaks))


def _cell_table(
    pixels: Num[np.ndarray, "y x c"],
    labels: Int32[np.ndarray, "y x"],
    probability: Float32[np.ndarray, " n"] | None,
    um_per_px: PixelSize | None,
) -> pd.DataFrame:
    """One row a cell: what was measured, and the probability that the network gave it."""
    table = pd.DataFrame(measure_cells(labels, pixels, um_per_px))
    if probability is not None:
        table.insert(table.columns.get_loc("touches_border"), "probability", probability)
    return table


def _between(advance: Callable[[float], None] | None, start: float, stop: float) -> Callable[[float], None] | None:
    """A listener for one part of the work, which is told of the part alone."""
    return None if advance is None else lambda fraction: advance(start + fraction * (stop - start))


_SIDE_PX = 96


def warm_up(models: Models) -> None:
    """Take a small made-up image all the way, so that the time of the first real one is that of any other.

    The first run on a machine compiles the kernels, which takes longer than a small image; later runs only
    load them. An error is kept quiet: if it is one of the bundle, every real image will name it.
    """
    with suppress(Exception), tempfile.TemporaryDirectory(prefix="organscope-") as folder:
        path = Path(folder) / "made-up.png"
        PillowImage.fromarray(_discs()).save(path)
        work_on_image(Target(path, Path("made-up")), Path(folder), models, ReadOptions())


def _discs() -> np.ndarray:
    """Dark discs on a bright, noisy ground, uint8 y x 3."""
    pixels = np.random.default_rng(0).integers(200, 256, (_SIDE_PX, _SIDE_PX, 3)).astype(np.uint8)
    y, x = np.mgrid[:_SIDE_PX, :_SIDE_PX]
    pixels[(y % 24 - 12) ** 2 + (x % 24 - 12) ** 2 < 49] //= 4
    return pixels


OUT_OF_SPACE = {errno.ENOSPC, errno.EDQUOT, errno.EROFS}


@dataclass(frozen=True)
class Attempt:
    """How an image ended.

    Attributes:
        outcome: Its result, or why there is none.
        hopeless: No other image could be written either.
        process: Which one worked on it, by machine and number.
        peak_memory_mb: The most that this process has held so far.
    """

    outcome: ImageResult | Failure
    hopeless: bool = False
    process: str = ""
    peak_memory_mb: float = 0.0


def attempt_image(
    target: Target, out: Path, models: Models, reading: ReadOptions, advance: Callable[[float], None] | None = None
) -> Attempt:
    """Work on one image; whatever it fails with is its failure."""
    outcome, hopeless = _outcome(target, out, models, reading, advance)
    return Attempt(outcome, hopeless, this_process(), peak_memory_mb())


@dataclass(frozen=True)
class RemoteAttempt:
    """`attempt_image` for another process, which may have another working folder.

    Attributes:
        out: The output folder.
        models: Loaded there at the first image.
        reading: How images are opened.
        folder: What relative paths start from.
    """

    out: Path
    models: PortableModels
    reading: ReadOptions
    folder: Path

    def prepare(self) -> None:
        """Load the models, and what the first image would otherwise wait for."""
        warm_up(self.models.loaded)

    def __call__(self, target: Target) -> Attempt:
        """Work on one image; the outcome names it as the plan does."""
        there = target if is_url(target.source) else replace(target, source=self.folder / target.source)
        attempt = attempt_image(there, self.folder / self.out, self.models.loaded, self.reading)
        if isinstance(attempt.outcome, Failure):
            message = attempt.outcome.message.replace(str(there.source), str(target.source))
            return replace(attempt, outcome=replace(attempt.outcome, name=str(target.source), message=message))
        return replace(attempt, outcome=replace(attempt.outcome, target=target))


def this_process() -> str:
    """Which process this is, among those of all machines."""
    return f"{platform.node()} {os.getpid()}"


def _outcome(
    target: Target, out: Path, models: Models, reading: ReadOptions, advance: Callable[[float], None] | None
) -> tuple[ImageResult | Failure, bool]:
    """The result or the failure of one image, and whether going on is hopeless."""
    name = str(target.source)
    try:
        return work_on_image(target, out, models, reading, advance), False
    except OrganscopeError as error:
        return Failure(name, str(error)), isinstance(error, OutputError) and _out_of_space(error)
    except MemoryError:
        message = "Expected the image to fit into memory, found that it does not. Crop it or use a larger machine."
        return Failure(name, message), False
    except Exception as error:
        # One image that hits a mistake of the program must not cost the others their results.
        return unforeseen(name, error, traceback.format_exc()), False


def unforeseen(name: str, error: Exception, trace: str) -> Failure:
    """A failure for which nobody wrote a sentence."""
    return Failure(name, f"Internal error, {type(error).__name__}: {error}. See where with --debug.", trace)


def _out_of_space(error: BaseException) -> bool:
    cause: BaseException | None = error
    while cause is not None:
        if isinstance(cause, OSError) and cause.errno in OUT_OF_SPACE:
            return True
        cause = cause.__cause__
    return False
