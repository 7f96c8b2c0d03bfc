"""From the parts of a slide to its results: every file is written from top to bottom, in flat memory.

Cells are numbered by window, then by seam, so that the parts alone say everything and in one order.
"""

import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pandas as pd
from jaxtyping import Int32

from organscope.decision import softmax
from organscope.decision.aggregation import pool_total
from organscope.decision.trust import CellsTrust
from organscope.inference import Classification
from organscope.inference.cell_classification import decide_pooled
from organscope.inference.cell_kinds import KIND_COLUMNS
from organscope.inference.classify import FieldAnswers, FieldGrid, answer_of_fields, field_grid, join_answers
from organscope.inference.regions import column_order, slide_windows
from organscope.inference.trust import MapSums, trust_figures
from organscope.io import Image
from organscope.io.geojson import add_measurements
from organscope.io.labels import TILE_PX, ZarrLabels, write_label_pyramid
from organscope.io.ome_zarr import write_map_zarr
from organscope.io.pixel_size import judge_pixel_size
from organscope.io.tables import write_cell_table, write_geojson_parts
from organscope.models import Bundle
from organscope.ops.pixel_size import PixelSize
from organscope.ops.regionprops import measure_cells
from organscope.pipeline.image import reading_notes, trust_notes, trust_row
from organscope.pipeline.kind_counts import KindCounts, count_kinds, kind_palette
from organscope.pipeline.ledger import SEAMS, WINDOWS
from organscope.pipeline.measures import more_measures_of_slide
from organscope.pipeline.models import Models
from organscope.pipeline.plan import (
    CELL_MAP,
    CELLS_PARQUET,
    KIND_MAP,
    ORGAN_MAP,
    ORGAN_MAP_ZARR,
    OVERLAY,
    SLIDE_LABELS,
    SLIDE_LABELS_ZARR,
    result_folder,
)
from organscope.pipeline.results import CellAnswer, ImageResult, answer_of_counts, combine_with_cells
from organscope.pipeline.slide_parts import FinishTask, Part
from organscope.reporting.overlays import (
    SIDE_PX,
    LabelView,
    cell_colors,
    count_fields,
    draw_cell_map,
    draw_cells,
    draw_organ_map,
    overlay_note,
    shrunk_to_bytes,
    write_cell_map,
    write_overlay,
)

_SAMPLED_CELLS = 20_001
"""Areas that a result keeps of a slide: as many as a drawing of their distribution can show."""


@dataclass(frozen=True)
class _Numbered:
    """A part with the number of its first cell, less one."""

    part: Part
    window: int
    offset: int


