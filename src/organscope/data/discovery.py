"""Discovery: which files of a folder are images, and which annotation belongs to which.

What the name of a folder says: images, labels, a part such as train or test; in the spelling of many tools.

Folders of images beside folders of labels, in the spelling of many tools.

`images/` + `labels/`, `raw/` + `gt/`, nnU-Net's `imagesTr/` + `labelsTr/`, `train/x/` + `train/y/`, images beside a
folder `masks/`: which files belong together is found out from their names, and said with its evidence.
"""

import re
from collections import Counter
from collections.abc import Container, Iterator, Sequence
from dataclasses import dataclass, field, replace
from enum import Enum
from pathlib import Path, PurePosixPath

from organscope.data.index import PARQUET_NAME, WORK_FOLDER
from organscope.errors import DatasetError
from organscope.io.annotations import POINTS_SUFFIX, READERS
from organscope.io.coco import JSON_SUFFIXES, PACKED_SUFFIXES, is_coco
from organscope.io.paths import SUFFIXES, walk_images
from organscope.ops.pixel_size import PixelSize

#: What annotators and tools put behind the name of the image; the first that is found counts.
_ANNOTATION_ENDINGS = (
    "", "_labels", "_label", "_masks", "_mask", "_cp_masks", "_instances", "_seg", "_segmentation",
    "_simple segmentation", "_gt", "_groundtruth", "_ground_truth", "_annotation", "_annotations", "_rois",
    "-labels", "-label", "-masks", "-mask",
)  # fmt: skip
#: What some sets put behind the name of the image itself, beside `_masks` and the like.
_IMAGE_ENDINGS = ("", "_img", "_image", "_raw", "_im")
#: Figures that tools leave beside an image; they are neither images nor labels.
_FIGURE_ENDINGS = (
    "_cp_output",
    "_flows",
    "_outlines",
    "_overlay",
    "_cellprob",
    "_probabilities",
    "_preview",
    "_thumbnail",
)
#: Words around a name that say what a file holds, not which one it is.
_IMAGE_WORDS = frozenset(("image", "images", "img", "imgs", "im", "raw", "original", "orig", "input"))
_LABEL_WORDS = _IMAGE_WORDS.union((
    "label", "labels", "mask", "masks", "cp", "seg", "segmentation", "gt", "groundtruth", "ground", "truth",
    "annotation", "annotations", "instance", "instances", "rois", "target", "manual",
))  # fmt: skip
#: Cellpose's own file of an image; it holds Python objects, which are not loaded from a stranger's file.
PICKLED_ENDING = "_seg.npy"
#: Stands for a folder, with one mask a cell, among the suffixes.
_MASK_FOLDER = "/"
ANNOTATION_SUFFIXES = frozenset({*SUFFIXES, *READERS, ".npy", POINTS_SUFFIX, _MASK_FOLDER})


@dataclass(frozen=True)
class Entry:
    """One image of a folder.

    Attributes:
        id: Unique in the folder.
        path: Of the image, relative to the imported folder.
        image: The image file or folder.
        annotation: Label image, outline file or folder of masks that belongs to it; None without.
        organ: Class name as delivered; "" where unknown. So are species, group and split.
        fold: As delivered; 0 where none is.
        um_per_px: Pixel size as delivered with the set, None where it comes from the image.
        in_coco: Its annotation is in the COCO files of the set.
        shows_membranes: Its annotation is 0 on membranes; cells are the connected pieces of the rest.
    """

    id: str
    path: PurePosixPath
    image: Path
    annotation: Path | None = None
    organ: str = ""
    species: str = ""
    group: str = ""
    split: str = ""
    fold: int = 0
    um_per_px: PixelSize | None = None
    in_coco: bool = False
    shows_membranes: bool = False


@dataclass
class Listing:
    """The images of a folder as a layout understands them.

    Attributes:
        entries: One an image.
        evidence: Why the folder was taken for this layout, as the end of a sentence.
        remarks: Sentences about what was taken for what, and what was passed over.
        failures: Sentences about annotations that are there and cannot be used.
        used: Further files that were used, such as a sheet.
    """

    entries: list[Entry]
    evidence: str = ""
    remarks: list[str] = field(default_factory=list)
    failures: list[str] = field(default_factory=list)
    used: list[Path] = field(default_factory=list)


