"""Files about a whole run: predictions.csv, summary.csv, report.html.

The results of a run as the page of the report shows them.
"""

import json
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import pandas as pd

from organscope import __version__
from organscope.decision import Policy, describe_guarantee, recall_guarantee
from organscope.decision.trust import CellsTrust
from organscope.errors import OutputError
from organscope.inference import Classification, OperatingPoint
from organscope.inference.classify import EVIDENCE as EVIDENCE_OUTPUT
from organscope.io.geojson import class_color
from organscope.io.paths import atomic_path
from organscope.models import Bundle
from organscope.ops.pixel_size import PixelSize, pixel_area_um2
from organscope.pipeline.ihc import dab_table
from organscope.pipeline.kind_counts import kinds_table
from organscope.pipeline.models import Models
from organscope.pipeline.plan import (
    CELL_MAP,
    EVIDENCE,
    FEW_MISSES,
    IHC,
    KIND_MAP,
    KINDS,
    ORGAN_MAP,
    OVERLAY,
    POLICY,
    PREDICTIONS,
    REPORT,
    SUMMARY,
    Plan,
)
from organscope.pipeline.results import Failure, ImageResult, cells_row, write_policy
from organscope.reporting.overlays import COLORS, OTHER, rank_organs
from organscope.reporting.run_report import (
    BundleEntry,
    CellsEntry,
    CellShare,
    FailureEntry,
    ImageEntry,
    KindBar,
    KindsEntry,
    OrganEntry,
    OrganMapEntry,
    Page,
    write_page,
)

TRUST_COLUMNS = tuple(CellsTrust("ok").row())

_SUMMARY_COLUMNS = (
    "image", "status", "message", "notes", "results", "height_px", "width_px", "um_per_px_y", "um_per_px_x",
    "scale", "scale_source", *TRUST_COLUMNS, "n_cells", "median_area_px", "median_area_um2", "organ", "confidence",
    "decision", "reason", "prediction_set", "image_organ", "image_confidence", "cells_organ", "cells_confidence",
    "agreement", "seconds",
)  # fmt: skip

CELL_COLUMNS = ("image_organ", "image_confidence", "cells_organ", "cells_confidence", "agreement")


def write_run_files(
    plan: Plan, models: Models, images: Sequence[ImageResult], failures: Sequence[Failure]
) -> tuple[list[Path], list[Failure]]:
    """Write the files that the loaded bundles call for: those written, and a failure for each that was not."""
    writers: dict[str, Callable[[Path], None]] = {}
    if models.organs is not None:
        writers[PREDICTIONS] = lambda path: write_table(path, _predictions_table(images, models))
        writers[POLICY] = lambda path: write_policy(path, models)
    if models.few_misses is not None:
        writers[FEW_MISSES] = lambda path: _write_few_misses(path, models.few_misses)
    positive = [{"image": str(image.target.source)} | image.dab.row() for image in images if image.dab is not None]
    if positive:
        writers[IHC] = lambda path: write_table(path, dab_table(positive))
    if models.cell_kinds is not None:
        rows = [{"image": str(image.target.source)} | row for image in images for row in image.kind_rows]
        writers[KINDS] = lambda path: write_table(path, kinds_table(rows))
    if models.organs is not None and models.has_cells:
        # Imported here because only `analyze` makes a page.

        writers[SUMMARY] = lambda path: write_table(path, _summary_table(images, failures))
        writers[REPORT] = lambda path: _write_report(path, plan, models, images, failures)
    written, unwritten = [], []
    for name, write in writers.items():
        try:
            write(plan.out / name)
            written.append(plan.out / name)
        except OutputError as error:
            unwritten.append(Failure(str(plan.out / name), str(error)))
    return written, unwritten


def um_per_px_columns(um_per_px: PixelSize | None) -> dict[str, float | None]:
    """A pixel size as the two columns of a table."""
    height, width = um_per_px or (None, None)
    return {"um_per_px_y": height, "um_per_px_x": width}


def _write_few_misses(path: Path, point: OperatingPoint) -> None:
    """Write what the promise of few missed cells rests on, and what it costs.

    Raises:
        OutputError: The folder is not writable or the disk is full.
    """
    with atomic_path(path) as temporary:
        Path(temporary).write_text(json.dumps(point.as_data(), indent=2) + "\n", encoding="utf-8")


def _predictions_table(images: Sequence[ImageResult], models: Models) -> pd.DataFrame:
    """One row an image: the answer, what `organscope decide` needs, then `p_<organ>` for every organ.

    `promised_recall` and `false_alarm_rate` are what the contract says of the organ that was answered.
    `flagged` is only there where an organ was named that must not be missed.
    """
    rows = []
    organs = models.organs.manifest.classes
    promised = promised_columns(models.policy, organs)
    for image in images:
        classified = image.classification
        probabilities = zip(classified.organs, classified.probabilities, strict=True)
        decision = classified.decision
        stored = {"distance": decision.distance, "doubt": decision.doubt, "flagged": decision.flagged}
        of_answer = {name: values[decision.organ_index] for name, values in promised.items()}
        rows.append(_answer(image) | of_answer | stored | {f"p_{organ}": float(p) for organ, p in probabilities})
    flagged = ["flagged"] if any(row["flagged"] is not None for row in rows) else []
    columns = ["image", "organ", "confidence", "decision", "reason", "prediction_set", *promised, *flagged]
    columns += ["distance", "doubt", *(f"p_{organ}" for organ in organs)]
    return pd.DataFrame(rows, columns=columns)


