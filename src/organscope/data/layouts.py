"""The folder layouts that are recognized; one function a layout.

Each takes the folder and returns its entries, or None where the folder has another layout.

Which annotation belongs to which image: beside it, in a folder of its own, or in COCO files for all.

The layout `table`: a sheet `index.csv` that names each image with what is known about it.

Sheets are read as spreadsheet programs write them: with commas, semicolons, tabs, a line `sep=`, byte order marks,
UTF-16, Windows-1252, capitals and blanks in the headings, empty rows, decimal commas, backslashes in paths. What was
taken for what is said; a sheet that cannot be used is an error that says why, never passed over.
"""

import re
from collections import Counter
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field, replace
from itertools import islice
from pathlib import Path, PurePosixPath, PureWindowsPath

import pandas as pd

from organscope.data.discovery import (
    ANNOTATION_SUFFIXES,
    AnnotationFolder,
    Entry,
    Listing,
    Site,
    below,
    find_sites,
    images_and_labels,
    list_images,
    read_folder_name,
    with_neighbors,
    with_splits,
)
from organscope.data.index import Problem
from organscope.data.spreadsheet import SHEET_SUFFIXES, Spreadsheet, read_spreadsheet
from organscope.errors import DatasetError, UnknownNameError, UsageError
from organscope.io.coco import build_store, is_coco, link_images
from organscope.io.mask_kinds import looks_like_labels
from organscope.ops.pixel_size import PixelSize, given_pixel_size, parse_pixel_size


def assign_annotations(folder: Path, entries: list[Entry], annotations: Path | None) -> tuple[list[Entry], list[Path]]:
    """Entries with their own annotation, and the COCO files that hold those of the rest.

    Args:
        folder: The imported folder; COCO files at its top, beside its images and in `annotations/` are found there.
        entries: With the annotations that the layout found.
        annotations: A COCO file or a folder with one annotation an image, which replace those of the layout.

    Raises:
        UsageError: `annotations` is neither, or one file of it would belong to several images.
    """
    if annotations is None:
        without = any(entry.annotation is None for entry in entries)
        return entries, _coco_files(folder, entries) if without else []
    if annotations.is_file() and is_coco(annotations):
        return [replace(entry, annotation=None) for entry in entries], [annotations]
    if annotations.is_dir():
        return _from_folder(annotations, entries), []
    if annotations.is_file() and len(entries) == 1:
        return [replace(entries[0], annotation=annotations)], []
    raise UsageError(
        f"Expected a COCO file or a folder with one annotation an image at {annotations}. Other formats name no "
        "image in the file: put one file an image into a folder and name that."
    )


def _coco_files(folder: Path, entries: list[Entry]) -> list[Path]:
    """COCO files at the top, beside images, and in the folders `annotations/` of these places."""
    places = {folder, *(parent for entry in entries for parent in entry.image.parents if parent.is_relative_to(folder))}
    places |= {place / name for place in places for name in ("annotations", "labels")}
    paths = sorted(path for place in places for path in place.glob("*.json") if not path.name.startswith("."))
    return [path for path in paths if is_coco(path)]


def _from_folder(annotations: Path, entries: list[Entry]) -> list[Entry]:
    folder = AnnotationFolder(annotations, loosely=True)
    assigned = [replace(entry, annotation=_find_annotation(folder, entry.path)) for entry in entries]
    uses = Counter(entry.annotation for entry in assigned if entry.annotation is not None)
    if not uses:
        raise UsageError(
            f"Expected annotations named as the images in {annotations}, found none, such as {entries[0].path.stem}."
        )
    path, n_uses = uses.most_common(1)[0]
    if n_uses > 1:
        raise UsageError(
            f"Expected one image for {path}, found {n_uses} images of that name. "
            "Give the annotations the same folders as the images."
        )
    return assigned


def _find_annotation(folder: AnnotationFolder, image: PurePosixPath) -> Path | None:
    """By the path of the image, else by ever shorter ends of it."""
    parts = image.with_name(image.stem.removesuffix(".ome")).parts
    ends = [PurePosixPath(*parts[start:]) for start in range(len(parts))]
    return next((path for path in map(folder.find, ends) if path is not None), None)


def link_coco(
    folder: Path, files: list[Path], database: Path, entries: list[Entry]
) -> tuple[list[Entry], list[Problem]]:
    """Make COCO files ready in a database and mark the entries that they list.

    Where images have equal names, a file means those in its own folder, or in the folder that its name ends with
    (`instances_train2017.json`: `train2017/`).

    Raises:
        AnnotationError: A file is damaged, or lists no images.
    """
    source = ", ".join(path.name for path in files)
    texts = build_store(files, database)
    free = [entry.path for entry in entries if entry.annotation is None]
    linked, more = link_images(database, free, [_home(path, folder, free) for path in files])
    problems = [Problem(source, text, failed=True) for text in texts + more]
    marked = [replace(entry, in_coco=entry.annotation is None and entry.path in linked) for entry in entries]
    return marked, problems