def below(path: Path, folder: Path) -> PurePosixPath:
    """A path as seen from a folder that holds it."""
    return PurePosixPath(path.relative_to(folder).as_posix())


def list_images(folder: Path) -> list[tuple[Path, PurePosixPath]]:
    """Images below a folder with their path below it, without suffix; none where there is none.

    What belongs to an index that was made inside the folder is left out.
    """
    if not folder.is_dir():
        return []
    found = list(walk_images(folder))
    parents = {parent for path, _ in found for parent in path.relative_to(folder).parents}
    indexes = {parent for parent in parents if parent.parts and is_index_folder(folder / parent)}
    return [(path, PurePosixPath(stem)) for path, stem in found if indexes.isdisjoint(path.relative_to(folder).parents)]


def is_index_folder(folder: Path) -> bool:
    """Whether an import wrote the folder, or is writing it."""
    return (folder / PARQUET_NAME).is_file() or (folder / WORK_FOLDER).is_dir()


class AnnotationFolder:
    """Annotations of images by path below a folder: equal stem, stem and `_mask`, or names that differ in such "
    "words."""

    def __init__(
        self, folder: Path | None, suffixes: Container[str] = ANNOTATION_SUFFIXES, loosely: bool = False
    ) -> None:
        """Look below `folder`; `loosely` also takes `mask_1` for `image_1`, and other capitals."""
        self._folder = folder
        self._suffixes = suffixes
        self._loosely = loosely
        self._by_parent: dict[PurePosixPath, dict[str, Path]] = {}
        self._by_core: dict[PurePosixPath, dict[tuple[str, ...], Path | None]] = {}

    def find(self, stem: PurePosixPath) -> Path | None:
        """The annotation of the image with this path (without suffix)."""
        if self._folder is None:
            return None
        names = self._names(stem.parent)
        found = next((names[stem.name + e] for e in _ANNOTATION_ENDINGS if stem.name + e in names), None)
        return found or (self._cores(stem.parent).get(_core(stem.name, _IMAGE_WORDS)) if self._loosely else None)

    def _names(self, parent: PurePosixPath) -> dict[str, Path]:
        if parent not in self._by_parent:
            folder = self._folder / parent
            paths = sorted(folder.iterdir(), reverse=True) if folder.is_dir() else []
            # A table counts only where there is nothing else of that name.
            paths.sort(key=lambda path: path.suffix.lower() != POINTS_SUFFIX)
            self._by_parent[parent] = {self._stem(path): path for path in paths if self._may_annotate(path)}
        return self._by_parent[parent]

    def _cores(self, parent: PurePosixPath) -> dict[tuple[str, ...], Path | None]:
        """By what remains of a name without words such as `mask`; None where several have the same."""
        if parent not in self._by_core:
            cores: dict[tuple[str, ...], Path | None] = {}
            for name, path in self._names(parent).items():
                core = _core(name, _LABEL_WORDS)
                cores[core] = None if core in cores or not core else path
            self._by_core[parent] = cores
        return self._by_core[parent]

    def _may_annotate(self, path: Path) -> bool:
        if path.name.startswith(".") or path.name.endswith(PICKLED_ENDING):
            return False
        return path.suffix.lower() in self._suffixes or (_MASK_FOLDER in self._suffixes and path.is_dir())

    def _stem(self, path: Path) -> str:
        name = path.stem if path.suffix.lower() in self._suffixes else path.name
        if path.suffix.lower() in PACKED_SUFFIXES and PurePosixPath(name).suffix.lower() in JSON_SUFFIXES:
            name = PurePosixPath(name).stem
        return name.removesuffix(".ome")


def _core(name: str, words: frozenset[str]) -> tuple[str, ...]:
    parts = re.findall(r"[^\W\d_]+|\d+", name.lower())
    while parts and parts[0] in words:
        parts = parts[1:]
    while parts and parts[-1] in words:
        parts = parts[:-1]
    return tuple(parts)


