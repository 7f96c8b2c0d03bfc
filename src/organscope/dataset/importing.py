"""Import a folder of images with annotations: layout, conversion, folds, index."""

import shutil
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

import pandas as pd

from organscope.dataset.annotations.mask_kinds import MASK_KINDS
from organscope.dataset.entries import Entry
from organscope.dataset.import_record import write_record
from organscope.dataset.index import WORK_FOLDER, Index, write_index
from organscope.dataset.journal import Journal, entry_key
from organscope.dataset.layouts import Found, find_layout
from organscope.dataset.names import make_folder
from organscope.dataset.parallel import run_parallel
from organscope.dataset.passed_over import tell_passed_over
from organscope.dataset.problems import Problem
from organscope.dataset.rows import ImageSettings, Outcome, make_row
from organscope.dataset.sources import assign_annotations, count_without, link_coco
from organscope.dataset.splits import check_split, regroup, split_table
from organscope.errors import DatasetError, InputError, UnknownNameError, UsageError
from organscope.images.selection import Choice
from organscope.ops.pixel_size import given_pixel_size

#: Called with the number of finished images and the number of all.
Progress = Callable[[int, int], None]

JOURNAL_NAME = "journal.jsonl"
DATABASE_NAME = "annotations.sqlite"
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
IMAGES_PER_WORKER = 32


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
class FoldSettings:
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
    progress: Progress | None = None,
) -> ImportReport:
    """Make an index of a folder of images; annotations that are no label images are converted to such.

    Images that cannot be read are named in the report and left out; images whose annotation cannot be used
    are kept without labels. What is finished survives an interruption. One image at a time is in memory (of
    each worker). Several workers need a caller that can be imported (`if __name__ == "__main__"`).

    Args:
        folder: Images in one of the layouts of `layouts.LAYOUTS`.
        out: The index folder.
        annotations: A COCO file, or a folder with one annotation an image (equal path or stem).
        format: Name of a layout; None recognises it.
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
    folds = FoldSettings(group, n_folds, holdout, seed)
    _require_apart(folder, out)
    given = None if annotations is None else Path(annotations).absolute()
    found = find_layout(folder, format, given)
    entries = _plan(found.listing.entries, folds)
    entries, coco_files = assign_annotations(folder, entries, given)
    understood, problems = _tell(folder, found, entries, coco_files, given)
    work = make_folder(out / WORK_FOLDER)
    settings = ImageSettings(out, dataset or folder.name, given_pixel_size(um_per_px), choice or Choice(), masks)
    if coco_files:
        entries, coco_problems = link_coco(folder, coco_files, work / DATABASE_NAME, entries)
        problems += coco_problems
        settings = replace(settings, coco_database=work / DATABASE_NAME, coco_files=tuple(coco_files))
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


def _plan(entries: list[Entry], folds: FoldSettings) -> list[Entry]:
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
    entries: list[Entry], settings: ImageSettings, work: Path, workers: int, progress: Progress | None
) -> tuple[list[dict], list[Outcome], int]:
    """Rows and outcomes of all images, from the journal where they are finished."""
    journal = Journal(work / JOURNAL_NAME)
    keys = {entry: entry_key(entry, settings) for entry in entries}
    outcomes: dict[Entry, Outcome] = {}
    for entry in entries:
        outcome = journal.find(keys[entry])
        if outcome is not None and all(
            not outcome.row[name] or Path(outcome.row[name]).exists() for name in ("labels", "classes")
        ):
            outcomes[entry] = outcome
    n_reused = len(outcomes)
    workers = max(1, min(workers, (len(entries) - n_reused) // IMAGES_PER_WORKER))
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


def _draw_folds(table: pd.DataFrame, folds: FoldSettings) -> tuple[pd.DataFrame, list[Problem]]:
    if table["fold"].any() and not folds.asked:
        return table, []
    try:
        drawn = split_table(table, n_folds=folds.n_folds, holdout=folds.holdout, seed=folds.seed)
    except UsageError as error:
        return table, [Problem("folds", f"no folds were drawn, every image is in fold 0. {error}", failed=folds.asked)]
    return drawn, []