def _home(file: Path, folder: Path, images: list[PurePosixPath]) -> PurePosixPath | None:
    """The folder whose images a COCO file means first, relative to the imported one; None for all alike."""
    names = {parent for path in images for parent in path.parents if parent.name}
    named = [path for path in names if re.search(rf"(^|[_.-]){re.escape(path.name)}$", file.stem)]
    if named:
        return max(named, key=lambda path: (len(path.name), str(path)))
    if not file.is_relative_to(folder):
        return None
    place = PurePosixPath(file.parent.relative_to(folder).as_posix())
    return next((parent for parent in (place, *place.parents) if parent in names), None)


def count_without(entries: list[Entry]) -> list[Problem]:
    """A note where some images have an annotation and some have not."""
    without = [str(entry.path) for entry in entries if entry.annotation is None and not entry.in_coco]
    if not without or len(without) == len(entries):
        return []
    text = f"{len(without)} of {len(entries)} images have no annotation, such as {without[0]}"
    return [Problem("annotations", text, failed=False)]


_SHEET_NAME = "index.csv"
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
class _Sheet:
    """What a sheet says.

    Attributes:
        path: The file.
        entries: One a row.
        remarks: Sentences about what was taken for what, and what was passed over.
    """

    path: Path
    entries: list[Entry]
    remarks: list[str] = field(default_factory=list)


def _find_sheet(folder: Path) -> Path | None:
    """The sheet of a folder: `index.csv`, else another table of that name; capitals count alike."""
    found = {
        path.suffix.lower(): path
        for path in sorted(folder.iterdir(), reverse=True)
        if path.stem.lower() == "index" and path.suffix.lower() in SHEET_SUFFIXES and path.is_file()
    }
    return next((found[suffix] for suffix in SHEET_SUFFIXES if suffix in found), None)


def read_sheet(folder: Path) -> _Sheet | None:
    """Read the sheet of a folder; None where there is none.

    Without a column for it the group is the folder of the image, if there is more than one such folder.

    Raises:
        DatasetError: The sheet is damaged, names no image, or a value is impossible.
    """
    path = _find_sheet(folder)
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
    return _Sheet(path, entries, remarks)


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


_IMAGE_FOLDER = "images"
_MEMBRANE_FOLDER = "membranes"
_NUINSSEG_IMAGES = "tissue images"
_NUINSSEG_LABELS = ("label masks modify", "label masks")
#: So many images of a folder are looked at to find out whether they are label images.
_N_LOOKED_AT = 2


def table(folder: Path, apart: Path | None = None) -> Listing | None:
    """A sheet `index.csv` that names each image with what is known about it.

    Raises:
        DatasetError: There is a sheet, and it cannot be used.
    """
    sheet = read_sheet(folder)
    if sheet is None:
        return None
    return Listing(
        sheet.entries, f"{sheet.path.name} names {len(sheet.entries)} images", sheet.remarks, used=[sheet.path]
    )


def membranes(folder: Path, apart: Path | None = None) -> Listing | None:
    """`images/` beside `membranes/` (0 on membranes): slices of a stack in the electron microscope, as ISBI 2012.

    Consecutive slices show nearly the same, so the last third of the slices in order of name is fold 1, the rest
    fold 2.
    """
    if not (folder / _MEMBRANE_FOLDER).is_dir():
        return None
    annotations = AnnotationFolder(folder / _MEMBRANE_FOLDER)
    found = sorted(list_images(folder / _IMAGE_FOLDER), key=lambda image: image[1])
    first_scored = len(found) - round(len(found) / 3)
    entries = [
        Entry(
            id=str(stem),
            path=below(image, folder),
            image=image,
            annotation=annotations.find(stem),
            fold=1 if number >= first_scored else 2,
            shows_membranes=True,
        )
        for number, (image, stem) in enumerate(found)
    ]
    evidence = f"{_IMAGE_FOLDER}/ beside {_MEMBRANE_FOLDER}/; the last third of the slices is held back"
    return Listing(entries, evidence) if entries else None