@dataclass
class _Neighbors:
    """Images of a folder with the annotation beside each.

    Attributes:
        images: Path, path below the folder without suffix, annotation or None.
        remarks: Sentences about what was taken for a label image, and what was passed over.
    """

    images: list[tuple[Path, PurePosixPath, Path | None]]
    remarks: list[str] = field(default_factory=list)


def with_neighbors(folder: Path, apart: Path | None = None) -> _Neighbors:
    """Images below a folder with the annotation beside each: `x.xml` at `x.svs`, `x_mask.png` at `x.png`.

    A label image of another image, a figure that a tool made of it, and what lies below a folder that is set `apart`,
    are not listed as images.
    """
    images = [(path, stem) for path, stem in list_images(folder) if apart is None or not path.is_relative_to(apart)]
    outlines = AnnotationFolder(folder, READERS)
    by_stem = {stem: path for path, stem in images}
    masks: dict[PurePosixPath, list[Path]] = {}
    figures = set()
    for path, stem in images:
        image = _image_of(stem, _ANNOTATION_ENDINGS[1:], by_stem)
        if image is not None:
            masks.setdefault(image, []).append(path)
        elif _image_of(stem, _FIGURE_ENDINGS, by_stem) is not None:
            figures.add(path)
    for found in masks.values():
        found.sort(key=lambda path: (_ending_rank(path), path.name))
    apart = figures.union(*masks.values())
    listed = [
        (path, stem, outlines.find(stem) or next(iter(masks.get(stem, ())), None))
        for path, stem in images
        if path not in apart
    ]
    return _Neighbors(listed, _neighbor_remarks(folder, listed, masks))


def _image_of(stem: PurePosixPath, endings: Sequence[str], images: Container[PurePosixPath]) -> PurePosixPath | None:
    """The image whose name a file has with one of the endings."""
    for ending in endings:
        if stem.name.lower().endswith(ending) and len(stem.name) > len(ending):
            base = stem.name[: -len(ending)]
            for more in _IMAGE_ENDINGS:
                image = stem.with_name(base + more)
                if image != stem and image in images:
                    return image
    return None


def _ending_rank(path: Path) -> int:
    return next((n for n, e in enumerate(_ANNOTATION_ENDINGS[1:]) if path.stem.lower().endswith(e)), 0)


def _neighbor_remarks(
    folder: Path, listed: list[tuple[Path, PurePosixPath, Path | None]], masks: dict[PurePosixPath, list[Path]]
) -> list[str]:
    pairs = [(path, annotation) for path, stem, annotation in listed if annotation is not None and stem in masks]
    remarks = []
    taken = [(path, annotation) for path, annotation in pairs if annotation.suffix.lower() not in READERS]
    if taken:
        path, annotation = taken[0]
        remarks.append(
            f"{len(taken)} label images lie beside their images, such as {below(annotation, folder)} "
            f"beside {below(path, folder)}."
        )
    doubled = [found for found in masks.values() if len(found) > 1]
    if doubled:
        first, second = doubled[0][:2]
        remarks.append(
            f"{len(doubled)} images have several label images beside them; the first of each was used, such as "
            f"{below(first, folder)} and not {below(second, folder)}."
        )
    unused = len(pairs) - len(taken)
    if unused:
        remarks.append(f"{unused} images have outlines and a label image beside them; the outlines were used.")
    return remarks


class Role(Enum):
    """What a folder holds by its name."""

    IMAGES = "images"
    LABELS = "labels"


_WORDS = {
    Role.IMAGES: "image images img imgs raw raws input inputs original originals source sources image images x",
    Role.LABELS: (
        "label labels mask masks annotation annotations gt gts groundtruth groundtruths target targets seg segs "
        "segmentation "
        "segmentations labelimage labelimages labelmask labelmasks instance instances instancemask instancemasks y"
    ),
}
_ROLES = {word: role for role, words in _WORDS.items() for word in words.split()}
_SPLITS = {
    **dict.fromkeys(("train", "training", "trn"), "train"),
    **dict.fromkeys(("val", "valid", "validation", "dev"), "train"),
    **dict.fromkeys(("test", "testing", "tst"), "test"),
}
_VALIDATION = frozenset({"val", "valid", "validation", "dev"})
#: nnU-Net: imagesTr, labelsTr, imagesTs.
_TAILS = {"tr": "train", "val": "train", "ts": "test"}


