"""What a folder layout says about one image, before the image is opened."""

from collections.abc import Container, Iterator
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from organscope.dataset.annotations import POINTS_SUFFIX, READERS
from organscope.dataset.annotations.json_stream import JSON_SUFFIXES, PACKED_SUFFIXES
from organscope.dataset.index import PARQUET_NAME, WORK_FOLDER
from organscope.images.files import SUFFIXES, walk_images
from organscope.ops.pixel_size import PixelSize

#: What annotators put behind the name of the image; the first that is found counts.
ANNOTATION_ENDINGS = ("", "_labels", "_label", "_masks", "_mask")
#: Stands for a folder, with one mask picture a cell, among the suffixes.
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


def list_images(folder: Path) -> list[tuple[Path, PurePosixPath]]:
    """Images below a folder with their path below it, without suffix; none where there is none.

    What belongs to an index that was made inside the folder is left out.
    """
    if not folder.is_dir():
        return []
    found = list(walk_images(folder))
    parents = {parent for path, _ in found for parent in path.relative_to(folder).parents}
    indexes = {parent for parent in parents if parent.parts and _is_index(folder / parent)}
    return [(path, PurePosixPath(stem)) for path, stem in found if indexes.isdisjoint(path.relative_to(folder).parents)]


def _is_index(folder: Path) -> bool:
    return (folder / PARQUET_NAME).is_file() or (folder / WORK_FOLDER).is_dir()


class AnnotationFolder:
    """Annotations of images by path below a folder: equal stem, or stem and `_mask`, `_labels`."""

    def __init__(self, folder: Path | None, suffixes: Container[str] = ANNOTATION_SUFFIXES) -> None:
        self._folder = folder
        self._suffixes = suffixes
        self._by_parent: dict[PurePosixPath, dict[str, Path]] = {}

    def find(self, stem: PurePosixPath) -> Path | None:
        """The annotation of the image with this path (without suffix)."""
        if self._folder is None:
            return None
        names = self._names(stem.parent)
        return next((names[stem.name + e] for e in ANNOTATION_ENDINGS if stem.name + e in names), None)

    def _names(self, parent: PurePosixPath) -> dict[str, Path]:
        if parent not in self._by_parent:
            folder = self._folder / parent
            paths = sorted(folder.iterdir(), reverse=True) if folder.is_dir() else []
            # A table counts only where there is nothing else of that name.
            paths.sort(key=lambda path: path.suffix.lower() != POINTS_SUFFIX)
            self._by_parent[parent] = {self._stem(path): path for path in paths if self._may_annotate(path)}
        return self._by_parent[parent]

    def _may_annotate(self, path: Path) -> bool:
        if path.name.startswith("."):
            return False
        return path.suffix.lower() in self._suffixes or (MASK_FOLDER in self._suffixes and path.is_dir())

    def _stem(self, path: Path) -> str:
        name = path.stem if path.suffix.lower() in self._suffixes else path.name
        if path.suffix.lower() in PACKED_SUFFIXES and PurePosixPath(name).suffix.lower() in JSON_SUFFIXES:
            name = PurePosixPath(name).stem
        return name.removesuffix(".ome")


def with_neighbours(
    folder: Path,
) -> Iterator[tuple[Path, PurePosixPath, Path | None]]:
    """Images below a folder with the annotation beside each: `x.xml` at `x.svs`, `x_mask.png` at `x.png`.

    A picture that is the mask of another one is not listed as an image.
    """
    images = list_images(folder)
    outlines = AnnotationFolder(folder, READERS)
    by_stem = {stem: path for path, stem in images}
    masks = {}
    for path, stem in images:
        for ending in ANNOTATION_ENDINGS[1:]:
            masked = stem.with_name(stem.name.removesuffix(ending) or stem.name)
            if masked != stem and masked in by_stem:
                masks[masked] = path
    pictured = set(masks.values())
    for path, stem in images:
        if path not in pictured:
            yield path, stem, outlines.find(stem) or masks.get(stem)
