"""Files about a whole run: predictions.csv, summary.csv, report.html."""

import json
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import pandas as pd

from organscope.decide import Policy, promise
from organscope.errors import OutputError
from organscope.images.atomic import atomic_path
from organscope.jobs.cell_answer import cells_row
from organscope.jobs.files import FEW_MISSES, POLICY, PREDICTIONS, REPORT, SUMMARY
from organscope.jobs.models import Models
from organscope.jobs.plan import Plan
from organscope.jobs.result import Failure, ImageResult
from organscope.jobs.stored_policy import write_policy
from organscope.ops.pixel_size import PixelSize
from organscope.predict import OperatingPoint

SUMMARY_COLUMNS = (
    "image", "status", "message", "notes", "results", "height_px", "width_px", "um_per_px_y", "um_per_px_x",
    "scale", "scale_source", "n_cells", "median_area_px", "median_area_um2", "organ", "confidence", "decision",
    "reason", "prediction_set", "image_organ", "image_confidence", "cells_organ", "cells_confidence", "agreement",
    "seconds",
)  # fmt: skip

CELL_COLUMNS = ("image_organ", "image_confidence", "cells_organ", "cells_confidence", "agreement")


def write_run_files(
    plan: Plan, models: Models, images: Sequence[ImageResult], failures: Sequence[Failure]
) -> tuple[list[Path], list[Failure]]:
    """Write the files that the loaded bundles call for: those written, and a failure for each that was not."""
    writers: dict[str, Callable[[Path], None]] = {}
    if models.organs is not None:
        writers[PREDICTIONS] = lambda path: write_table(path, predictions_table(images, models))
        writers[POLICY] = lambda path: write_policy(path, models)
    if models.few_misses is not None:
        writers[FEW_MISSES] = lambda path: write_few_misses(path, models.few_misses)
    if models.organs is not None and models.cells is not None:
        # Imported here because only `analyze` makes a page.
        from organscope.jobs.page import write_report

        writers[SUMMARY] = lambda path: write_table(path, summary_table(images, failures))
        writers[REPORT] = lambda path: write_report(path, plan, models, images, failures)
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


def write_few_misses(path: Path, point: OperatingPoint) -> None:
    """Write what the promise of few missed cells rests on, and what it costs.

    Raises:
        OutputError: The folder is not writable or the disk is full.
    """
    with atomic_path(path) as temporary:
        Path(temporary).write_text(json.dumps(point.as_data(), indent=2) + "\n", encoding="utf-8")


def predictions_table(images: Sequence[ImageResult], models: Models) -> pd.DataFrame:
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
    promises = [promise(policy.contract, organ) for organ in organs]
    return {
        "promised_recall": np.array([found.level for found in promises]),
        "false_alarm_rate": np.array([found.false_alarm_rate if found.level else np.nan for found in promises]),
    }


def summary_table(images: Sequence[ImageResult], failures: Sequence[Failure]) -> pd.DataFrame:
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
            "scale": round(image.scale.factor, 4),
            "scale_source": image.scale.source,
            "n_cells": image.n_cells,
            "median_area_px": image.median_area_px,
            "median_area_um2": image.median_area_um2,
            "seconds": round(image.seconds, 3),
        }
        for image in images
    ]
    rows += [{"image": failure.name, "status": "failed", "message": failure.message} for failure in failures]
    named = any(image.cell_answer is not None for image in images)
    table = pd.DataFrame(rows, columns=[name for name in SUMMARY_COLUMNS if named or name not in CELL_COLUMNS])
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
