"""Scores on disk, for people (CSV), machines (JSON) and later work on the same answers (Parquet)."""

import json
from pathlib import Path

import pandas as pd

from organscope.errors import OutputError
from organscope.evaluate.evaluation import Evaluation
from organscope.images.atomic import atomic_path

#: Tables of one row a cell or a copy are too long for people.
PARQUET_ONLY = ("cells", "copies_per_image")


def write_evaluation(evaluation: Evaluation, folder: str | Path) -> list[Path]:
    """Write `scores.json`, `scores.csv`, `per_image.csv`, `per_image.parquet` and each further table.

    Returns:
        The files, in that order. An older evaluation in the folder is replaced file by file.

    Raises:
        OutputError: The folder cannot be made or written.
    """
    folder = Path(folder)
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise OutputError(f"Cannot write to {folder} ({error.strerror}). Choose another folder.") from error
    written = [_write_json(folder / "scores.json", evaluation)]
    written.append(_write_csv(folder / "scores.csv", evaluation.scores))
    written.append(_write_csv(folder / "per_image.csv", evaluation.per_image))
    written.append(_write_parquet(folder / "per_image.parquet", evaluation.per_image))
    for name, table in evaluation.tables.items():
        if name in PARQUET_ONLY:
            written.append(_write_parquet(folder / f"{name}.parquet", table))
        else:
            written.append(_write_csv(folder / f"{name}.csv", table))
    return written


def scores_document(evaluation: Evaluation) -> dict:
    """What `scores.json` says; a figure that is not defined is null."""
    rows = evaluation.scores.astype(object)
    return {
        "task": evaluation.task,
        "bundle": evaluation.bundle,
        "subset": evaluation.subset,
        "data_fingerprint": evaluation.fingerprint,
        "notes": list(evaluation.notes),
        "scores": rows.where(rows.notna(), None).to_dict("records"),
    }


def _write_json(target: Path, evaluation: Evaluation) -> Path:
    with atomic_path(target) as path:
        path.write_text(json.dumps(scores_document(evaluation), indent=2, allow_nan=False) + "\n", "utf-8")
    return target


def _write_csv(target: Path, table: pd.DataFrame) -> Path:
    with atomic_path(target) as path:
        table.to_csv(path, index=False)
    return target


def _write_parquet(target: Path, table: pd.DataFrame) -> Path:
    with atomic_path(target) as path:
        table.to_parquet(path, index=False)
    return target
