"""Draw, click, reshape, split and merge cells: a drawing on the image becomes new shapes of cells, near these alone.

A cell that is drawn or grown takes background only; other cells keep their pixels. Measures come from the same function
as in the analysis, on the pixels of the file.
"""

from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Literal

import numpy as np
import pandas as pd
from jaxtyping import Bool, Int32, Num
from scipy import ndimage

from organscope.errors import AnnotationError, InputError
from organscope.io import open_image
from organscope.ops.polygons import polygon_cell
from organscope.ops.regionprops import measure_cells
from organscope.server.click import grow_cell
from organscope.server.corrections import EDIT, CellShape, Corrected, Event
from organscope.server.errors import RefusalError
from organscope.server.results import label_region
from organscope.server.tiles import opening_options

_Kind = Literal["draw", "click", "add", "erase", "split", "merge"]
#: How many cells each kind speaks of, at least and at most.
_N_CELLS = {"draw": (0, 0), "click": (0, 0), "add": (1, 1), "erase": (1, 1), "split": (1, 1), "merge": (2, 50)}
#: Cells this near are merged over the gap between them.
_GAP_PX = 3
#: Larger edits are no cells, and would not be near.
_MAX_SIDE_PX = 4096
_MARGIN_PX = 4
#: What is seen around a click, in diameters of a typical cell, and that diameter where there is no cell.
_CONTEXT, _UNKNOWN_DIAMETER_PX = 4.0, 24.0
#: A part that is smaller after a split stays with its neighbor.
_SMALLEST_PART_PX = 3


@dataclass(frozen=True)
class Drawing:
    """What a person drew.

    Attributes:
        kind: What it is to do.
        cells: Numbers of the cells that it speaks of.
        points: x and y in pixels of the image; (0, 0) is the corner of the first pixel.
        radius_px: Of the brush.
    """

    kind: _Kind
    cells: tuple[int, ...] = ()
    points: tuple[tuple[float, float], ...] = ()
    radius_px: float = 3.0


@dataclass(frozen=True)
class _Window:
    """A part of the image around an edit: its corrected labels, and where it lies."""

    top: int
    left: int
    labels: Int32[np.ndarray, "h w"]
    points: np.ndarray = field(default_factory=lambda: np.zeros((0, 2)))


def edit_cells(
    drawing: Drawing, row: dict[str, Any], results: Path, table: pd.DataFrame, found: Corrected
) -> list[Event]:
    """The events of an edit.

    Args:
        drawing: What a person drew.
        row: Of the database.
        results: The result folder of the image.
        table: Its cells, with the corrections so far.
        found: The corrections so far.

    Raises:
        RefusalError: 409 or 422, where the drawing makes no cell; says why.
    """
    _require_sense(drawing, table)
    next_id = max([int(row["summary"]["n_cells"]), *found.edited]) + 1
    if drawing.kind == "click":
        diameter_px = _typical_diameter_px(table)
        drawing = replace(drawing, points=drawing.points[-1:], radius_px=_CONTEXT * diameter_px)
    window = _window(drawing, row, results, table, found)
    if drawing.kind == "click":
        masks, deleted = {next_id: _grown(window, row, diameter_px)}, []
    else:
        masks, deleted = _masks(drawing, window, next_id)
    events = [Event("delete_cell", cell) for cell in deleted]
    return events + [Event(EDIT, cell, shape=_measured(mask, window, row)) for cell, mask in masks.items()]


def _require_sense(drawing: Drawing, table: pd.DataFrame) -> None:
    least, most = _N_CELLS[drawing.kind]
    if not least <= len(set(drawing.cells)) <= most:
        wanted = f"{least}" if least == most else f"{least} to {most}"
        raise RefusalError(422, f"Expected {wanted} cells to {drawing.kind}, found {len(set(drawing.cells))}.")
    missing = set(drawing.cells) - set(table["id"].tolist())
    if missing:
        raise RefusalError(409, f"Expected cells that are there, found that cell {min(missing)} is not. Look again.")
    least_points = {"draw": 3, "merge": 0}.get(drawing.kind, 1)
    if len(drawing.points) < least_points:
        raise RefusalError(422, f"Expected {least_points} points or more, found {len(drawing.points)}. Draw again.")


