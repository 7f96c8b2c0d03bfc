"""The layout `table`: a sheet `index.csv` that names each image with what is known about it.

Sheets are read as spreadsheet programs write them: with commas, semicolons, tabs, a line `sep=`, byte order marks,
UTF-16, Windows-1252, capitals and blanks in the headings, empty rows, decimal commas, backslashes in paths. What was
taken for what is said; a sheet that cannot be used is an error that says why, never passed over.
"""

import re
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath, PureWindowsPath

import pandas as pd

from organscope.dataset.entries import ANNOTATION_SUFFIXES, Entry, list_images
from organscope.dataset.spreadsheet import SHEET_SUFFIXES, Spreadsheet, read_spreadsheet
from organscope.errors import DatasetError, UsageError
from organscope.ops.pixel_size import PixelSize, given_pixel_size, parse_pixel_size

SHEET_NAME = "index.csv"
#: Name in an entry -> headings that the column may have, as `_heading_key` writes them; the first is the sheet's own.
_HEADINGS = {
    "image": (
        "image", "images", "image_path", "image_file", "image_filename", "image_file_name", "image_name",
        "imagepath", "img", "img_path", "file", "filename", "file_name", "filepath", "file_path", "path", "bild",
        "datei", "dateiname",
    ),
    "annotation": (
        "label", "labels", "mask", "masks", "label_path", "label_file", "labels_path", "mask_path", "mask_file",
        "mask_filename", "mask_name", "maskpath", "annotation", "annotations", "annotation_path", "annotation_file",
        "segmentation", "segmentation_path", "seg", "seg_path", "gt", "gt_path", "ground_truth", "groundtruth",
        "maske", "points",
    ),
    "id": ("name", "id", "sample", "sample_id"),
    "organ": ("organ", "organs", "class", "class_name", "classname", "tissue", "tissue_type", "category", "klasse"),
    "species": ("species", "organism", "spezies"),
    "group": (
        "group", "slide", "patient", "slide_id", "patient_id", "case", "case_id", "donor", "donor_id", "subject",
        "subject_id", "animal", "animal_id", "specimen", "gruppe",
    ),
    "split": ("split", "set", "subset", "partition"),
    "fold": ("fold",),
    "um_per_px": (
        "um_per_px", "um_per_pixel", "um_px", "um_pixel", "mpp", "microns_per_pixel", "micrometers_per_pixel",
        "pixel_size_um", "pixelsize_um",
    ),
    "um_per_px_y": ("um_per_px_y",),
    "um_per_px_x": ("um_per_px_x",),
}  # fmt: skip
#: Where two such columns differ, only a person knows which one is meant.
_ASKED = ("image", "annotation", "organ")
#: Columns of an index that organscope wrote; they are not needed again.
_OWN = frozenset((
    "dataset", "height_px", "width_px", "n_channels", "dtype", "labeled", "n_cells", "sha256", "labels_sha256",
    "classes", "class_counts", "choice",
))  # fmt: skip
_SPLITS = ("", "train", "test")
_DECIMAL_COMMA = re.compile(r"\d+,\d+")
_N_NAMED = 3


@dataclass
class Sheet:
    """What a sheet says.

    Attributes:
        path: The file.
        entries: One a row.
        remarks: Sentences about what was taken for what, and what was passed over.
    """

    path: Path
    entries: list[Entry]
    remarks: list[str] = field(default_factory=list)


def find_sheet(folder: Path) -> Path | None:
    """The sheet of a folder: `index.csv`, else another table of that name; capitals count alike."""
    found = {
        path.suffix.lower(): path
        for path in sorted(folder.iterdir(), reverse=True)
        if path.stem.lower() == "index" and path.suffix.lower() in SHEET_SUFFIXES and path.is_file()
    }
    return next((found[suffix] for suffix in SHEET_SUFFIXES if suffix in found), None)


