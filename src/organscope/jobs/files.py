"""Names of the files a run writes, and how the files of one image appear together."""

import re
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from organscope.errors import OutputError

LABELS = "labels.tif"
CELLS_CSV = "cells.csv"
CELLS_PARQUET = "cells.parquet"
CELLS_GEOJSON = "cells.geojson"
OVERLAY = "overlay.png"
CELL_MAP = "cell_organs.png"
EVIDENCE = "evidence.png"
SLIDE_LABELS = "labels.ome.tif"
SLIDE_LABELS_ZARR = "labels.ome.zarr"
SLIDE_GEOJSON = re.compile(r"cells-\d{4,}\.geojson\.gz")
ORGAN_MAP = "organ_map.png"
ORGAN_MAP_ZARR = "organ_map.ome.zarr"
IMAGE_FILES = (
    LABELS, CELLS_CSV, CELLS_PARQUET, CELLS_GEOJSON, OVERLAY, CELL_MAP, EVIDENCE,
    SLIDE_LABELS, SLIDE_LABELS_ZARR, ORGAN_MAP, ORGAN_MAP_ZARR,
)  # fmt: skip
PICTURES = (LABELS, OVERLAY, CELL_MAP, EVIDENCE, SLIDE_LABELS, SLIDE_LABELS_ZARR, ORGAN_MAP, ORGAN_MAP_ZARR)

PREDICTIONS = "predictions.csv"
SUMMARY = "summary.csv"
REPORT = "report.html"
POLICY = "policy.json"
DECISIONS = "decisions.csv"
FEW_MISSES = "few_misses.json"
TRIAL_PREFIX = ".organscope-"
"""Of the file that tries whether an output folder can be written."""
RUN_FILES = (PREDICTIONS, SUMMARY, REPORT, POLICY, DECISIONS, FEW_MISSES)


def is_result_file(path: Path) -> bool:
    """Whether a picture is the result of an earlier run, so that a folder can be its own output folder."""
    beside = (CELLS_PARQUET, ORGAN_MAP_ZARR)
    return path.name in PICTURES and any((path.parent / name).exists() for name in beside)


@contextmanager
def result_folder(target: Path) -> Iterator[Path]:
    """A folder to write one image's results into; they appear in `target` together, or not at all.

    The temporary folder lies beside the target, so that the final rename stays on one disk. What an
    interrupted run left there is removed first. An existing target keeps everything but its old results: it
    may hold the results of images below a folder of the same name.

    Raises:
        OutputError: The disk is full or a folder is not writable; the target is as it was.
    """
    partial = target.with_name(f".{target.name}.partial")
    try:
        _make_empty(partial)
        yield partial
        _publish(partial, target)
    except OSError as error:
        raise OutputError(
            f"Expected to write results to {target}, found: {error.strerror or error}. "
            "Free space on the disk or choose another folder with -o."
        ) from error
    finally:
        shutil.rmtree(partial, ignore_errors=True)


def remove_halves(out: Path) -> None:
    """Remove files about a run that a killed run left half written."""
    for pattern in (".partial-*", f"{TRIAL_PREFIX}*"):
        for path in out.glob(pattern):
            path.unlink(missing_ok=True)


def _make_empty(folder: Path) -> None:
    if folder.exists():
        shutil.rmtree(folder)
    folder.mkdir(parents=True)


def _publish(partial: Path, target: Path) -> None:
    if not target.exists():
        partial.rename(target)
        return
    for path in target.iterdir():
        if path.name in IMAGE_FILES or SLIDE_GEOJSON.fullmatch(path.name):
            _remove(path)
    for path in sorted(partial.iterdir()):
        path.replace(target / path.name)


def _remove(path: Path) -> None:
    if path.is_dir():
        shutil.rmtree(path)
    else:
        path.unlink()