def _window(drawing: Drawing, row: dict[str, Any], results: Path, table: pd.DataFrame, found: Corrected) -> _Window:
    """Read the labels around all that the edit speaks of, so far that no cell of it touches the edge of the window."""
    height, width = row["height_px"], row["width_px"]
    points = np.array(drawing.points, float).reshape(-1, 2)
    cells = table[table["id"].isin(drawing.cells)]
    centers = cells[["centroid_x_px", "centroid_y_px"]].to_numpy()
    reach = np.sqrt(cells["area_px"].to_numpy())[:, None] + _MARGIN_PX
    brush = drawing.radius_px + _MARGIN_PX
    low = np.concatenate([points - brush, centers - reach]).min(axis=0)
    high = np.concatenate([points + brush, centers + reach]).max(axis=0)
    while True:
        left, top = (int(v) for v in np.clip(np.floor(low), 0, [width - 1, height - 1]))
        right, bottom = (int(v) for v in np.clip(np.ceil(high), [left + 1, top + 1], [width, height]))
        if max(right - left, bottom - top) > _MAX_SIDE_PX:
            raise RefusalError(422, f"Expected an edit of at most {_MAX_SIDE_PX} px, found a larger one. Draw a cell.")
        labels = label_region(results, found, top, left, bottom - top, right - left)
        own = np.isin(labels, drawing.cells)
        touches = np.array([own[:, 0].any() and left > 0, own[0].any() and top > 0,
                            own[:, -1].any() and right < width, own[-1].any() and bottom < height])  # fmt: skip
        if not touches.any():
            return _Window(top, left, labels, points - [left, top])
        low, high = low - touches[:2] * (right - left), high + touches[2:] * (bottom - top)


def _masks(drawing: Drawing, window: _Window, next_id: int) -> tuple[dict[int, Bool[np.ndarray, "h w"]], list[int]]:
    """The new shapes by number, and the cells that are no more."""
    labels, free = window.labels, window.labels == 0
    if drawing.kind == "draw":
        return {next_id: _require_some(_whole(_polygon(window) & free, free), "free background inside the outline")}, []
    own = np.isin(labels, drawing.cells)
    if drawing.kind == "merge":
        kept, *others = sorted(drawing.cells)
        return {kept: _merged(own, free)}, others
    cell = drawing.cells[0]
    if drawing.kind == "split":
        parts = _parts(own, _stroke(window, 0.75))
        return {cell if n == 0 else next_id + n - 1: part for n, part in enumerate(parts)}, []
    stroke = _stroke(window, drawing.radius_px)
    if drawing.kind == "add":
        return {cell: _whole(own | (stroke & free), free, keep=own)}, []
    left = _whole(own & ~stroke, free)
    return ({cell: left}, []) if left.any() else ({}, [cell])


def _typical_diameter_px(table: pd.DataFrame) -> float:
    areas = table["area_px"].to_numpy(float)
    return float(np.sqrt(4 * np.median(areas) / np.pi)) if areas.size else _UNKNOWN_DIAMETER_PX


def _grown(window: _Window, row: dict[str, Any], diameter_px: float) -> Bool[np.ndarray, "h w"]:
    """The cell under a click."""
    x, y = window.points[0]
    height, width = window.labels.shape
    seed = min(max(int(y), 0), height - 1), min(max(int(x), 0), width - 1)
    if window.labels[seed]:
        raise RefusalError(409, f"Expected a place without a cell, found cell {window.labels[seed]}. Grow or split it.")
    pixels = _read_pixels(row, (window.top, window.left), (height, width))
    return _require_some(
        grow_cell(pixels, window.labels, seed, diameter_px), "a cell under the click", "nothing that stands out"
    )


def _polygon(window: _Window) -> Bool[np.ndarray, "h w"]:
    mask = np.zeros(window.labels.shape, bool)
    try:
        drawn = polygon_cell([window.points], *window.labels.shape)
    except AnnotationError as error:
        raise RefusalError(422, str(error)) from error
    if drawn is not None:
        height, width = drawn.mask.shape
        mask[drawn.top_px : drawn.top_px + height, drawn.left_px : drawn.left_px + width] = drawn.mask
    return mask


def _stroke(window: _Window, radius_px: float) -> Bool[np.ndarray, "h w"]:
    """The pixels whose center lies within a radius of the line through the points."""
    y, x = np.mgrid[: window.labels.shape[0], : window.labels.shape[1]] + 0.5
    mask = np.zeros(window.labels.shape, bool)
    starts = window.points
    for start, end in zip(starts, np.concatenate([starts[1:], starts[-1:]]), strict=True):
        low, high = np.minimum(start, end) - radius_px - 1, np.maximum(start, end) + radius_px + 1
        rows, columns = (slice(max(0, int(low[axis])), max(0, int(high[axis]) + 1)) for axis in (1, 0))
        along = end - start
        length = float(along @ along)
        dx, dy = x[rows, columns] - start[0], y[rows, columns] - start[1]
        share = np.clip((dx * along[0] + dy * along[1]) / length, 0, 1) if length else 0.0
        mask[rows, columns] |= np.hypot(dx - share * along[0], dy - share * along[1]) <= radius_px
    return mask


