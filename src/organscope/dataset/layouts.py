"""The folder layouts that are recognised; one function a layout.

Each takes the folder and returns its entries, or None where the folder has another layout.
"""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from organscope.dataset.entries import AnnotationFolder, Entry, list_images, with_neighbours
from organscope.dataset.sheet import read_sheet
from organscope.errors import DatasetError, UnknownNameError

IMAGE_FOLDER = "images"
LABEL_FOLDERS = ("labels", "masks", "annotations")
CELL_MASK_FOLDER = "masks"
MEMBRANE_FOLDER = "membranes"
SPLITS = ("train", "test")
NUINSSEG_IMAGES = "tissue images"
NUINSSEG_LABELS = ("label masks modify", "label masks")


def images_and_labels(folder: Path) -> list[Entry] | None:
    """`images/` beside `labels/` (or `masks/`), flat or with a folder per organ; also below train/ and test/."""
    parts = [("", folder)] if (folder / IMAGE_FOLDER).is_dir() else [(s, folder / s) for s in SPLITS]
    entries = [entry for split, part in parts for entry in _pair_folders(part, folder, split)]
    return entries or None


def membranes(folder: Path) -> list[Entry] | None:
    """`images/` beside `membranes/` (0 on membranes): slices of a stack in the electron microscope, as ISBI 2012.

    Consecutive slices show nearly the same, so the last third of the slices in order of name is fold 1, the rest
    fold 2.
    """
    if not (folder / MEMBRANE_FOLDER).is_dir():
        return None
    annotations = AnnotationFolder(folder / MEMBRANE_FOLDER)
    found = sorted(list_images(folder / IMAGE_FOLDER), key=lambda image: image[1])
    first_scored = len(found) - round(len(found) / 3)
    entries = [
        Entry(
            id=str(stem),
            path=_below(image, folder),
            image=image,
            annotation=annotations.find(stem),
            fold=1 if number >= first_scored else 2,
            shows_membranes=True,
        )
        for number, (image, stem) in enumerate(found)
    ]
    return entries or None


def _pair_folders(part: Path, root: Path, split: str) -> list[Entry]:
    labels = next((part / name for name in LABEL_FOLDERS if (part / name).is_dir()), None)
    annotations = AnnotationFolder(labels)
    return [
        Entry(
            id=str(PurePosixPath(split) / stem),
            path=_below(image, root),
            image=image,
            annotation=annotations.find(stem),
            organ=stem.parts[0] if len(stem.parts) > 1 else "",
            split=split,
        )
        for image, stem in list_images(part / IMAGE_FOLDER)
    ]


def train_and_test(folder: Path) -> list[Entry] | None:
    """`train/<organ>/` and `test/<organ>/`; class names are the folder names, exactly as delivered."""
    if not all((folder / split).is_dir() for split in SPLITS):
        return None
    found = [
        (split, image, stem, annotation)
        for split in SPLITS
        for image, stem, annotation in with_neighbours(folder / split)
    ]
    if not found or any(len(stem.parts) != 2 for _, _, stem, _ in found):
        return None
    return [
        Entry(
            id=f"{split}/{stem}",
            path=_below(image, folder),
            image=image,
            annotation=annotation,
            organ=stem.parts[0],
            split=split,
        )
        for split, image, stem, annotation in found
    ]


def nuinsseg(folder: Path) -> list[Entry] | None:
    """NuInsSeg as published: `<species> <organ>/tissue images/` and `label masks modify/`; one slide each."""
    parts = [part for part in sorted(folder.iterdir()) if (part / NUINSSEG_IMAGES).is_dir()]
    entries = []
    for part in parts:
        labels = next((part / name for name in NUINSSEG_LABELS if (part / name).is_dir()), None)
        annotations = AnnotationFolder(labels)
        species, _, organ = part.name.partition(" ")
        entries += [
            Entry(
                id=f"{part.name}/{stem}",
                path=_below(image, folder),
                image=image,
                annotation=annotations.find(stem),
                organ=organ or part.name,
                species=species if organ else "",
                group=part.name,
            )
            for image, stem in list_images(part / NUINSSEG_IMAGES)
        ]
    return entries or None


