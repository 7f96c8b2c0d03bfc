"""Survey an index: every file is read once, several at a time; an interrupted survey goes on where it stopped."""

import hashlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

from organscope.dataset.index import Index, Sample
from organscope.dataset.parallel import run_parallel
from organscope.dataset.rows import hash_path
from organscope.dataset.survey.cells import CellFacts, describe_cells
from organscope.dataset.survey.facts import Facts
from organscope.dataset.survey.journal import SurveyJournal
from organscope.dataset.survey.pixels import PixelFacts, look_at
from organscope.errors import InputError
from organscope.ops.pixel_size import PixelSize

#: Called with the number of finished samples and the number of all.
Progress = Callable[[int, int], None]
#: Starting a process pays off from about this many images on.
IMAGES_PER_WORKER = 16


@dataclass(frozen=True)
class Survey:
    """An index and what its files hold; iterates over pairs of sample and facts, in order of the index."""

    index: Index
    samples: tuple[Sample, ...]
    facts: dict[str, Facts]

    def __iter__(self) -> Iterator[tuple[Sample, Facts]]:
        return ((sample, self.facts[sample.id]) for sample in self.samples)

    def pixels(self) -> Iterator[tuple[Sample, PixelFacts]]:
        """The samples whose image could be read."""
        return ((sample, facts.pixels) for sample, facts in self if facts.pixels is not None)

    def cells(self) -> Iterator[tuple[Sample, CellFacts]]:
        """The samples whose labels could be read."""
        return ((sample, facts.cells) for sample, facts in self if facts.cells is not None)


def survey_index(index: Index, journal_path: Path, *, workers: int = 1, progress: Progress | None = None) -> Survey:
    """Read every image and label image of an index. Unreadable files are facts, not errors.

    Args:
        index: What to read.
        journal_path: Finished samples are kept in this file, until the caller removes it.
        workers: Number of processes.
        progress: Called after every sample.

    Raises:
        OutputError: The journal cannot be written.
        InputError: A worker process ended by itself.
    """
    keys = {sample: sample_key(sample) for sample in index.samples()}
    with SurveyJournal(journal_path) as journal:
        finished = {sample.id: journal.find(key) for sample, key in keys.items()}
        facts = {name: found for name, found in finished.items() if found is not None}
        todo = [sample for sample in keys if sample.id not in facts]
        workers = max(1, min(workers, len(todo) // IMAGES_PER_WORKER))
        for sample, found in run_parallel(survey_sample, todo, workers):
            journal.add(keys[sample], found)
            facts[sample.id] = found
            if progress is not None:
                progress(len(facts), len(keys))
    return Survey(index, tuple(keys), facts)


def survey_sample(sample: Sample) -> Facts:
    """Read the files of one sample; what cannot be read is said in the facts."""
    pixels, image_error, sha256 = _survey_image(sample)
    um_per_px = pixels.um_per_px if pixels is not None else sample.um_per_px
    cells, labels_error, labels_sha256 = _survey_labels(sample, um_per_px)
    return Facts(sample.id, pixels, image_error, sha256, cells, labels_error, labels_sha256)


def sample_key(sample: Sample) -> str:
    """Changes when the files of a sample change, or what the index says about them."""
    paths = [path for path in (sample.image_path, sample.labels_path) if path is not None]
    text = repr((sample.id, sample.um_per_px, [_stamp(path) for path in paths]))
    return hashlib.sha256(text.encode("utf-8", "surrogateescape")).hexdigest()


def _survey_image(sample: Sample) -> tuple[PixelFacts | None, str, str]:
    try:
        with sample.open() as image:
            return look_at(image), "", hash_path(sample.image_path)
    except InputError as error:
        return None, str(error), ""


def _survey_labels(sample: Sample, um_per_px: PixelSize | None) -> tuple[CellFacts | None, str, str]:
    if sample.labels_path is None:
        return None, "", ""
    try:
        return describe_cells(sample.read_labels(), um_per_px), "", hash_path(sample.labels_path)
    except InputError as error:
        return None, str(error), ""


def _stamp(path: Path) -> tuple[str, int, int]:
    try:
        status = path.stat()
    except OSError:
        return str(path), 0, 0
    return str(path), status.st_size, status.st_mtime_ns