def read_sheet(folder: Path) -> Sheet | None:
    """Read the sheet of a folder; None where there is none.

    Without a column for it the group is the folder of the image, if there is more than one such folder.

    Raises:
        DatasetError: The sheet is damaged, names no image, or a value is impossible.
    """
    path = find_sheet(folder)
    if path is None:
        return None
    spreadsheet = read_spreadsheet(path, is_heading=lambda cell: _heading_key(cell) in _HEADINGS["image"])
    remarks = [f"{path.name} {text}" for text in spreadsheet.remarks]
    columns, spoken = _find_columns(spreadsheet, folder)
    finder = _FileFinder(folder)
    table = pd.DataFrame({name: columns.get(name, [""] * len(spreadsheet.rows)) for name in _HEADINGS}, dtype=str)
    if not len(table):
        raise DatasetError(f"{path}: expected one row an image, found no image. Add rows, or remove the file.")
    table["image"] = [
        finder.find(value, number, path) for number, value in zip(spreadsheet.numbers, table["image"], strict=True)
    ]
    table["annotation"] = [
        finder.find(value, number, path) for number, value in zip(spreadsheet.numbers, table["annotation"], strict=True)
    ]
    _require_images(table["image"], folder, path)
    if not table["group"].any() and table["image"].map(_parent).nunique() > 1:
        table["group"] = table["image"].map(_parent)
    entries = [
        _entry(row, folder, f"{path}: row {number}")
        for number, row in zip(spreadsheet.numbers, table.itertuples(index=False), strict=True)
    ]
    commas = sum(bool(_DECIMAL_COMMA.fullmatch(value)) for value in table["um_per_px"])
    spoken += [f"{commas} pixel sizes have a decimal comma"] if commas else []
    remarks += [f"{path.name}: {text}." for text in [*spoken, *finder.remarks()]]
    return Sheet(path, entries, remarks)


def _heading_key(heading: str) -> str:
    """A heading without capitals, accents of units and marks: `Image Path` and `image-path` are `image_path`."""
    plain = heading.strip().lower().replace("µ", "u").replace("μ", "u")
    return re.sub(r"[^\w]+|_+", "_", plain).strip("_")


def _find_columns(sheet: Spreadsheet, folder: Path) -> tuple[dict[str, list[str]], list[str]]:
    """Values of each column that is known, by the name in an entry, and what is said about it."""
    keys = [_heading_key(heading) for heading in sheet.headings]
    chosen: dict[str, int] = {}
    said: list[str] = []
    for name, headings in _HEADINGS.items():
        found = sorted((headings.index(key), place) for place, key in enumerate(keys) if key in headings)
        if not found:
            continue
        chosen[name] = found[0][1]
        _require_one(name, [place for _, place in found], keys, sheet)
    _tell_classes_from_files(chosen, sheet, folder, said)
    if "image" not in chosen and "id" in chosen and _names_files(sheet.values(chosen["id"])):
        chosen["image"] = chosen.pop("id")
    if "image" not in chosen:
        raise DatasetError(
            f"{sheet.path}: expected a column that names the images ({', '.join(_HEADINGS['image'][:7])}), found the "
            f"columns {', '.join(repr(h) for h in sheet.headings)}. Rename one to 'image', or remove the file."
        )
    said += [
        f"column {sheet.headings[place]!r} was read as {'label' if name == 'annotation' else name}"
        for name, place in chosen.items()
        if keys[place] not in (name, "label", "labels", *(["name"] if name == "id" else []), *_HEADINGS[name][:1])
    ]
    unused = [h for place, h in enumerate(sheet.headings) if place not in chosen.values() and keys[place] not in _OWN]
    if unused:
        said.append(f"the columns {', '.join(map(repr, unused))} were passed over")
    return {name: sheet.values(place) for name, place in chosen.items()}, said


def _require_one(name: str, places: list[int], keys: list[str], sheet: Spreadsheet) -> None:
    """Refuse two columns for one thing that differ, unless one has the sheet's own heading for it."""
    first = places[0]
    for other in places[1:]:
        same_heading = keys[other] == keys[first]
        own = keys[first] in _HEADINGS[name][:2] and not same_heading
        if (same_heading or name in _ASKED) and not own and sheet.values(other) != sheet.values(first):
            raise DatasetError(
                f"{sheet.path}: expected one column for the {'label' if name == 'annotation' else name}, found "
                f"{sheet.headings[first]!r} and {sheet.headings[other]!r}, which differ. Rename or remove one."
            )


def _tell_classes_from_files(chosen: dict[str, int], sheet: Spreadsheet, folder: Path, said: list[str]) -> None:
    """In some sheets `label` is the class of an image, not a file; then it is the organ."""
    if "annotation" not in chosen or "organ" in chosen:
        return
    place = chosen["annotation"]
    values = [value for value in sheet.values(place) if value]
    if values and not _names_files(values) and not any((folder / value).exists() for value in values):
        chosen["organ"] = chosen.pop("annotation")
        said.append(f"column {sheet.headings[place]!r} names no files, and was read as organ, such as {values[0]!r}")


def _names_files(values: Iterable[str]) -> bool:
    return any(PureWindowsPath(value).suffix.lower() in ANNOTATION_SUFFIXES for value in values)


