"""What a folder layout says about one image, before the image is opened."""

import re
from collections.abc import Container, Sequence
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath

from organscope.dataset.annotations import POINTS_SUFFIX, READERS
from organscope.dataset.annotations.json_stream import JSON_SUFFIXES, PACKED_SUFFIXES
from organscope.dataset.index import PARQUET_NAME, WORK_FOLDER
from organscope.images.files import SUFFIXES, walk_images
from organscope.ops.pixel_size import PixelSize

#: What annotators and tools put behind the name of the image; the first that is found counts.
ANNOTATION_ENDINGS = (
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
MASK_FOLDER = "/"
ANNOTATION_SUFFIXES = frozenset({*SUFFIXES, *READERS, ".npy", POINTS_SUFFIX, MASK_FOLDER})


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
        found = next((names[stem.name + e] for e in ANNOTATION_ENDINGS if stem.name + e in names), None)
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
        return path.suffix.lower() in self._suffixes or (MASK_FOLDER in self._suffixes and path.is_dir())

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
class Neighbors:
    """Images of a folder with the annotation beside each.

    Attributes:
        images: Path, path below the folder without suffix, annotation or None.
        remarks: Sentences about what was taken for a label image, and what was passed over.
    """

    images: list[tuple[Path, PurePosixPath, Path | None]]
    remarks: list[str] = field(default_factory=list)


def with_neighbors(folder: Path, apart: Path | None = None) -> Neighbors:
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
        image = _image_of(stem, ANNOTATION_ENDINGS[1:], by_stem)
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
    return Neighbors(listed, _neighbor_remarks(folder, listed, masks))


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
    return next((n for n, e in enumerate(ANNOTATION_ENDINGS[1:]) if path.stem.lower().endswith(e)), 0)


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
