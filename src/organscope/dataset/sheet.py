"""The layout `table`: a sheet `index.csv` that names each image with what is known about it."""

from pathlib import Path, PurePosixPath

import pandas as pd

from organscope.dataset.entries import Entry
from organscope.errors import DatasetError, UsageError
from organscope.ops.pixel_size import PixelSize, given_pixel_size, parse_pixel_size

SHEET_NAME = "index.csv"
#: Name in an entry -> names that the column may have.
COLUMN_NAMES = {
    "image": ("image",),
    "annotation": ("label", "labels", "points"),
    "id": ("name", "id"),
    "organ": ("organ",),
    "species": ("species",),
    "group": ("group", "slide", "patient"),
    "split": ("split",),
    "fold": ("fold",),
    "um_per_px": ("um_per_px",),
    "um_per_px_y": ("um_per_px_y",),
    "um_per_px_x": ("um_per_px_x",),
}


def read_sheet(folder: Path) -> list[Entry] | None:
    """Entries of `index.csv`; None where there is none, or none with a column `image`.

    Without a column for it the group is the folder of the image, if there is more than one such folder.

    Raises:
        DatasetError: The sheet is damaged, or a value is impossible.
    """
    path = folder / SHEET_NAME
    if not path.is_file():
        return None
    try:
        table = pd.read_csv(path, dtype=str, keep_default_na=False, encoding="utf-8-sig")
    except (OSError, ValueError) as error:
        raise DatasetError(f"{path} is no table with commas ({error}). Export it again.") from error
    if "image" not in table.columns:
        return None
    table = _rename_columns(table)
    if not table["group"].any() and table["image"].map(_parent).nunique() > 1:
        table["group"] = table["image"].map(_parent)
    return [_entry(row, folder, path) for row in table.itertuples(index=False)]


def _rename_columns(table: pd.DataFrame) -> pd.DataFrame:
    columns = {}
    for name, variants in COLUMN_NAMES.items():
        found = next((variant for variant in variants if variant in table.columns), None)
        columns[name] = table[found] if found else pd.Series("", index=table.index, dtype=str)
    return pd.DataFrame(columns)


def _parent(image: str) -> str:
    return PurePosixPath(image).parent.name


def _entry(row, folder: Path, sheet: Path) -> Entry:
    image = PurePosixPath(row.image)
    if row.split not in ("", "train", "test"):
        raise DatasetError(f"{sheet}: expected split train, test or nothing for {row.image}, found {row.split}.")
    try:
        fold = int(row.fold or 0)
        um_per_px = _pixel_size(row)
    except ValueError as error:
        raise DatasetError(f"{sheet}: fold or um_per_px of {row.image} is no number ({error}).") from error
    except UsageError as error:
        raise DatasetError(f"{sheet}: um_per_px of {row.image}: {error}") from error
    return Entry(
        id=row.id or str(image.with_suffix("")),
        path=image,
        image=folder / row.image,
        annotation=folder / row.annotation if row.annotation else None,
        organ=row.organ,
        species=row.species,
        group=row.group,
        split=row.split,
        fold=fold,
        um_per_px=um_per_px,
    )


def _pixel_size(row) -> PixelSize | None:
    if row.um_per_px_y and row.um_per_px_x:
        return given_pixel_size((float(row.um_per_px_y), float(row.um_per_px_x)))
    return parse_pixel_size(row.um_per_px) if row.um_per_px else None