def _train_and_test(folder: Path, apart: Path | None = None) -> Listing | None:
    """`train/`, `test/` (also `valid/`, `train2017/`): images, or folders of organs, named exactly as delivered."""
    found = with_neighbors(folder, apart)
    names = {stem.parts[0]: read_folder_name(stem.parts[0]) for _, stem, _ in found.images}
    if not names or any(not name.split or name.role is not None for name in names.values()):
        return None
    if any(len(stem.parts) == 1 for _, stem, _ in found.images):
        return None
    depths = {len(stem.parts) for _, stem, _ in found.images}
    has_organs = depths == {3}
    entries = [
        Entry(
            id=str(stem),
            path=below(image, folder),
            image=image,
            annotation=annotation,
            organ=stem.parts[1] if has_organs else "",
            split=names[stem.parts[0]].split,
        )
        for image, stem, annotation in found.images
    ]
    if has_organs:
        _require_organs(folder, entries, 1, apart)
    shown = ", ".join(f"{name}/" for name in sorted(names))
    evidence = f"{shown}, {'each with folders that name organs' if has_organs else 'no folders of organs in them'}"
    remarks = list(found.remarks)
    return Listing(with_splits(entries, remarks), evidence, remarks)


def nuinsseg(folder: Path, apart: Path | None = None) -> Listing | None:
    """NuInsSeg as published: `<species> <organ>/tissue images/` and `label masks modify/`; one slide each."""
    parts = [part for part in sorted(folder.iterdir()) if (part / _NUINSSEG_IMAGES).is_dir()]
    entries = []
    for part in parts:
        labels = next((part / name for name in _NUINSSEG_LABELS if (part / name).is_dir()), None)
        annotations = AnnotationFolder(labels)
        species, _, organ = part.name.partition(" ")
        entries += [
            Entry(
                id=f"{part.name}/{stem}",
                path=below(image, folder),
                image=image,
                annotation=annotations.find(stem),
                organ=organ or part.name,
                species=species if organ else "",
                group=part.name,
            )
            for image, stem in list_images(part / _NUINSSEG_IMAGES)
        ]
    return Listing(entries, f"{len(parts)} folders with {_NUINSSEG_IMAGES!r} in them") if entries else None


def _cell_masks(folder: Path, apart: Path | None = None) -> Listing | None:
    """BBBC038 as published: `<id>/images/<id>.png` and `<id>/masks/`, one file a cell; also below `stage1_train/`."""
    sites = [site for site in find_sites(folder, apart) if site.above and not site.is_open]
    masks = {site.images: _one_file_a_cell(site) for site in sites}
    n_fitting = sum(found is not None for found in masks.values())
    if not n_fitting or any(site.labels and masks[site.images] is None for site in sites):
        return None
    entries = [
        Entry(
            id=str(stem) if str(stem) == site.above[-1] else f"{site.above[-1]}/{stem}",
            path=below(image, folder),
            image=image,
            annotation=masks[site.images],
            group=site.above[-1],
            split=site.split,
        )
        for site in sites
        for image, stem in site.list_images()
    ]
    remarks: list[str] = []
    evidence = f"{n_fitting} folders with one image and masks of other names: one file a cell"
    return Listing(with_splits(entries, remarks), evidence, remarks)


def _one_file_a_cell(site: Site) -> Path | None:
    """The folder of masks beside one image, if none of its files has the name of the image."""
    images = site.list_images()
    if len(images) != 1 or len(site.labels) != 1:
        return None
    (_, stem), (labels,) = images[0], site.labels
    return labels if list_images(labels) and AnnotationFolder(labels, loosely=True).find(stem) is None else None


def _organ_folders(folder: Path, apart: Path | None = None) -> Listing | None:
    """`<organ>/<image>`, two organs or more, annotations beside the images or in one COCO file.

    Raises:
        DatasetError: A folder has the name of a part or of labels, or holds label images: it is no organ.
    """
    found = with_neighbors(folder, apart)
    organs = sorted({stem.parts[0] for _, stem, _ in found.images})
    if len(organs) < 2 or any(len(stem.parts) != 2 for _, stem, _ in found.images):
        return None
    entries = [
        Entry(str(stem), below(image, folder), image, annotation, organ=stem.parts[0])
        for image, stem, annotation in found.images
    ]
    _require_organs(folder, entries, 0, apart)
    shown = ", ".join(organs[:_N_NAMED]) + (", ..." if len(organs) > _N_NAMED else "")
    evidence = f"{len(organs)} folders with images, whose names were taken for organs: {shown}"
    return Listing(entries, evidence, found.remarks)


