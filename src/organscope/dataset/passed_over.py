"""The files of an imported folder that were not used, so that nothing is passed over without a word."""

import re
from collections import defaultdict
from collections.abc import Collection, Iterator
from pathlib import Path

from organscope.dataset.entries import PICKLED_ENDING, Entry, below, is_index_folder
from organscope.images.files import SUFFIXES, is_zarr, leads_nowhere

#: Files that belong to no image and that nobody misses: of the system, about the set, locks of spreadsheet programs.
_QUIET = re.compile(
    r"\..*|~\$.*|thumbs\.db|desktop\.ini|__macosx|(readme|license|licence|copying|citation|changelog|notes?)\b.*|.*\.md|"
    r"dataset\.json|data\.ya?ml|.*\.(sha256|md5)",
    re.IGNORECASE,
)
_TABLES = frozenset({".csv", ".tsv", ".xlsx", ".xls", ".ods"})
_N_NAMED = 8


def tell_passed_over(folder: Path, entries: Collection[Entry], used: Collection[Path]) -> tuple[list[str], list[str]]:
    """Sentences about files that are there and were not used, and about links that lead nowhere.

    Args:
        folder: The imported folder.
        entries: Its images with their annotations.
        used: Further files and folders that were used: a sheet, COCO files.
    """
    taken = {*(entry.image for entry in entries), *used}
    taken |= {entry.annotation for entry in entries if entry.annotation is not None}
    groups: dict[tuple[str, str], list[Path]] = defaultdict(list)
    failures = []
    for path in _files(folder, taken, set()):
        if leads_nowhere(path):
            failures.append(
                f"{below(path, folder)} is a link to {path.readlink()}, which does not exist; what it means is missing."
            )
            continue
        suffix = PICKLED_ENDING if path.name.endswith(PICKLED_ENDING) else path.suffix.lower()
        groups[below(path.parent, folder).as_posix(), suffix].append(path)
    pickled = {key: groups.pop(key) for key in list(groups) if key[1] == PICKLED_ENDING}
    told = _tell_pickled([path for paths in pickled.values() for path in paths], folder, entries)
    remarks = [_sentence(place, suffix, paths) for (place, suffix), paths in groups.items()]
    if len(remarks) > _N_NAMED:
        n_more = sum(len(paths) for paths in list(groups.values())[_N_NAMED:])
        remarks = [*remarks[:_N_NAMED], f"Passed over: {n_more} more files in other folders or of other kinds."]
    return [*remarks, *told[0]], [*failures, *told[1]]


def _files(folder: Path, taken: set[Path], seen: set[Path]) -> Iterator[Path]:
    """Files below a folder that are not taken, in order of name."""
    real = folder.resolve()
    if real in seen:
        return
    seen.add(real)
    try:
        paths = sorted(folder.iterdir())
    except OSError:
        return
    slides = {path.stem for path in paths if path.suffix.lower() in SUFFIXES}
    for path in paths:
        if path in taken or _QUIET.fullmatch(path.name):
            continue
        if not path.is_dir() or is_zarr(path):
            yield path
        elif not is_index_folder(path) and not _belongs_to_slide(path, slides):
            yield from _files(path, taken, seen)


def _belongs_to_slide(path: Path, slides: set[str]) -> bool:
    """Whether a folder holds the pixels of a slide of the same name (MRXS)."""
    return path.name in slides and (path / "Slidedat.ini").exists()


def _sentence(place: str, suffix: str, paths: list[Path]) -> str:
    where = "" if place == "." else f" in {place}/"
    kind = "image" if suffix in SUFFIXES else "file"
    if len(paths) == 1:
        what = f"{paths[0].name}{where}"
    else:
        what = f"{len(paths)} {kind}s {suffix or 'without suffix'}{where}, such as {paths[0].name}"
    hint = " A table is read as the sheet of a set if it is named index.csv." if suffix in _TABLES else ""
    return f"Passed over: {what}.{hint}"


def _tell_pickled(paths: list[Path], folder: Path, entries: Collection[Entry]) -> tuple[list[str], list[str]]:
    """What is said about Cellpose's own files: a remark where the masks are there otherwise, else a failure."""
    if not paths:
        return [], []
    labeled = {entry.image.parent / entry.image.stem for entry in entries if entry.annotation is not None}
    alone = [path for path in paths if path.parent / path.name.removesuffix(PICKLED_ENDING) not in labeled]
    why = "they hold Python objects, which are not loaded from files of unknown origin"
    remarks, failures = [], []
    if len(paths) > len(alone):
        remarks.append(
            f"Passed over: {len(paths) - len(alone)} files {PICKLED_ENDING} of Cellpose ({why}); the masks beside "
            "them were used."
        )
    if alone:
        failures.append(
            f"{len(alone)} files {PICKLED_ENDING} of Cellpose cannot be used, such as {below(alone[0], folder)} "
            f"({why}); their images are without labels. Export the masks: cellpose --save_png or --save_tif."
        )
    return remarks, failures
