"""The results of a run as the page of the report shows them."""

from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path

import numpy as np

from organscope import __version__
from organscope.bundle import Bundle
from organscope.jobs.files import OVERLAY
from organscope.jobs.models import Models
from organscope.jobs.plan import Plan
from organscope.jobs.result import Failure, ImageResult
from organscope.predict import Classification
from organscope.report.page import BundleEntry, FailureEntry, ImageEntry, OrganEntry, Page, write_page

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
        images=[_image_entry(plan.out, image) for image in images],
        failures=[FailureEntry(failure.name, failure.message) for failure in failures],
        bundles=[_bundle_entry(bundle) for bundle in models.loaded()],
    )
    write_page(path, page)


def _image_entry(out: Path, image: ImageResult) -> ImageEntry:
    known = image.um_per_px is not None
    return ImageEntry(
        name=str(image.target.source),
        overlay=out / image.target.stem / OVERLAY,
        height_px=image.height_px,
        width_px=image.width_px,
        um_per_px=image.um_per_px,
        areas=image.areas_px * (image.um_per_px**2 if known else 1.0),
        area_unit="µm²" if known else "px",
        organ=_organ_entry(image.classification),
    )


def _organ_entry(classified: Classification) -> OrganEntry:
    decision = classified.decision
    order = np.argsort(-classified.probabilities, kind="stable")[:TOP_ORGANS]
    return OrganEntry(
        organ=classified.organs[decision.organ_index],
        confidence=float(decision.confidence),
        accepted=decision.decision == "accept",
        reason=decision.reason,
        probabilities=tuple((classified.organs[i], float(classified.probabilities[i])) for i in order),
    )


def _bundle_entry(bundle: Bundle) -> BundleEntry:
    manifest = bundle.manifest
    return BundleEntry(manifest.name, manifest.version, manifest.spec.task, manifest.licence, manifest.summary)
