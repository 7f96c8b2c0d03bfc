"""Which image goes to which folder, found out before any work starts.

Names of the files a run writes, and how the files of one image appear together.
"""

import re
import shutil
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from organscope.errors import OutputError, UsageError
from organscope.io import image_files

LABELS = "labels.tif"
_CELLS_CSV = "cells.csv"
CELLS_PARQUET = "cells.parquet"
CELLS_GEOJSON = "cells.geojson"
OVERLAY = "overlay.png"
CELL_MAP = "cell_organs.png"
KIND_MAP = "cell_kinds.png"
EVIDENCE = "evidence.png"
SLIDE_LABELS = "labels.ome.tif"
SLIDE_LABELS_ZARR = "labels.ome.zarr"
SLIDE_GEOJSON = re.compile(r"cells-\d{4,}\.geojson\.gz")
ANNDATA = "cells.h5ad"
MAPS_ZARR = "maps.ome.zarr"
ROI_CELLS_CSV, ROI_CELLS_PARQUET = "roi_cells.csv", "roi_cells.parquet"
TISSUE = "tissue.geojson"
SPATIALDATA = "cells.spatialdata.zarr"
ORGAN_MAP = "organ_map.png"
ORGAN_MAP_ZARR = "organ_map.ome.zarr"
_IMAGE_FILES = (
    LABELS, _CELLS_CSV, CELLS_PARQUET, CELLS_GEOJSON, OVERLAY, CELL_MAP, KIND_MAP, EVIDENCE,
    SLIDE_LABELS, SLIDE_LABELS_ZARR, ORGAN_MAP, ORGAN_MAP_ZARR,
    ANNDATA, SPATIALDATA, MAPS_ZARR, ROI_CELLS_CSV, ROI_CELLS_PARQUET, TISSUE,
)  # fmt: skip
_IMAGES = (
    LABELS, OVERLAY, CELL_MAP, KIND_MAP, EVIDENCE, SLIDE_LABELS, SLIDE_LABELS_ZARR, ORGAN_MAP, ORGAN_MAP_ZARR,
    SPATIALDATA, MAPS_ZARR,
)  # fmt: skip

PREDICTIONS = "predictions.csv"
SUMMARY = "summary.csv"
REPORT = "report.html"
POLICY = "policy.json"
DECISIONS = "decisions.csv"
FEW_MISSES = "few_misses.json"
KINDS = "cell_kinds.csv"
IHC = "ihc.csv"
ROIS = "rois.csv"
_TRIAL_PREFIX = ".organscope-"
"""Of the file that tries whether an output folder can be written."""
_RUN_FILES = (PREDICTIONS, SUMMARY, REPORT, POLICY, DECISIONS, FEW_MISSES, ROIS, KINDS, IHC)


def is_result_file(path: Path) -> bool:
    """Whether an image is the result of an earlier run, so that a folder can be its own output folder."""
    beside = (CELLS_PARQUET, ORGAN_MAP_ZARR)
    return path.name in _IMAGES and any((path.parent / name).exists() for name in beside)


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


def remove_partial_outputs(out: Path) -> None:
    """Remove files about a run that a killed run left half written."""
    for pattern in (".partial-*", f"{_TRIAL_PREFIX}*"):
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
        if path.name in _IMAGE_FILES or SLIDE_GEOJSON.fullmatch(path.name):
            _remove(path)
    for path in sorted(partial.iterdir()):
        path.replace(target / path.name)


def _remove(path: Path) -> None:
    if path.is_dir():
        shutil.rmtree(path)
    else:
        path.unlink()


@dataclass(frozen=True)
class Target:
    """One image and where its results go.

    Attributes:
        source: The image, as the person named it or as it was found below a folder.
        stem: Path of the result folder below the output folder: the image's own path without its suffix.
    """

    source: Path
    stem: Path


@dataclass(frozen=True)
class Plan:
    """Everything a run will do.

    Attributes:
        out: The output folder; it need not exist yet.
        targets: One entry an image, in the order of the work; no two share a stem.
    """

    out: Path
    targets: tuple[Target, ...]


def plan_run(inputs: Sequence[str | Path], out: str | Path) -> Plan:
    """Expand folders into images and give each its target; nothing is written.

    Results of an earlier run inside an input folder are not images to work on.

    Raises:
        UsageError: No image was found, an input does not exist, two images have one target, or a target has
            the name of a file that the run itself writes.
    """
    targets = tuple(Target(path, Path(stem)) for path, stem in image_files(inputs) if not is_result_file(path))
    if not targets:
        names = ", ".join(str(name) for name in inputs)
        raise UsageError(f"Expected at least one image, found none in {names}. Name image files or a folder of images.")
    for target in targets:
        if target.stem.parts[0] in _RUN_FILES:
            raise UsageError(
                f"{target.source} would write to '{target.stem}', which is the name of a result file. Rename the image."
            )
    return Plan(Path(out), targets)


def prepare_output(out: Path) -> None:
    """Make the output folder and try to write in it.

    Raises:
        OutputError: It cannot be made or written; says why.
    """
    try:
        out.mkdir(parents=True, exist_ok=True)
        with tempfile.NamedTemporaryFile(dir=out, prefix=_TRIAL_PREFIX, suffix=".tmp"):
            pass
    except OSError as error:
        raise OutputError(
            f"Expected an output folder that can be written, found {out}: {error.strerror or error}. "
            "Choose another folder with -o, or change its permissions."
        ) from error