def finish_slide(task: FinishTask, image: Image, models: Models, measures: Sequence[str] = ()) -> ImageResult:
    """Write the results of a slide.

    Args:
        task: All regions of the slide are done.
        image: The slide.
        models: A bundle for each answer that is wanted.
        measures: More that is measured; see `organscope.pipeline.measures`.

    Raises:
        InputError: The image is damaged.
        OutputError: The results cannot be written; nothing of them is there.
    """
    started = time.perf_counter()
    windows, seams = _numbered(task)
    everything = [*windows, *seams]
    picture = image.displayed(image.thumbnail(SIDE_PX))
    view = LabelView(task.slide.size_px, picture.shape[:2])
    fields = None if models.organs is None else _fields(windows, len(models.organs.manifest.classes))
    scale_known = task.slide.settings.factor is not None
    classification = None
    if fields is not None:
        classification = answer_of_fields(fields, models.organs, models.image_rules, scale_known=scale_known)
    areas = {} if models.cells is None else _areas(everything)
    trust = None if models.cells is None else _trust(task, models, everything)
    um_per_px, doubts = judge_pixel_size(
        image.um_per_px, areas.get("areas_px", np.zeros(0)), is_given=task.slide.size_is_given
    )
    result = ImageResult(
        task.slide.target,
        *task.slide.size_px,
        um_per_px,
        0.0,
        selection=image.selection,
        notes=(*reading_notes(image, models), *doubts, *_notes(task), *trust_notes(trust)),
    )
    with result_folder(task.slide.out / task.slide.target.stem) as folder:
        if models.cells is not None:
            _write_labels(folder, task, um_per_px, _strips(task, models, windows, seams), view)
            more = _more_columns(folder, image, um_per_px, everything, measures)
            _write_cells(folder, image, um_per_px, models, everything, more, trust)
            result = replace(result, **areas, scale=task.slide.scale, trust=trust)
        shown, _ = shrunk_to_bytes(picture, view.labels, image.value_range, max_side_px=SIDE_PX)
        if models.cells is not None:
            shrunk = max(task.slide.size_px) / max(picture.shape[:2])
            note = overlay_note(picture, image.value_range)
            write_overlay(folder / OVERLAY, draw_cells(shown, view.labels, shrunk), note)
        if models.cell_kinds is not None:
            result = replace(result, kinds=_write_kind_map(folder, shown, view, everything, models.cell_kinds))
        if models.cell_organs is not None:
            result = replace(result, cell_answer=_cell_answer(everything, models, classification))
            _write_cell_map(folder, shown, view, everything, models)
        if fields is not None:
            grid = field_grid(image, models.organs, task.slide.settings.factor)
            counts = _write_organ_map(folder, image, um_per_px, models.organs, grid, fields, shown)
            result = replace(result, fields_by_organ=counts)
    if classification is not None:
        classification = replace(classification, logits=classification.logits[:0])
        if result.cell_answer is not None:
            classification = combine_with_cells(classification, result.cell_answer, models.together, models.rules)
    seconds = task.seconds + time.perf_counter() - started
    return replace(result, classification=classification, seconds=seconds)


def _trust(task: FinishTask, models: Models, parts: Sequence[_Numbered]) -> CellsTrust | None:
    rule = models.cells.manifest.segmentation.trust
    if rule is None:
        return None
    found = (one.part.sums() for one in parts)
    sums = sum((one for one in found if one is not None), MapSums.none(models.cells))
    filled = [one.part for one in parts if one.part.n_cells]
    probability, area_px = (
        np.concatenate([np.zeros(0, np.float32), *(part.column(name) for part in filled)])
        for name in ("probability", "area_px")
    )
    return rule.judge(trust_figures(sums, probability, area_px, task.slide.scale.factor, models.cells))


def _numbered(task: FinishTask) -> tuple[list[_Numbered], list[_Numbered]]:
    found, offset = ([], []), 0
    for parts, stage, numbers in zip(found, (WINDOWS, SEAMS), (task.windows, task.seams), strict=True):
        for number in numbers:
            part = Part(task.slide.part(stage, number))
            parts.append(_Numbered(part, number, offset))
            offset += part.n_cells
    return found


def _notes(task: FinishTask) -> tuple[str, ...]:
    if task.n_cut == 0:
        return ()
    what = "1 region of cells that touch was" if task.n_cut == 1 else f"{task.n_cut} regions of cells that touch were"
    return (f"{what} too large to be parted at once, as over ink or a fold, and cut along straight lines.",)


def _fields(windows: Sequence[_Numbered], n_organs: int) -> FieldAnswers:
    found = [part for part in (window.part.fields() for window in windows) if part is not None]
    return join_answers(found) if found else FieldAnswers.none(n_organs)


def _strips(
    task: FinishTask, models: Models, windows: Sequence[_Numbered], seams: Sequence[_Numbered]
) -> Iterator[Int32[np.ndarray, "y x"]]:
    """The labels of the slide from top to bottom, `TILE_PX` rows at a time, each in the memory of the one before."""
    height, width = task.slide.size_px
    held = np.empty((TILE_PX, width), np.int32)
    rows, columns = slide_windows(task.slide.size_px, task.slide.settings.window_px, models.cells)
    of_window = {one.window: one for one in windows if one.part.n_cells}
    for strip, top in enumerate(range(0, height, TILE_PX)):
        labels = held[: height - top]
        labels.fill(0)
        for down, row in enumerate(rows):
            if row.stop <= top or row.start >= top + len(labels):
                continue
            first = max(0, row.start - top)
            for across, column in enumerate(columns):
                one = of_window.get(down * len(columns) + across)
                found = None if one is None else one.part.label_rows(strip, column.stop - column.start)
                if found is not None:
                    labels[first : first + len(found), column] = np.where(found > 0, found + np.int32(one.offset), 0)
        for one in seams:
            pixels = one.part.pixels(strip)
            if pixels is not None:
                labels[pixels[0] - top, pixels[1]] = pixels[2] + one.offset
        yield labels