@dataclass(frozen=True)
class _FolderName:
    """What a name says.

    Attributes:
        role: Images or labels; None where the name says neither.
        split: "train", "test" or "".
        validates: It names a part for validation, which is part of "train".
    """

    role: Role | None = None
    split: str = ""
    validates: bool = False


def read_folder_name(name: str) -> _FolderName:
    """What a name says, whatever its capitals, blanks, marks and numbers at the end (`train2017`, `Test_Images`)."""
    plain = re.sub(r"[\s_.-]+", "", name).lower()
    if plain in _ROLES:
        return _FolderName(_ROLES[plain])
    nnunet = re.fullmatch(r"(images|labels)(tr|ts|val)", plain)
    if nnunet:
        return _FolderName(_ROLES[nnunet[1]], _TAILS[nnunet[2]], nnunet[2] == "val")
    words = re.findall(r"[a-z]+|\d+", re.sub(r"(?<=[a-z])(?=[A-Z])", " ", name).lower())
    words = [word for word in words if not word.isdigit() and word not in ("stage", "set", "data", "part", "subset")]
    split = [word for word in words if word in _SPLITS] or [_split_in(plain)]
    rest = [word for word in words if word not in _SPLITS]
    if len(split) != 1 or not split[0]:
        return _FolderName()
    role = _ROLES.get("".join(rest))
    if rest and role is None and len(words) != 1:
        return _FolderName()
    return _FolderName(role, _SPLITS[split[0]], split[0] in _VALIDATION)


def _split_in(plain: str) -> str:
    """The part that a name in one word means (`trainset`, `testdata`), or ""."""
    found = re.fullmatch(rf"({'|'.join(_SPLITS)})(set|data|\d+)*", plain)
    return found[1] if found else ""


#: nnU-Net writes each channel to a file of its own; the label file has no such ending.
_CHANNEL = re.compile(r"(.+)_(\d{4})")
_DEEPEST = 4
_N_NAMED = 3


@dataclass(frozen=True)
class Site:
    """A folder of images and the folders beside it that may hold their labels.

    Attributes:
        images: The folder of images.
        above: Names of the folders between the imported folder and `images` that say neither role nor part.
        split: "train", "test" or "".
        labels: Folders with a name for labels.
        is_open: The images lie in the folder itself, beside its folders of labels.
    """

    images: Path
    above: tuple[str, ...]
    split: str
    labels: tuple[Path, ...]
    is_open: bool = False

    def list_images(self) -> list[tuple[Path, PurePosixPath]]:
        """Images with their path below the folder, without suffix."""
        found = list_images(self.images)
        return [(path, stem) for path, stem in found if len(stem.parts) == 1] if self.is_open else found


@dataclass
class _Pair:
    """What one site gives."""

    site: Site
    entries: list[Entry]
    labels: Path | None = None
    n_channels: int = 1
    misfit: DatasetError | None = None

    @property
    def n_labeled(self) -> int:
        return sum(entry.annotation is not None for entry in self.entries)


def images_and_labels(folder: Path, apart: Path | None = None) -> Listing | None:
    """Pairs of an image and a label file in folders whose names say which is which; None where there are none.

    Raises:
        DatasetError: Two folders fit, or none of the files in a folder of labels fits an image.
    """
    sites = find_sites(folder, apart)
    if not sites:
        return None
    listing = Listing([])
    pairs = [pair for pair in (_pair(site, folder, listing) for site in sites) if pair.entries]
    pairs = _one_folder_of_images(pairs, folder, listing)
    if not pairs:
        return None
    listing.entries = _with_folders(
        [pair.entries for pair in pairs], [pair.site.above for pair in pairs], listing.remarks
    )
    listing.entries = with_splits(listing.entries, listing.remarks)
    listing.evidence = _evidence(pairs, folder)
    for pair in pairs:
        if pair.n_channels > 1:
            listing.remarks.append(
                f"{below(pair.site.images, folder)}/ holds up to {pair.n_channels} channels of an image as files; "
                f"the first (_0000) was read, the others were passed over."
            )
    return listing


