"""Which annotation belongs to which image: beside it, in a folder of its own, or in COCO files for all."""

import re
from collections import Counter
from dataclasses import replace
from pathlib import Path, PurePosixPath

from organscope.dataset.annotations.coco import build_store, is_coco, link_images
from organscope.dataset.entries import AnnotationFolder, Entry
from organscope.dataset.problems import Problem
from organscope.errors import UsageError


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