def promised_columns(policy: Policy, organs: Sequence[str]) -> dict[str, np.ndarray]:
    """`promised_recall` and `false_alarm_rate` of each class, at the recall that is asked for by default.

    Nothing where the bundle has no contract; not-a-number for the price where nothing is known of it.
    """
    if policy.contract is None:
        return {}
    promises = [recall_guarantee(policy.contract, organ) for organ in organs]
    return {
        "promised_recall": np.array([found.level for found in promises]),
        "false_alarm_rate": np.array([found.false_alarm_rate if found.level else np.nan for found in promises]),
    }


def _summary_table(images: Sequence[ImageResult], failures: Sequence[Failure]) -> pd.DataFrame:
    """One row an image, first those that were finished, then those that failed with the reason.

    The columns of the cells' answer are left out where no bundle named their organs.
    """
    rows = [
        {
            **_answer(image),
            **({} if image.cell_answer is None else cells_row(image.cell_answer)),
            "status": "done",
            "notes": " ".join(image.notes),
            "results": image.target.stem.as_posix(),
            "height_px": image.height_px,
            "width_px": image.width_px,
            **um_per_px_columns(image.um_per_px),
            "scale": None if image.scale is None else round(image.scale.factor, 4),
            "scale_source": None if image.scale is None else image.scale.source,
            **({} if image.trust is None else image.trust.row()),
            "n_cells": image.n_cells,
            "median_area_px": image.median_area_px,
            "median_area_um2": image.median_area_um2,
            "seconds": round(image.seconds, 3),
        }
        for image in images
    ]
    rows += [{"image": failure.name, "status": "failed", "message": failure.message} for failure in failures]
    named = any(image.cell_answer is not None for image in images)
    judged = any(image.trust is not None for image in images)
    left_out = {*(() if named else CELL_COLUMNS), *(() if judged else TRUST_COLUMNS)}
    table = pd.DataFrame(rows, columns=[name for name in _SUMMARY_COLUMNS if name not in left_out])
    whole = {"height_px": "Int64", "width_px": "Int64", "n_cells": "Int64"}
    return table.astype(whole)


def write_table(path: Path, table: pd.DataFrame) -> None:
    """Write a table as CSV; a file name that is no valid text is written with question marks.

    Raises:
        OutputError: The folder is not writable or the disk is full.
    """
    with atomic_path(path) as temporary:
        table.to_csv(temporary, index=False, encoding="utf-8", errors="replace")


def _answer(image: ImageResult) -> dict[str, object]:
    classified = image.classification
    decision = classified.decision
    return {
        "image": str(image.target.source),
        "organ": classified.organs[decision.organ_index],
        "confidence": float(decision.confidence),
        "decision": decision.decision,
        "reason": decision.reason,
        "prediction_set": "; ".join(classified.organs[number] for number in decision.prediction_set),
    }


_TOP_ORGANS = 5


def _write_report(
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
        promise=() if models.rules.promise is None else describe_guarantee(models.rules.promise),
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
        kinds=None if image.kinds is None else _kinds_entry(folder / KIND_MAP, image),
        dab=None if image.dab is None else image.dab.row(),
    )


def _kinds_entry(picture: Path, image: ImageResult) -> KindsEntry:
    bars = tuple(KindBar(color=class_color(row["kind"]), **row) for row in image.kind_rows)
    return KindsEntry(picture, bars, image.kinds.not_sure, image.kinds.sentence)


def _organ_map_entry(picture: Path, image: ImageResult, models: Models) -> OrganMapEntry:
    return OrganMapEntry(picture, _shares(models.organs.manifest.classes, image.fields_by_organ))


def _organ_entry(classified: Classification, models: Models) -> OrganEntry:
    policy, asked, decision = models.policy, models.rules.promise, classified.decision
    order = np.argsort(-classified.probabilities, kind="stable")[:_TOP_ORGANS]
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
        else describe_guarantee(recall_guarantee(policy.contract, organ)),
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
    """The most frequent organs in their colors, then all others together."""
    ranked = rank_organs(counts)
    shares = [CellShare(organs[organ], int(counts[organ]), color) for organ, color in zip(ranked, COLORS, strict=False)]
    others = np.setdiff1d(np.flatnonzero(counts), ranked)
    if others.size:
        shares.append(CellShare(f"{others.size} others", int(counts[others].sum()), OTHER))
    return tuple(shares)


def _bundle_entry(bundle: Bundle) -> BundleEntry:
    manifest = bundle.manifest
    return BundleEntry(manifest.name, manifest.version, manifest.spec.task, manifest.licence, manifest.summary)