def find_sites(folder: Path, apart: Path | None = None) -> list[Site]:
    """Folders of images below a folder, by their names, with the folders of labels beside each.

    Images that lie in a folder without such a name count where a folder of labels is in the same place, or was
    found so in a folder beside. A folder that is set `apart` holds annotations, whatever its name.
    """
    sites = [site for site in _find_sites(folder, (), "", 0) if apart is None or not site.images.is_relative_to(apart)]
    if apart is not None:
        sites = [replace(site, labels=tuple(path for path in site.labels if path == apart)) for site in sites]
    deep = {len(site.above) for site in sites if site.is_open and site.labels}
    sites = [site for site in sites if not site.is_open or site.labels or (len(site.above) in deep)]
    if any(site.labels for site in sites):
        return sites
    held = sum(len(site.list_images()) for site in sites)
    return sites if held and held == len(list_images(folder)) else []


def _find_sites(folder: Path, above: tuple[str, ...], split: str, depth: int) -> Iterator[Site]:
    children = [path for path in _folders(folder) if not is_index_folder(path)]
    named = [(path, read_folder_name(path.name)) for path in children]
    labels = [(path, name) for path, name in named if name.role is Role.LABELS]
    images = [(path, name) for path, name in named if name.role is Role.IMAGES]
    for path, name in images:
        fitting = tuple(other for other, label in labels if label.split == name.split)
        loosely = tuple(other for other, label in labels if not (label.split and name.split))
        yield Site(path, above, name.split or split, fitting or loosely)
    if not images and (labels or above):
        site = Site(folder, above, split, tuple(path for path, _ in labels), is_open=True)
        if site.list_images():
            yield site
    if depth < _DEEPEST:
        for path, name in named:
            if name.role is None:
                inner = above if name.split else (*above, path.name)
                yield from _find_sites(path, inner, name.split or split, depth + 1)


def _folders(folder: Path) -> list[Path]:
    try:
        found = sorted(folder.iterdir())
    except OSError:
        return []  # Listing its images says why.
    return [p for p in found if not p.name.startswith(".") and p.suffix.lower() != ".zarr" and p.is_dir()]


def _pair(site: Site, root: Path, listing: Listing) -> _Pair:
    """The entries of a site with the labels that fit.

    Raises:
        DatasetError: Two folders of labels fit, or none of the files in them.
    """
    images = site.list_images()
    without = _Pair(site, [_entry(image, stem, None, site, root) for image, stem in images])
    held = {labels: _label_files(labels) for labels in site.labels}
    readable = {labels: [f for f in files if _is_readable(f)] for labels, files in held.items()}
    if not images or not any(held.values()):
        return without
    pairs = [_match(site, images, labels, root) for labels in site.labels if readable[labels]]
    fitting = [pair for pair in pairs if pair.n_labeled]
    if len(fitting) > 1:
        names = " and ".join(f"{below(pair.labels, root)}/" for pair in fitting)
        raise DatasetError(
            f"Expected one folder of labels beside {below(site.images, root)}/, found that the files of {names} have "
            f"the names of its images. Say which are meant: organscope data import {site.images} --annotations "
            f"{fitting[0].labels}"
        )
    if not fitting and pairs:
        return replace(without, misfit=_nothing_fits(pairs[0], site, readable[pairs[0].labels], root))
    if not fitting:
        listing.failures += [_unreadable(labels, files, root) for labels, files in held.items() if files]
        return without
    used = {entry.annotation for entry in fitting[0].entries}
    unfit = [f for f in readable[fitting[0].labels] if not used.intersection((f, *f.parents))]
    if unfit:
        names = ", ".join(str(below(path, root)) for path in unfit[:_N_NAMED])
        listing.remarks.append(f"{len(unfit)} label files have no image of their name and were passed over: {names}.")
    return fitting[0]


