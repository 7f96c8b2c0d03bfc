"""Import a folder of images with annotations: layout, conversion, folds, index.

The files of an imported folder that were not used, so that nothing is passed over without a word.
"""

import re
import shutil
from collections import Counter, defaultdict
from collections.abc import Callable, Collection, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

import pandas as pd

from organscope.data.discovery import PICKLED_ENDING, Entry, below, is_index_folder
from organscope.data.index import WORK_FOLDER, Index, Problem, write_index
from organscope.data.layouts import Found, assign_annotations, count_without, find_layout, link_coco
from organscope.data.records import ImageSettings, Outcome, make_row, write_record
from organscope.data.resume import Journal, entry_key
from organscope.data.splits import check_split, regroup, split_table
from organscope.errors import DatasetError, InputError, UnknownNameError, UsageError
from organscope.io.mask_kinds import MASK_KINDS
from organscope.io.paths import SUFFIXES, is_zarr, leads_nowhere, make_folder
from organscope.io.selection import Choice
from organscope.ops.pixel_size import given_pixel_size
from organscope.parallel import run_parallel

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


#: Called with the number of finished images and the number of all.
_Progress = Callable[[int, int], None]

_JOURNAL_NAME = "journal.jsonl"
_DATABASE_NAME = "annotations.sqlite"
N_NAMED = 20
_MASK_SENTENCES = {
    "instances": "with a number a cell",
    "binary": "with one value for all cells, split into pieces",
    "inverted": "where 0 is the cells, split into pieces",
    "classes": "with classes of cells, split into pieces",
    "borders": "with insides and borders of cells",
    "empty": "without a cell (labeled, 0 cells)",
}
#: Starting a process pays off from about this many images on.
_IMAGES_PER_WORKER = 32


@dataclass(frozen=True)
class ImportReport:
    """What an import made.

    Attributes:
        index: The index that was written.
        layout: Name of the layout of the folder.
        understood: Sentences about what was taken for what, with its evidence, and what was passed over.
        problems: What could not be used and what is worth knowing, in order of source.
        n_reused: Images that an interrupted run had finished.
    """

    index: Index
    layout: str
    understood: list[str]
    problems: list[Problem]
    n_reused: int

    @property
    def n_failed(self) -> int:
        """Number of problems because of which something is missing."""
        return sum(problem.failed for problem in self.problems)


@dataclass(frozen=True)
class _FoldSettings:
    """How groups and folds are made; the arguments of `import_folder`."""

    group: str | None
    n_folds: int | None
    holdout: float | None
    seed: int

    @property
    def asked(self) -> bool:
        """Whether folds are to be drawn even where the set was delivered with some."""
        return self.n_folds is not None or self.holdout is not None


def import_folder(
    folder: str | Path,
    out: str | Path,
    *,
    annotations: str | Path | None = None,
    format: str | None = None,
    dataset: str | None = None,
    um_per_px: float | Sequence[float] | None = None,
    choice: Choice | None = None,
    masks: str | None = None,
    group: str | None = None,
    n_folds: int | None = None,
    holdout: float | None = None,
    seed: int = 0,
    workers: int = 1,
    progress: _Progress | None = None,
) -> ImportReport:
    """Make an index of a folder of images; annotations that are no label images are converted to such.

    Images that cannot be read are named in the report and left out; images whose annotation cannot be used
    are kept without labels. What is finished survives an interruption. One image at a time is in memory (of
    each worker). Several workers need a caller that can be imported (`if __name__ == "__main__"`).

    Args:
        folder: Images in one of the layouts of `layouts.LAYOUTS`.
        out: The index folder.
        annotations: A COCO file, or a folder with one annotation an image (equal path or stem).
        format: Name of a layout; None recognizes it.
        dataset: Name of the set; None takes the folder's.
        um_per_px: Pixel size that replaces what the images say: one number, or height and width.
        choice: Channel, page, plane and image of every file; None takes the documented ones.
        masks: What label images hold: one of `MASK_KINDS`; None finds it out of each and refuses what is doubtful.
        group: Column, or regular expression on the image path, that gives the group (slide, patient); None keeps
            the layout's.
        n_folds: Number of folds; None keeps the folds that the set was delivered with, or makes 4.
        holdout: Share of fold 1; None keeps the delivered folds, or makes all alike.
        seed: Another seed gives another draw.
        workers: Number of processes.
        progress: Called after every image.

    Raises:
        UsageError: An option is impossible for this folder.
        DatasetError: The folder has no layout that is known, or can be read in two ways.
        InputError: No image can be used.
        OutputError: The index cannot be written.
    """
    if masks is not None and masks not in MASK_KINDS:
        raise UnknownNameError(f"Expected masks of {', '.join(MASK_KINDS)} (--masks), found {masks!r}.")
    folder, out = Path(folder).absolute(), Path(out).resolve()
    folds = _FoldSettings(group, n_folds, holdout, seed)
    _require_apart(folder, out)
    given = None if annotations is None else Path(annotations).absolute()
    found = find_layout(folder, format, given)
    entries = _plan(found.listing.entries, folds)
    entries, coco_files = assign_annotations(folder, entries, given)
    understood, problems = _tell(folder, found, entries, coco_files, given)
    work = make_folder(out / WORK_FOLDER)
    settings = ImageSettings(out, dataset or folder.name, given_pixel_size(um_per_px), choice or Choice(), masks)
    if coco_files:
        entries, coco_problems = link_coco(folder, coco_files, work / _DATABASE_NAME, entries)
        problems += coco_problems
        settings = replace(settings, coco_database=work / _DATABASE_NAME, coco_files=tuple(coco_files))
    rows, outcomes, n_reused = _read_images(entries, settings, work, workers, progress)
    seen = [problem for outcome in outcomes for problem in outcome.problems]
    problems += [*count_without(entries), *sorted(seen, key=lambda problem: problem.source)]
    if not rows:
        raise _nothing_usable(folder, seen)
    understood += _tell_mask_kinds(outcomes)
    table, notes = _draw_folds(pd.DataFrame(rows), folds)
    index = write_index(out, table)
    shutil.rmtree(work)
    report = ImportReport(index, found.layout.name, understood, problems + notes, n_reused)
    write_record(index.folder, report.layout, report.understood, report.problems)
    return report


