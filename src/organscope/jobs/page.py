"""The results of a run as the page of the report shows them."""

from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path

import numpy as np

from organscope import __version__
from organscope.bundle import Bundle
from organscope.decide import promise, promise_in_words
from organscope.jobs.files import CELL_MAP, EVIDENCE, ORGAN_MAP, OVERLAY
from organscope.jobs.models import Models
from organscope.jobs.plan import Plan
from organscope.jobs.result import Failure, ImageResult
from organscope.ops.pixel_size import pixel_area_um2
from organscope.predict import Classification
from organscope.predict.classify import EVIDENCE as EVIDENCE_OUTPUT
from organscope.report.cell_map import COLOURS, OTHER, rank_organs
from organscope.report.page import (
    BundleEntry,
    CellsEntry,
    CellShare,
    FailureEntry,
    ImageEntry,
    OrganEntry,
    OrganMapEntry,
    Page,
    write_page,
)

TOP_ORGANS = 5


def write_report(
    path: Path, plan: Plan, models: Models, images: Sequence[ImageResult], failures: Sequence[Failure]
) -> None:
    """Write `report.html` from the results of a run.

    Raises:
        OutputError: The folder is not writable or the disk is full.
    """
    page = Page(
        created=datetime.now(UTC),
        organscope_version=__version__,
        images=[_image_entry(plan.out, image, models) for image in images],
        failures=[FailureEntry(failure.name, failure.message) for failure in failures],
        bundles=[_bundle_entry(bundle) for bundle in models.loaded()],
        promise=() if models.rules.promise is None else promise_in_words(models.rules.promise),
    )
    write_page(path, page)


def _image_entry(out: Path, image: ImageResult, models: Models) -> ImageEntry:
    folder = out / image.target.stem
    is_slide = image.fields_by_organ is not None
    shows_evidence = EVIDENCE_OUTPUT in models.organs.manifest.graph.outputs and not is_slide
    return ImageEntry(
        name=str(image.target.source),
        overlay=folder / OVERLAY,
        height_px=image.height_px,
        width_px=image.width_px,
        um_per_px=image.um_per_px,
        areas=image.areas_px * (1.0 if image.um_per_px is None else pixel_area_um2(image.um_per_px)),
        area_unit="px" if image.um_per_px is None else "µm²",
        organ=_organ_entry(image.classification, models),
        cells=None if image.cell_answer is None else _cells_entry(folder / CELL_MAP, image, models),
        evidence=folder / EVIDENCE if shows_evidence else None,
        organ_map=_organ_map_entry(folder / ORGAN_MAP, image, models) if is_slide else None,
        cell_count=image.cell_count,
        notes=image.notes,
    )


def _organ_map_entry(picture: Path, image: ImageResult, models: Models) -> OrganMapEntry:
    return OrganMapEntry(picture, _shares(models.organs.manifest.classes, image.fields_by_organ))


def _organ_entry(classified: Classification, models: Models) -> OrganEntry:
    policy, asked, decision = models.policy, models.rules.promise, classified.decision
    order = np.argsort(-classified.probabilities, kind="stable")[:TOP_ORGANS]
    organ = classified.organs[decision.organ_index]
    return OrganEntry(
        organ=organ,
        confidence=float(decision.confidence),
        accepted=decision.decision == "accept",
        reason=decision.reason,
        probabilities=tuple((classified.organs[i], float(classified.probabilities[i])) for i in order),
        prediction_set=tuple(classified.organs[i] for i in decision.prediction_set),
        coverage=0.0 if policy.conformal is None else policy.conformal.coverage,
        promise=()
        if policy.contract is None or asked is not None
        else promise_in_words(promise(policy.contract, organ)),
        must_find="" if asked is None else asked.organ,
        flagged=bool(decision.flagged),
    )


def _cells_entry(picture: Path, image: ImageResult, models: Models) -> CellsEntry:
    cells = image.cell_answer
    return CellsEntry(
        picture=picture,
        organ=cells.organ,
        confidence=0.0 if cells.decision is None else float(cells.decision.confidence),
        accepted=cells.decision is not None and cells.decision.decision == "accept",
        agreement=cells.agreement,
        shares=_shares(cells.organs, cells.counts),
        image_organ=cells.image_organ,
        image_confidence=cells.image_confidence,
        help_to_decide=models.together is not None,
    )


def _shares(organs: Sequence[str], counts: np.ndarray) -> tuple[CellShare, ...]:
    """The most frequent organs in their colours, then all others together."""
    ranked = rank_organs(counts)
    shares = [
        CellShare(organs[organ], int(counts[organ]), colour) for organ, colour in zip(ranked, COLOURS, strict=False)
    ]
    others = np.setdiff1d(np.flatnonzero(counts), ranked)
    if others.size:
        shares.append(CellShare(f"{others.size} others", int(counts[others].sum()), OTHER))
    return tuple(shares)


def _bundle_entry(bundle: Bundle) -> BundleEntry:
    manifest = bundle.manifest
    return BundleEntry(manifest.name, manifest.version, manifest.spec.task, manifest.licence, manifest.summary)