def _whole(
    mask: Bool[np.ndarray, "h w"], free: Bool[np.ndarray, "h w"], keep: Bool[np.ndarray, "h w"] | None = None
) -> Bool[np.ndarray, "h w"]:
    """The largest piece of a mask, or the pieces that touch `keep`, with holes of background filled."""
    pieces, n_pieces = ndimage.label(mask)
    if n_pieces > 1:
        wanted = np.unique(pieces[keep]) if keep is not None else [np.bincount(pieces[mask]).argmax()]
        mask = np.isin(pieces, wanted) & mask
    return mask | (ndimage.binary_fill_holes(mask) & free)


def _merged(own: Bool[np.ndarray, "h w"], free: Bool[np.ndarray, "h w"]) -> Bool[np.ndarray, "h w"]:
    """Cells as one, over narrow gaps of background."""
    y, x = np.mgrid[-_GAP_PX : _GAP_PX + 1, -_GAP_PX : _GAP_PX + 1]
    framed = np.pad(own, _GAP_PX + 1)
    closed = ndimage.binary_closing(framed, np.hypot(y, x) <= _GAP_PX)[
        _GAP_PX + 1 : -_GAP_PX - 1, _GAP_PX + 1 : -_GAP_PX - 1
    ]
    mask = own | (closed & free)
    if ndimage.label(mask)[1] > 1:
        raise RefusalError(
            409,
            f"Expected cells that touch or lie within {2 * _GAP_PX} px, found them farther apart. Draw the gap first.",
        )
    return mask | (ndimage.binary_fill_holes(mask) & free)


def _parts(own: Bool[np.ndarray, "h w"], line: Bool[np.ndarray, "h w"]) -> list[Bool[np.ndarray, "h w"]]:
    """The parts of a cell on both sides of a line, the largest first; pixels of the line go to the nearest part."""
    pieces, _ = ndimage.label(own & ~line)
    sizes = np.bincount(pieces.ravel())
    sizes[0] = 0
    order = [int(piece) for piece in np.argsort(-sizes, kind="stable") if sizes[piece] >= _SMALLEST_PART_PX]
    if len(order) < 2:
        raise RefusalError(
            422, "Expected a line across the cell, found that it leaves one part. Begin and end outside it."
        )
    _, nearest = ndimage.distance_transform_edt(~np.isin(pieces, order), return_indices=True)
    of_pixel = pieces[tuple(nearest)]
    return [own & (of_pixel == piece) for piece in order]


def _require_some(
    mask: Bool[np.ndarray, "h w"], wanted: str, instead: str = "none: other cells hold every pixel"
) -> Bool[np.ndarray, "h w"]:
    if not mask.any():
        raise RefusalError(422, f"Expected {wanted}, found {instead}. Draw the cell.")
    return mask


def _measured(mask: Bool[np.ndarray, "h w"], window: _Window, row: dict[str, Any]) -> CellShape:
    rows, columns = (np.flatnonzero(mask.any(axis=axis)) for axis in (1, 0))
    top, left = int(rows[0]), int(columns[0])
    box = mask[top : rows[-1] + 1, left : columns[-1] + 1]
    place = window.top + top, window.left + left
    return CellShape(*place, box, _measures(box, place, row))


def measured_again(shape: CellShape, row: dict[str, Any]) -> CellShape:
    """The same pixels, measured with the pixel size that the image has now.

    Raises:
        RefusalError: 409, where the file of the image is gone.
    """
    return replace(shape, measures=_measures(shape.mask, (shape.top, shape.left), row))


def _read_pixels(row: dict[str, Any], place: tuple[int, int], shape: tuple[int, int]) -> Num[np.ndarray, "h w k"]:
    try:
        with open_image(row["path"], **opening_options(row["view"])) as image:
            return image.read(*place, *shape)
    except InputError as error:
        raise RefusalError(409, f"Cannot measure the cell: {error}") from error


def _measures(box: Bool[np.ndarray, "h w"], place: tuple[int, int], row: dict[str, Any]) -> dict[str, float]:
    pixels = _read_pixels(row, place, box.shape)
    columns = measure_cells(box.astype(np.int32), pixels, row["summary"]["um_per_px"], origin_px=place)
    measures = {name: float(values[0]) for name, values in columns.items() if name != "id"}
    bottom, right = place[0] + box.shape[0], place[1] + box.shape[1]
    at_edge = place[0] == 0 or place[1] == 0 or bottom == row["height_px"] or right == row["width_px"]
    return measures | {"touches_border": float(at_edge)}