def _write_labels(
    folder: Path,
    task: FinishTask,
    um_per_px: PixelSize | None,
    strips: Iterator[Int32[np.ndarray, "y x"]],
    view: LabelView,
) -> None:
    size = task.slide.size_px
    zarr = ZarrLabels(folder / SLIDE_LABELS_ZARR, size, um_per_px) if task.slide.zarr_labels else None

    def shown() -> Iterator[Int32[np.ndarray, "y x"]]:
        for strip in strips:
            view.take(strip)
            if zarr is not None:
                zarr.take(strip)
            yield strip

    write_label_pyramid(folder / SLIDE_LABELS, shown(), size, um_per_px)


def _more_columns(
    folder: Path, image: Image, um_per_px: PixelSize | None, parts: Sequence[_Numbered], measures: Sequence[str]
) -> dict[str, np.ndarray]:
    """Measures that are asked for of all cells, from the labels that are written."""
    if not measures:
        return {}
    filled = [one.part for one in parts if one.part.n_cells]
    centers = [np.stack([part.column("centroid_y_px"), part.column("centroid_x_px")], axis=1) for part in filled]
    joined = np.concatenate([np.zeros((0, 2)), *centers])
    return more_measures_of_slide(image, folder / SLIDE_LABELS, joined, measures, um_per_px)


def _write_cells(
    folder: Path,
    image: Image,
    um_per_px: PixelSize | None,
    models: Models,
    parts: Sequence[_Numbered],
    more: dict[str, np.ndarray],
    trust: CellsTrust | None,
) -> None:
    organs = () if models.cell_organs is None else tuple(models.cell_organs.manifest.classes)
    kinds = () if models.cell_kinds is None else tuple(models.cell_kinds.manifest.classes)
    filled = [one for one in parts if one.part.n_cells]
    in_um = um_per_px is not None

    def of(one: _Numbered) -> dict[str, np.ndarray]:
        return {name: values[one.offset : one.offset + one.part.n_cells] for name, values in more.items()}

    tables = (one.part.table(one.offset + 1, organs, in_um=in_um, kinds=kinds).assign(**of(one)) for one in filled)
    example = _example(image, um_per_px, named=bool(organs), kinds=bool(kinds))
    write_cell_table(
        folder / CELLS_PARQUET, tables, example.assign(**{name: values[:0] for name, values in more.items()})
    )
    features = ((one, one.part.features(one.offset + 1, in_um=in_um)) for one in filled)
    write_geojson_parts(
        folder,
        ((one.part.n_cells, add_measurements(text, of(one)) if more else text) for one, text in features),
        trust_row(trust),
    )


def _example(image: Image, um_per_px: PixelSize | None, *, named: bool, kinds: bool) -> pd.DataFrame:
    """A table without rows."""
    nothing = np.zeros((1, 1, image.n_channels), image.dtype)
    columns = measure_cells(np.zeros((1, 1), np.int32), nothing, um_per_px)
    columns["probability"] = np.zeros(0, np.float32)
    order = [name for name in column_order(list(columns), named, kinds) if name != "id"]
    columns |= {"organ": np.zeros(0, object), "organ_probability": np.zeros(0, np.float32)}
    columns |= zip(KIND_COLUMNS, (np.zeros(0, object), np.zeros(0, np.float32), np.zeros(0, bool)), strict=True)
    return pd.DataFrame({name: columns[name] for name in ("id", *order)})