class _FileFinder:
    """Finds the files that a sheet names: as written, else in ways that spreadsheets and other machines write paths."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._files: dict[str, list[str]] | None = None
        self._changed: list[tuple[str, str]] = []

    def find(self, value: str, number: int, sheet: Path) -> str:
        """The path relative to the folder; as it is written, with slashes, where there is no such file."""
        if not value or (self._folder / value).exists():
            return str(PurePosixPath(value)) if value else ""
        slashed = value.replace("\\", "/").removeprefix("./")
        absolute = bool(PureWindowsPath(value).drive) or slashed.startswith("/")
        candidates = [slashed]
        if absolute or slashed.split("/")[0] == self._folder.name:
            parts = slashed.split("/")
            candidates += ["/".join(parts[start:]) for start in range(1, len(parts))]
        for candidate in candidates:
            if candidate and (self._folder / candidate).exists():
                return self._note(value, candidate)
        return self._search(value, slashed, number, sheet)

    def _search(self, value: str, slashed: str, number: int, sheet: Path) -> str:
        """By path without regard to capitals; a bare name also in folders below, with or without its suffix."""
        found = set(self._listed().get(slashed.lower(), []))
        if len(found) > 1:
            raise DatasetError(
                f"{sheet}: row {number}: expected the path of one file, found that {value!r} could be "
                f"{', '.join(sorted(found)[:_N_NAMED])}. Write the paths with their folders."
            )
        return self._note(value, found.pop()) if found else slashed

    def _listed(self) -> dict[str, list[str]]:
        if self._files is None:
            self._files = {}
            for path, stem in list_images(self._folder):
                below = path.relative_to(self._folder).as_posix()
                for key in {below.lower(), path.name.lower(), stem.name.lower(), str(stem).lower()}:
                    self._files.setdefault(key, []).append(below)
        return self._files

    def _note(self, value: str, found: str) -> str:
        if found != value:
            self._changed.append((value, found))
        return found

    def remarks(self) -> list[str]:
        """What is said about paths that were read in another way than they are written."""
        if not self._changed:
            return []
        value, found = self._changed[0]
        return [f"{len(self._changed)} paths were read as files below the folder, such as {value!r} as {found!r}"]


def _require_images(images: Iterable[str], folder: Path, sheet: Path) -> None:
    named = list(images)
    if not any((folder / name).exists() or (folder / name).is_symlink() for name in named if name):
        raise DatasetError(
            f"{sheet} names {len(named)} images, and found none of them below {folder}, such as {named[0]!r}. "
            "Write paths as seen from the folder of the sheet."
        )


def _parent(image: str) -> str:
    return PurePosixPath(image).parent.name


def _entry(row, folder: Path, where: str) -> Entry:
    if not row.image:
        raise DatasetError(f"{where}: expected the path of an image, found none. Add it, or remove the row.")
    image = PurePosixPath(row.image)
    if row.annotation == row.image:
        raise DatasetError(f"{where}: expected a file with the labels of {row.image}, found the image itself.")
    if row.split.lower() not in _SPLITS:
        raise DatasetError(
            f"{where}: expected split train, test or nothing for {row.image}, found {row.split}. A part for "
            "validation is drawn from the training part: call it train."
        )
    return Entry(
        id=row.id or str(image.with_suffix("")),
        path=image,
        image=folder / row.image,
        annotation=folder / row.annotation if row.annotation else None,
        organ=row.organ,
        species=row.species,
        group=row.group,
        split=row.split.lower(),
        fold=_fold(row.fold, f"{where}: fold of {row.image}"),
        um_per_px=_pixel_size(row, f"{where}: um_per_px of {row.image}"),
    )


def _fold(text: str, where: str) -> int:
    number = _number(text or "0", where)
    if number != int(number) or number < 0:
        raise DatasetError(f"{where}: expected a whole number from 0 on, found {text}.")
    return int(number)


def _pixel_size(row, where: str) -> PixelSize | None:
    try:
        if row.um_per_px_y and row.um_per_px_x:
            return given_pixel_size((_number(row.um_per_px_y, where), _number(row.um_per_px_x, where)))
        text = row.um_per_px.replace(",", ".") if _DECIMAL_COMMA.fullmatch(row.um_per_px) else row.um_per_px
        return parse_pixel_size(text) if text else None
    except UsageError as error:
        raise DatasetError(f"{where}: {error}") from error


def _number(text: str, where: str) -> float:
    try:
        return float(text.replace(",", ".") if _DECIMAL_COMMA.fullmatch(text) else text)
    except ValueError as error:
        raise DatasetError(f"{where}: expected a number, found {text!r}.") from error
