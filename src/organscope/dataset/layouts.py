"""The folder layouts that are recognised; one function a layout.

Each takes the folder and returns its entries, or None where the folder has another layout.
"""

from collections.abc import Callable
from dataclasses import dataclass
from itertools import islice
from pathlib import Path

from organscope.dataset.annotations.mask_kinds import looks_like_labels
from organscope.dataset.entries import AnnotationFolder, Entry, Listing, below, list_images, with_neighbors
from organscope.dataset.folder_names import read_folder_name
from organscope.dataset.pairs import Site, find_sites, images_and_labels, with_splits
from organscope.dataset.sheet import read_sheet
from organscope.errors import DatasetError, UnknownNameError

IMAGE_FOLDER = "images"
MEMBRANE_FOLDER = "membranes"
NUINSSEG_IMAGES = "tissue images"
NUINSSEG_LABELS = ("label masks modify", "label masks")
#: So many images of a folder are looked at to find out whether they are label images.
_N_LOOKED_AT = 2
_N_NAMED = 3


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
    if not (folder / MEMBRANE_FOLDER).is_dir():
        return None
    annotations = AnnotationFolder(folder / MEMBRANE_FOLDER)
    found = sorted(list_images(folder / IMAGE_FOLDER), key=lambda image: image[1])
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
    evidence = f"{IMAGE_FOLDER}/ beside {MEMBRANE_FOLDER}/; the last third of the slices is held back"
    return Listing(entries, evidence) if entries else None


def train_and_test(folder: Path, apart: Path | None = None) -> Listing | None:
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
    parts = [part for part in sorted(folder.iterdir()) if (part / NUINSSEG_IMAGES).is_dir()]
    entries = []
    for part in parts:
        labels = next((part / name for name in NUINSSEG_LABELS if (part / name).is_dir()), None)
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
            for image, stem in list_images(part / NUINSSEG_IMAGES)
        ]
    return Listing(entries, f"{len(parts)} folders with {NUINSSEG_IMAGES!r} in them") if entries else None


def cell_masks(folder: Path, apart: Path | None = None) -> Listing | None:
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


def organ_folders(folder: Path, apart: Path | None = None) -> Listing | None:
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


def plain_images(folder: Path, apart: Path | None = None) -> Listing | None:
    """Images anywhere below the folder; organs unknown; annotations beside the images or in one COCO file."""
    found = with_neighbors(folder, apart)
    entries = [Entry(str(stem), below(image, folder), image, annotation) for image, stem, annotation in found.images]
    if not entries:
        return None
    n_folders = len({entry.path.parent for entry in entries})
    evidence = f"{len(entries)} images in {n_folders} folder{'s' if n_folders > 1 else ''}, and no layout above fits"
    return Listing(entries, evidence, found.remarks)


@dataclass(frozen=True)
class Layout:
    """A layout: the name that `--layout` takes, an example, and the function that lists its entries."""

    name: str
    example: str
    list_entries: Callable[[Path, Path | None], Listing | None]


#: In the order in which they are tried; the last takes any folder with images.
LAYOUTS = (
    Layout(
        "table",
        "index.csv (columns image, label; also name, organ, species, group, split, fold, um_per_px or both um_per_px_y "
        "and um_per_px_x)",
        table,
    ),
    Layout("membranes", "images/slice_01.png + membranes/slice_01.png (0 on membranes)", membranes),
    Layout("cell-masks", "a/images/a.png + a/masks/1.png, a/masks/2.png", cell_masks),
    Layout(
        "images-labels",
        "images/liver/a.tif + labels/liver/a.png; raw/a.png + gt/a.png; train/images/ + train/masks/; imagesTr/ + "
        "labelsTr/",
        images_and_labels,
    ),
    Layout(
        "train-test",
        "train/lymph node/a.tif, test/b.tif, train2017/c.jpg + annotations/instances_train2017.json",
        train_and_test,
    ),
    Layout("nuinsseg", "human liver/tissue images/a.png + human liver/label masks modify/a.tif", nuinsseg),
    Layout("organ-folders", "liver/a.svs + liver/a.xml, kidney/b.svs + kidney/b.xml", organ_folders),
    Layout("images", "a.tif, b/c.png (+ a.geojson, a.xml, a.zip, a_mask.png or a_cp_masks.png)", plain_images),
)


@dataclass(frozen=True)
class Found:
    """The layout of a folder, and what it lists."""

    layout: Layout
    listing: Listing

    @property
    def sentence(self) -> str:
        """The layout with its evidence."""
        return f"Layout {self.layout.name}: {self.listing.evidence}."


def find_layout(folder: Path, name: str | None = None, apart: Path | None = None) -> Found:
    """Recognise the layout of a folder, or take the one of that name, and list the entries.

    Args:
        folder: The folder.
        name: Name of a layout; None recognises it.
        apart: A folder of annotations, whose files are no images.

    Raises:
        UnknownNameError: There is no layout of that name.
        DatasetError: The folder has no layout that is known, or not the one that was asked for; or it can be read in
            two ways.
    """
    layouts = LAYOUTS if name is None else [layout for layout in LAYOUTS if layout.name == name]
    if not layouts:
        raise UnknownNameError(
            f"Expected a layout of these (--layout, --format), found {name!r}:\n{describe_layouts()}"
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
        f"(name one with --layout):\n{describe_layouts()}"
    )


def describe_layouts() -> str:
    """One line a layout: name and example."""
    return "\n".join(f"  {layout.name:14} {layout.example}" for layout in LAYOUTS)