def _label_files(labels: Path) -> list[Path]:
    """Files below a folder of labels; none where they are COCO files, which are for all images together."""
    files = [f for f in sorted(labels.rglob("*")) if not f.name.startswith(".") and not f.is_dir()]
    return [] if any(f.suffix.lower() == ".json" and is_coco(f) for f in files[:_N_NAMED]) else files


def _is_readable(path: Path) -> bool:
    return path.suffix.lower() in ANNOTATION_SUFFIXES


def _unreadable(labels: Path, files: Sequence[Path], root: Path) -> str:
    kinds = ", ".join(sorted({"".join(path.suffixes[-2:]) or path.name for path in files})[:_N_NAMED])
    hint = " (YOLO)" if ".txt" in kinds else " (NIfTI)" if ".nii" in kinds else ""
    return (
        f"{below(labels, root)}/ holds {len(files)} files of a kind that is not read, {kinds}{hint}; the images are "
        "without labels. Export label images (PNG, TIFF), COCO or GeoJSON."
    )


def _match(site: Site, images: list[tuple[Path, PurePosixPath]], labels: Path, root: Path) -> _Pair:
    """Give each image the label file of its name; the channel files of nnU-Net share one.

    Raises:
        DatasetError: One label file fits several images.
    """
    annotations = AnnotationFolder(labels, loosely=True)
    pair = _Pair(site, [], labels)
    channels: Counter[PurePosixPath] = Counter()
    for image, stem in images:
        annotation = annotations.find(stem)
        channel = _CHANNEL.fullmatch(stem.name)
        case = stem.with_name(channel[1]) if channel else stem
        if annotation is None and annotations.find(case) is not None:
            channels[case] += 1
            if channels[case] > 1:
                continue
            annotation, stem = annotations.find(case), case
        pair.entries.append(_entry(image, stem, annotation, site, root))
    pair.n_channels = max(channels.values(), default=1)
    uses = Counter(entry.annotation for entry in pair.entries if entry.annotation is not None)
    path, n_uses = uses.most_common(1)[0] if uses else (labels, 0)
    if n_uses > 1:
        names = [entry.image.name for entry in pair.entries if entry.annotation == path]
        raise DatasetError(
            f"Expected one image for {path}, found {', '.join(names[:_N_NAMED])}. Rename the label files."
        )
    return pair


def _nothing_fits(pair: _Pair, site: Site, files: Sequence[Path], root: Path) -> DatasetError:
    names = ", ".join(path.name for path in files[:_N_NAMED])
    return DatasetError(
        f"Expected labels with the names of the images of {below(site.images, root)}/ in "
        f"{below(pair.labels, root)}/, found "
        f"{len(files)} files of which none fits: {names}; an image is {pair.entries[0].image.name}. Rename the label "
        f"files, or import the images without labels: organscope data import {site.images}"
    )


def _one_folder_of_images(pairs: list[_Pair], root: Path, listing: Listing) -> list[_Pair]:
    """Leave out folders of images beside the one that has the labels.

    Raises:
        DatasetError: The labels belong to two folders of images, or to none.
    """
    by_labels: dict[Path, list[_Pair]] = {}
    for pair in pairs:
        if pair.labels is not None:
            by_labels.setdefault(pair.labels, []).append(pair)
    for labels, found in by_labels.items():
        if len(found) > 1:
            names = " and ".join(f"{below(pair.site.images, root)}/" for pair in found)
            raise DatasetError(
                f"Expected one folder of images for {below(labels, root)}/, found {names}. Say which are meant: "
                f"organscope data import {found[0].site.images} --annotations {labels}"
            )
    used = set(by_labels)
    left_out = [pair for pair in pairs if pair.misfit is not None and used.intersection(pair.site.labels)]
    for pair in pairs:
        if pair.misfit is not None and pair not in left_out:
            raise pair.misfit
    for pair in left_out:
        listing.remarks.append(
            f"{below(pair.site.images, root)}/ ({len(pair.entries)} images) was passed over: the labels beside it "
            "belong to the images of another folder."
        )
    return [pair for pair in pairs if pair not in left_out]