def _tell(
    folder: Path, found: Found, entries: list[Entry], coco_files: list[Path], given: Path | None
) -> tuple[list[str], list[Problem]]:
    """What is said before any image is read: the layout, what was taken for what, what was passed over."""
    used = [*coco_files, *([given] if given is not None else []), *found.listing.used]
    passed_over, missing = tell_passed_over(folder, entries, used)
    failures = [Problem("annotations", text, failed=True) for text in found.listing.failures]
    failures += [Problem("files", text, failed=True) for text in missing]
    files = ", ".join(
        path.relative_to(folder).as_posix() if path.is_relative_to(folder) else path.name for path in coco_files
    )
    coco = [f"COCO files with annotations: {files}."] if coco_files else []
    return [found.sentence, *found.listing.remarks, *coco, *passed_over], failures


def _tell_mask_kinds(outcomes: list[Outcome]) -> list[str]:
    """What label images were read as, and that one set holds several kinds."""
    counts = Counter(outcome.mask_kind for outcome in outcomes if outcome.mask_kind)
    if not counts or set(counts) == {"instances"}:
        return []
    told = ", ".join(f"{n} {_MASK_SENTENCES[kind]}" for kind, n in sorted(counts.items()))
    kinds = set(counts) - {"empty"}
    mixed = len(kinds) > 1 and not kinds <= {"instances", "binary"}
    hint = f" One kind for all: --masks {', '.join(MASK_KINDS)}." if mixed else ""
    return [f"Label images: {told}.{hint}"]


def _nothing_usable(folder: Path, problems: list[Problem]) -> InputError:
    lines = [f"  {problem.source}: {problem.message}" for problem in problems[:N_NAMED]]
    more = [f"  and {len(problems) - N_NAMED} more"] if len(problems) > N_NAMED else []
    return InputError("\n".join([f"No image of {folder} can be used:", *lines, *more]))


def _require_apart(folder: Path, out: Path) -> None:
    if folder.resolve().is_relative_to(out):
        raise UsageError(
            f"Expected an index folder that does not hold the images, found {out}. Converted labels could replace "
            "files there: name a new folder."
        )


def _plan(entries: list[Entry], folds: _FoldSettings) -> list[Entry]:
    """Define the groups and refuse impossible folds before any image is read."""
    table = pd.DataFrame(
        {
            "id": [entry.id for entry in entries],
            "image": [str(entry.path) for entry in entries],
            "organ": [entry.organ for entry in entries],
            "species": [entry.species for entry in entries],
            "group": [entry.group or entry.id for entry in entries],
            "split": [entry.split for entry in entries],
        }
    )
    repeated = table["id"][table["id"].duplicated()].unique()
    if len(repeated):
        raise DatasetError(f"Expected one image a name, found {', '.join(repeated[:3])} more than once. Rename them.")
    if folds.group is not None:
        table = regroup(table, folds.group)
    if folds.asked:
        check_split(table, n_folds=folds.n_folds, holdout=folds.holdout)
    return [replace(entry, group=group) for entry, group in zip(entries, table["group"], strict=True)]


def _read_images(
    entries: list[Entry], settings: ImageSettings, work: Path, workers: int, progress: _Progress | None
) -> tuple[list[dict], list[Outcome], int]:
    """Rows and outcomes of all images, from the journal where they are finished."""
    journal = Journal(work / _JOURNAL_NAME)
    keys = {entry: entry_key(entry, settings) for entry in entries}
    outcomes: dict[Entry, Outcome] = {}
    for entry in entries:
        outcome = journal.find(keys[entry])
        if outcome is not None and all(
            not outcome.row[name] or Path(outcome.row[name]).exists() for name in ("labels", "classes")
        ):
            outcomes[entry] = outcome
    n_reused = len(outcomes)
    workers = max(1, min(workers, (len(entries) - n_reused) // _IMAGES_PER_WORKER))
    todo = [entry for entry in entries if entry not in outcomes]
    try:
        for entry, outcome in run_parallel(partial(make_row, settings=settings), todo, workers):
            journal.add(keys[entry], outcome)
            outcomes[entry] = outcome
            if progress is not None:
                progress(len(outcomes), len(entries))
    finally:
        journal.close()
    rows = [outcomes[entry].row for entry in entries if outcomes[entry].row is not None]
    return rows, list(outcomes.values()), n_reused


def _draw_folds(table: pd.DataFrame, folds: _FoldSettings) -> tuple[pd.DataFrame, list[Problem]]:
    if table["fold"].any() and not folds.asked:
        return table, []
    try:
        drawn = split_table(table, n_folds=folds.n_folds, holdout=folds.holdout, seed=folds.seed)
    except UsageError as error:
        return table, [Problem("folds", f"no folds were drawn, every image is in fold 0. {error}", failed=folds.asked)]
    return drawn, []