def _require_organs(folder: Path, entries: list[Entry], depth: int, apart: Path | None) -> None:
    """Refuse folders that would become organs and are something else; with labels set `apart`, none can be labels.

    Raises:
        DatasetError: By its name, or by the images in it, a folder is none of an organ.
    """
    for organ in sorted({entry.organ for entry in entries}):
        inside = [entry for entry in entries if entry.organ == organ]
        name = read_folder_name(organ)
        if name.split or (name.role is not None and apart is None):
            what = (
                "its name is that of a folder of images or labels"
                if name.role
                else "its name is that of a part of a set"
            )
        elif all(looks_like_labels(entry.image) for entry in islice(inside, _N_LOOKED_AT)):
            what = f"its files look like label images, such as {inside[0].path}"
        else:
            continue
        place = folder.joinpath(*inside[0].path.parts[: depth + 1])
        others = sorted({folder.joinpath(*entry.path.parts[: depth + 1]) for entry in entries} - {place})
        raise DatasetError(
            f"Expected folders of organs in {folder}, found {organ}/: {what}. If it holds the labels of other images: "
            f"organscope data import {others[0] if others else folder} --annotations {place}. To import every file "
            "as an image, without organs: --layout images"
        )


def _plain_images(folder: Path, apart: Path | None = None) -> Listing | None:
    """Images anywhere below the folder; organs unknown; annotations beside the images or in one COCO file."""
    found = with_neighbors(folder, apart)
    entries = [Entry(str(stem), below(image, folder), image, annotation) for image, stem, annotation in found.images]
    if not entries:
        return None
    n_folders = len({entry.path.parent for entry in entries})
    evidence = f"{len(entries)} images in {n_folders} folder{'s' if n_folders > 1 else ''}, and no layout above fits"
    return Listing(entries, evidence, found.remarks)


@dataclass(frozen=True)
class _Layout:
    """A layout: the name that `--layout` takes, an example, and the function that lists its entries."""

    name: str
    example: str
    list_entries: Callable[[Path, Path | None], Listing | None]


#: In the order in which they are tried; the last takes any folder with images.
LAYOUTS = (
    _Layout(
        "table",
        "index.csv (columns image, label; also name, organ, species, group, split, fold, um_per_px or both um_per_px_y "
        "and um_per_px_x)",
        table,
    ),
    _Layout("membranes", "images/slice_01.png + membranes/slice_01.png (0 on membranes)", membranes),
    _Layout("cell-masks", "a/images/a.png + a/masks/1.png, a/masks/2.png", _cell_masks),
    _Layout(
        "images-labels",
        "images/liver/a.tif + labels/liver/a.png; raw/a.png + gt/a.png; train/images/ + train/masks/; imagesTr/ + "
        "labelsTr/",
        images_and_labels,
    ),
    _Layout(
        "train-test",
        "train/lymph node/a.tif, test/b.tif, train2017/c.jpg + annotations/instances_train2017.json",
        _train_and_test,
    ),
    _Layout("nuinsseg", "human liver/tissue images/a.png + human liver/label masks modify/a.tif", nuinsseg),
    _Layout("organ-folders", "liver/a.svs + liver/a.xml, kidney/b.svs + kidney/b.xml", _organ_folders),
    _Layout("images", "a.tif, b/c.png (+ a.geojson, a.xml, a.zip, a_mask.png or a_cp_masks.png)", _plain_images),
)


@dataclass(frozen=True)
class Found:
    """The layout of a folder, and what it lists."""

    layout: _Layout
    listing: Listing

    @property
    def sentence(self) -> str:
        """The layout with its evidence."""
        return f"Layout {self.layout.name}: {self.listing.evidence}."


def find_layout(folder: Path, name: str | None = None, apart: Path | None = None) -> Found:
    """Recognize the layout of a folder, or take the one of that name, and list the entries.

    Args:
        folder: The folder.
        name: Name of a layout; None recognizes it.
        apart: A folder of annotations, whose files are no images.

    Raises:
        UnknownNameError: There is no layout of that name.
        DatasetError: The folder has no layout that is known, or not the one that was asked for; or it can be read in
            two ways.
    """
    layouts = LAYOUTS if name is None else [layout for layout in LAYOUTS if layout.name == name]
    if not layouts:
        raise UnknownNameError(
            f"Expected a layout of these (--layout, --format), found {name!r}:\n{_describe_layouts()}"
        )
    if not folder.is_dir():
        raise DatasetError(f"Expected a folder of images, found none at {folder}. Check the path.")
    for layout in layouts:
        listing = layout.list_entries(folder, apart)
        if listing is not None:
            return Found(layout, listing)
    wanted = f"the layout {name!r}" if name else "one of the layouts below"
    raise DatasetError(
        f"Expected {wanted} in {folder}, found no image that fits. Layouts with an example each "
        f"(name one with --layout):\n{_describe_layouts()}"
    )


def _describe_layouts() -> str:
    """One line a layout: name and example."""
    return "\n".join(f"  {layout.name:14} {layout.example}" for layout in LAYOUTS)