def _entry(image: Path, stem: PurePosixPath, annotation: Path | None, site: Site, root: Path) -> Entry:
    """An entry whose id is the path without the folder of images; below that, a folder is a part or an organ."""
    name = read_folder_name(stem.parts[0]) if len(stem.parts) > 1 else _FolderName()
    inner = stem.parts[1:] if name.split else stem.parts
    place = below(site.images, root).parts
    return Entry(
        id=str(PurePosixPath(*(place if site.is_open else place[:-1]), stem)),
        path=below(image, root),
        image=image,
        annotation=annotation,
        organ=inner[0] if len(inner) > 1 else "",
        split=name.split or site.split,
    )


def _with_folders(parts: list[list[Entry]], aboves: list[tuple[str, ...]], remarks: list[str]) -> list[Entry]:
    """Folders above those of images: organs if their names are words, groups if they hold numbers; one for all is "
    "neither."""
    names = [above[_n_common(aboves) :] for above in aboves]
    known = sorted({name[0] for name in names if name})
    if not known or len(set(names)) == 1:
        return [entry for entries in parts for entry in entries]
    are_organs = not any(re.search(r"\d", name) for name in known)
    are_organs = are_organs and not any(entry.organ for entries in parts for entry in entries)
    shown = ", ".join(known[:_N_NAMED]) + (", ..." if len(known) > _N_NAMED else "")
    kind = "organs" if are_organs else "groups (slides, patients), not for organs"
    remarks.append(f"The names of {len(known)} folders above the images were taken for {kind}: {shown}.")
    if are_organs:
        return [replace(e, organ=n[0] if n else "") for entries, n in zip(parts, names, strict=True) for e in entries]
    return [replace(e, group="/".join(n)) for entries, n in zip(parts, names, strict=True) for e in entries]


def _n_common(aboves: list[tuple[str, ...]]) -> int:
    """How many first folders are the same for all: those around the whole set."""
    n_common = 0
    while all(len(above) > n_common for above in aboves) and len({above[n_common] for above in aboves}) == 1:
        n_common += 1
    return n_common


def with_splits(entries: list[Entry], remarks: list[str]) -> list[Entry]:
    """Say what became of parts for validation, and hold no test part back that has no labels while others have."""
    validating = [
        entry for entry in entries if any(read_folder_name(part).validates for part in entry.path.parent.parts)
    ]
    if validating:
        remarks.append(
            f"{len(validating)} images of a part for validation are in the training part, from which each training "
            "draws its own."
        )
    test = [entry for entry in entries if entry.split == "test"]
    if test and any(entry.annotation for entry in entries) and not any(entry.annotation for entry in test):
        remarks.append(
            f"The test part ({len(test)} images) has no labels, so there is nothing to score: its images are kept "
            "without labels, and not held back."
        )
        return [replace(entry, split="" if entry.split == "test" else entry.split) for entry in entries]
    return entries


def _evidence(pairs: list[_Pair], root: Path) -> str:
    matched = [pair for pair in pairs if pair.labels is not None]
    if not matched:
        return f"folders {_names([pair.site.images for pair in pairs], root)} and no labels beside them"
    n_labeled = sum(pair.n_labeled for pair in matched)
    n_images = sum(len(pair.entries) for pair in matched)
    folders = sorted({f"{_place(pair.site.images, root)} + {_place(pair.labels, root)}" for pair in matched})
    shown = ", ".join(folders[:_N_NAMED]) + (", ..." if len(folders) > _N_NAMED else "")
    entry = next(entry for pair in matched for entry in pair.entries if entry.annotation is not None)
    return (
        f"{shown}, because {n_labeled} of {n_images} images have a label file of their name, such as "
        f"{entry.image.name} and {entry.annotation.name}"
    )


def _place(folder: Path, root: Path) -> str:
    place = below(folder, root)
    return "images of the folder" if place == PurePosixPath(".") else f"{place}/"


def _names(folders: list[Path], root: Path) -> str:
    return ", ".join(_place(folder, root) for folder in folders[:_N_NAMED])
