"""Points with classes, one a cell, in a table: y, x and, where it is known, class."""

import csv
from pathlib import Path

from organscope.errors import AnnotationError
from organscope.ops.polygons import Cells

#: What columns are called by the tools that write them.
_Y_NAMES = ("y", "y_px", "row", "centroid_y", "centroid_y_px")
_X_NAMES = ("x", "x_px", "column", "col", "centroid_x", "centroid_x_px")
_CLASS_NAMES = ("class", "class_name", "classification", "category", "type", "label")
_DELIMITERS = ",;\t"


def read_points(path: Path, height_px: int, width_px: int) -> Cells:
    """Read points in pixels, with their classes; those outside of the image are named.

    Raises:
        AnnotationError: The table has no columns for y and x, or cannot be read.
    """
    cells = Cells()
    rows = _rows(path)
    names = [name.strip().lower() for name in rows[0]] if rows else []
    y, x, kind = (
        next((names.index(n) for n in known if n in names), None) for known in (_Y_NAMES, _X_NAMES, _CLASS_NAMES)
    )
    if y is None or x is None:
        raise AnnotationError(
            f"{path}: expected a table of points with columns y, x and class, found {', '.join(names)}."
        )
    n_outside = n_damaged = 0
    for row in rows[1:]:
        try:
            at = float(row[y].replace(",", ".")), float(row[x].replace(",", "."))
        except (ValueError, IndexError):
            n_damaged += 1
            continue
        if not (-0.5 <= at[0] <= height_px and -0.5 <= at[1] <= width_px):
            n_outside += 1
            continue
        cells.points.append((*at, row[kind].strip() if kind is not None and kind < len(row) else ""))
    if n_damaged:
        cells.problems.append(f"{n_damaged} rows of points have no numbers")
    if n_outside:
        cells.problems.append(f"{n_outside} points lie outside of the image of {height_px} x {width_px} px")
    return cells


def _find(names: list[str], known: tuple[str, ...]) -> int | None:
    return next((names.index(name) for name in known if name in names), None)


def _rows(path: Path) -> list[list[str]]:
    try:
        content = path.read_bytes()
    except OSError as error:
        raise AnnotationError(f"Cannot read {path}: {error.strerror or error}.") from error
    try:
        text = content.decode("utf-8-sig")
    except UnicodeDecodeError:
        text = content.decode("cp1252", errors="replace")
    lines = [line for line in text.splitlines() if line.strip(" \t,;")]
    if not lines:
        return []
    delimiter = max(_DELIMITERS, key=lines[0].count)
    return list(csv.reader(lines, delimiter=delimiter))