def cell_masks(folder: Path) -> list[Entry] | None:
    """BBBC038 as published: `<id>/images/<id>.png` and `<id>/masks/`, one picture a cell."""
    parts = [part for part in sorted(folder.iterdir()) if (part / CELL_MASK_FOLDER).is_dir()]
    entries = [
        Entry(
            id=str(stem) if str(stem) == part.name else f"{part.name}/{stem}",
            path=_below(image, folder),
            image=image,
            annotation=part / CELL_MASK_FOLDER,
            group=part.name,
        )
        for part in parts
        for image, stem in list_images(part / IMAGE_FOLDER)
    ]
    return entries or None


def organ_folders(folder: Path) -> list[Entry] | None:
    """`<organ>/<image>`, two organs or more, annotations beside the images or in one COCO file."""
    entries = plain_images(folder) or []
    organs = {entry.path.parts[0] for entry in entries}
    if len(organs) < 2 or any(len(entry.path.parts) != 2 for entry in entries):
        return None
    return [_with_organ(entry) for entry in entries]


def _with_organ(entry: Entry) -> Entry:
    return Entry(entry.id, entry.path, entry.image, entry.annotation, organ=entry.path.parts[0])


def plain_images(folder: Path) -> list[Entry] | None:
    """Images anywhere below the folder; organs unknown; annotations beside the images or in one COCO file."""
    entries = [
        Entry(id=str(stem), path=_below(image, folder), image=image, annotation=annotation)
        for image, stem, annotation in with_neighbours(folder)
    ]
    return entries or None


def _below(path: Path, folder: Path) -> PurePosixPath:
    return PurePosixPath(path.relative_to(folder).as_posix())


@dataclass(frozen=True)
class Layout:
    """A layout: the name that `--format` takes, an example, and the function that lists its entries."""

    name: str
    example: str
    list_entries: Callable[[Path], list[Entry] | None]


#: In the order in which they are tried; the last takes any folder with images.
LAYOUTS = (
    Layout(
        "table",
        "index.csv (columns image, label; also name, organ, species, group, split, fold, um_per_px or both um_per_px_y "
        "and um_per_px_x)",
        read_sheet,
    ),
    Layout("membranes", "images/slice_01.png + membranes/slice_01.png (0 on membranes)", membranes),
    Layout(
        "images-labels",
        "images/liver/a.tif + labels/liver/a.png; images/a.png + masks/a.png; train/images/ + train/masks/",
        images_and_labels,
    ),
    Layout("train-test", "train/lymph node/a.tif, test/lymph node/b.tif, annotations.json", train_and_test),
    Layout("nuinsseg", "human liver/tissue images/a.png + human liver/label masks modify/a.tif", nuinsseg),
    Layout("cell-masks", "a/images/a.png + a/masks/1.png, a/masks/2.png", cell_masks),
    Layout("organ-folders", "liver/a.svs + liver/a.xml, kidney/b.svs + kidney/b.xml", organ_folders),
    Layout("images", "a.tif, b/c.png (+ a.geojson, a.xml, a.zip or a_mask.png)", plain_images),
)


def find_layout(folder: Path, name: str | None = None) -> tuple[Layout, list[Entry]]:
    """Recognise the layout of a folder, or take the one of that name, and list the entries.

    Raises:
        UnknownNameError: There is no layout of that name.
        DatasetError: The folder has no layout that is known, or not the one that was asked for.
    """
    layouts = LAYOUTS if name is None else [layout for layout in LAYOUTS if layout.name == name]
    if not layouts:
        raise UnknownNameError(f"Expected a format of these, found {name!r}:\n{describe_layouts()}")
    if not folder.is_dir():
        raise DatasetError(f"Expected a folder of images, found none at {folder}. Check the path.")
    for layout in layouts:
        entries = layout.list_entries(folder)
        if entries:
            return layout, entries
    wanted = f"the layout {name!r}" if name else "one of the layouts below"
    raise DatasetError(
        f"Expected {wanted} in {folder}, found no image that fits. Layouts with an example each "
        f"(name one with --format):\n{describe_layouts()}"
    )


def describe_layouts() -> str:
    """One line a layout: name and example."""
    return "\n".join(f"  {layout.name:14} {layout.example}" for layout in LAYOUTS)