def _areas(parts: Sequence[_Numbered]) -> dict[str, object]:
    """The number of cells, and a sample of their areas that keeps smallest, median and largest."""
    found = [one.part.column("area_px").astype(np.int32) for one in parts if one.part.n_cells]
    areas = np.sort(np.concatenate([np.zeros(0, np.int32), *found]))
    n_cells = areas.size
    if n_cells > _SAMPLED_CELLS:
        areas = areas[np.rint(np.linspace(0, n_cells - 1, _SAMPLED_CELLS)).astype(np.int64)]
    return {"areas_px": areas, "cell_count": n_cells}


def _cell_answer(parts: Sequence[_Numbered], models: Models, whole: Classification) -> CellAnswer:
    bundle = models.cell_organs
    organs, pooling = tuple(bundle.manifest.classes), bundle.manifest.classification.pooling
    counts, total = np.zeros(len(organs), np.int64), np.zeros(len(organs))
    distances = [np.zeros(0, np.float32)]
    for one in parts:
        if one.part.n_cells:
            counts += np.bincount(one.part.column("organ"), minlength=len(organs))
            of_part, distance = one.part.organ_evidence()
            total += of_part
            distances.append(distance)
    if not counts.any():
        return answer_of_counts(organs, counts, None, None, whole)
    pooled = pool_total(total, int(counts.sum()), pooling)
    return answer_of_counts(organs, counts, pooled, decide_pooled(bundle, pooled, np.concatenate(distances)), whole)


def _write_cell_map(
    folder: Path, shown: np.ndarray, view: LabelView, parts: Sequence[_Numbered], models: Models
) -> None:
    found = [one.part.column("organ") for one in parts if one.part.n_cells]
    organ_index = np.concatenate([np.zeros(0, np.int64), *found])
    colors = cell_colors(organ_index, len(models.cell_organs.manifest.classes))
    write_cell_map(folder / CELL_MAP, draw_cell_map(shown, view.labels, colors))


def _write_kind_map(
    folder: Path, shown: np.ndarray, view: LabelView, parts: Sequence[_Numbered], bundle: Bundle
) -> KindCounts:
    """Write the kinds of the cells as an image, and count them."""
    filled = [one.part for one in parts if one.part.n_cells]
    index = np.concatenate([np.zeros(0, np.int64), *(part.column("kind") for part in filled)])
    sure = np.concatenate([np.zeros(0, bool), *(part.column("kind_sure") for part in filled)])
    write_cell_map(
        folder / KIND_MAP, draw_cell_map(shown, view.labels, *kind_palette(index, sure, bundle.manifest.classes))
    )
    return count_kinds(index, sure, bundle)


def _write_organ_map(
    folder: Path,
    image: Image,
    um_per_px: PixelSize | None,
    bundle: Bundle,
    grid: FieldGrid,
    fields: FieldAnswers,
    shown: np.ndarray,
) -> np.ndarray:
    """Write the map as image and as numbers.

    Returns:
        In how many fields each organ is the most probable.
    """
    size = (image.height_px, image.width_px)
    organs = list(bundle.manifest.classes)
    values = np.full((len(organs), len(grid.rows) * len(grid.columns)), np.nan, np.float32)
    if len(fields.number):
        values[:, fields.number] = softmax(fields.logits, bundle.policy.temperature).T
    values = values.reshape(len(organs), len(grid.rows), len(grid.columns))
    middles = tuple(
        tuple((start + min(side, length) / 2) / length for start in starts)
        for starts, side, length in zip((grid.rows, grid.columns), grid.field_px, size, strict=True)
    )
    draw_organ_map(shown, values, middles).save(folder / ORGAN_MAP, format="PNG", compress_level=3)
    write_map_zarr(
        folder / ORGAN_MAP_ZARR,
        values,
        organs,
        step_px=(size[0] / len(grid.rows), size[1] / len(grid.columns)),
        um_per_px=um_per_px,
        facts={"field_px": grid.field_px, "row_starts_px": grid.rows, "column_starts_px": grid.columns},
    )
    return count_fields(values)
