"""What a run still has to do: what an earlier one has done is known, the rest is small or a slide."""

import shutil
from dataclasses import asdict, dataclass, replace
from pathlib import Path

from organscope import __version__
from organscope.errors import OrganscopeError
from organscope.jobs.attempt import Attempt
from organscope.jobs.files import CELLS_PARQUET, LABELS, ORGAN_MAP, OVERLAY, SLIDE_LABELS
from organscope.jobs.ledger import Ledger, identity_of
from organscope.jobs.models import Models
from organscope.jobs.one_image import Reading
from organscope.jobs.plan import Plan, Target
from organscope.jobs.result import ImageResult
from organscope.jobs.slides import parts_folder
from organscope.jobs.stored_result import result_as_text, result_from_text
from organscope.jobs.streaming import Streaming


@dataclass(frozen=True)
class Sorted:
    """The images of a run.

    Attributes:
        known: Done by an earlier run of the same command, with their results in place.
        small: Worked on whole.
        slides: Worked on by region.
    """

    known: dict[Target, Attempt]
    small: tuple[Target, ...]
    slides: tuple[Target, ...]


def sort_images(
    plan: Plan, models: Models, reading: Reading, streaming: Streaming, workers: int, ledger: Ledger
) -> Sorted:
    """Ask every file for its size and the ledger for what is known of it.

    Raises:
        OutputError: The ledger cannot be written.
    """
    known: dict[Target, Attempt] = {}
    small, slides = [], []
    held_px = streaming.held_px(workers)
    facts = _facts(models, reading)
    of_slides = facts | {"streaming": asdict(streaming), "tile": streaming.tile_px(models, workers)}
    ledger.forget_all_but({target.stem.as_posix() for target in plan.targets})
    for place, target in enumerate(plan.targets):
        stem, parts = target.stem.as_posix(), parts_folder(plan.out, target)
        pixels = _pixels(target.source, reading)
        if pixels is None:
            # Why is said when it is its turn.
            ledger.expect_unreadable(stem, place, str(target.source))
            small.append(target)
            continue
        is_slide = pixels > held_px
        identity = identity_of(target.source, of_slides if is_slide else facts)
        same = ledger.expect(stem, place, str(target.source), identity, pixels)
        stored = ledger.result(stem) if same else ""
        if not same or stored:
            shutil.rmtree(parts, ignore_errors=True)
        if stored and _has_files(plan.out / target.stem, models, is_slide):
            known[target] = Attempt(replace(result_from_text(stored), target=target))
        else:
            (slides if is_slide else small).append(target)
    return Sorted(known, tuple(small), tuple(slides))


def note_attempt(ledger: Ledger, target: Target, attempt: Attempt) -> None:
    """Enter how an image ended that was worked on whole; a full disk is no fault of the image."""
    stem, outcome = target.stem.as_posix(), attempt.outcome
    if isinstance(outcome, ImageResult):
        ledger.finish(stem, result_as_text(outcome))
    elif not attempt.hopeless:
        ledger.quarantine(stem, outcome.message, outcome.trace)


def _facts(models: Models, reading: Reading) -> dict[str, object]:
    """All that a result depends on beside the image."""
    bundles = {bundle.manifest.name: bundle.sha256 for bundle in models.loaded()}
    return {
        "version": __version__,
        "bundles": bundles,
        "reading": asdict(reading),
        "rules": repr(models.rules),
        "few_misses": repr(models.few_misses),
    }


def _pixels(source: Path, reading: Reading) -> int | None:
    """Pixels of an image; None where it cannot be opened."""
    try:
        with reading.open(source) as image:
            return image.height_px * image.width_px
    except OrganscopeError:
        return None


def _has_files(folder: Path, models: Models, is_slide: bool) -> bool:
    names = []
    if models.cells is not None:
        names += [CELLS_PARQUET, OVERLAY, SLIDE_LABELS if is_slide else LABELS]
    if models.organs is not None and is_slide:
        names.append(ORGAN_MAP)
    return all((folder / name).is_file() for name in names)
