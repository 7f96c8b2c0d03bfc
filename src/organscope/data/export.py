"""Take the labels of an index out again, in formats that other tools read."""

import json
from collections.abc import Callable, Collection, Iterator
from dataclasses import dataclass, replace
from functools import partial
from os.path import commonpath
from pathlib import Path, PurePosixPath
from typing import TextIO

from organscope.data.index import Index, Problem, Sample
from organscope.errors import DatasetError, InputError, UnknownNameError
from organscope.io import atomic_path, write_labels
from organscope.io.coco import cell_annotation
from organscope.io.geojson import write_geojson_cells
from organscope.io.paths import place_below
from organscope.ops.polygons import cell_regions
from organscope.parallel import run_parallel

_COCO_NAME = "annotations.json"
_UNKNOWN_CATEGORY = "cell"
_Progress = Callable[[int, int], None]


@dataclass(frozen=True)
class ExportReport:
    """What an export wrote.

    Attributes:
        path: The folder, or the COCO file.
        n_images: Images whose labels were written.
        n_cells: Cells in them.
        n_without: Images of the index that have no labels.
        problems: Labels that could not be read.
    """

    path: Path
    n_images: int
    n_cells: int
    n_without: int
    problems: list[Problem]


@dataclass(frozen=True)
class _Exported:
    """One image that was exported: cells as COCO annotations without ids, with their classes, or only their number."""

    n_cells: int
    size_px: tuple[int, int]
    annotations: tuple[dict, ...] = ()
    classes: tuple[str, ...] = ()


def export_labels(
    index: Index,
    out: str | Path,
    format: str,
    *,
    fold: int | Collection[int] | None = None,
    split: str | None = None,
    workers: int = 1,
    progress: _Progress | None = None,
) -> ExportReport:
    """Write the labels of an index as label images, as one COCO file, or as one GeoJSON file an image.

    Outlines follow the edges of the pixels, so that reading them gives back exactly the same cells.

    Args:
        index: The index.
        out: Folder to write to.
        format: "masks" (tiled int32 TIFF), "coco" (`annotations.json`: polygons, run lengths for cells with holes)
            or "geojson" (for QuPath). The last two keep the classes of cells; cells without one have the organ of
            their image as category.
        fold: Only these folds.
        split: Only the delivered "train" or "test" part.
        workers: Number of processes.
        progress: Called with the number of finished images and of all.

    Raises:
        UnknownNameError: There is no such format.
        DatasetError: No image has labels.
        OutputError: The folder is not writable or the disk is full.
    """
    if format not in _FORMATS:
        raise UnknownNameError(f"Expected a format of {', '.join(_FORMATS)}, found {format!r}.")
    out = Path(out)
    place_below(out, "any", "")
    samples = index.samples(fold, split=split)
    labeled = [sample for sample in samples if sample.labels_path is not None]
    if not labeled:
        raise DatasetError("Expected images with labels, found none. Import annotations, or choose other folds.")
    function = partial(_export_sample, out=out, format=format)
    results = _count(run_parallel(function, labeled, workers), len(labeled), progress)
    report = _write_coco(results, labeled, out / _COCO_NAME) if format == "coco" else _tally(results, out)
    return replace(report, n_without=len(samples) - len(labeled))


def _count(results: Iterator, n_all: int, progress: _Progress | None) -> Iterator:
    for n_done, result in enumerate(results, start=1):
        yield result
        if progress is not None:
            progress(n_done, n_all)


def _export_sample(sample: Sample, out: Path, format: str) -> _Exported | Problem:
    try:
        labels = sample.read_labels()
        classes = _classes_by_label(sample)
    except InputError as error:
        return Problem(sample.id, str(error), failed=True)
    return _FORMATS[format](sample, labels, classes, out)


#: Class and color of cells by number.
_Classes = dict[int, tuple[str, str]]


def _classes_by_label(sample: Sample) -> _Classes:
    if sample.classes_path is None:
        return {}
    table = sample.read_classes()
    return dict(zip(table["label"].tolist(), zip(table["class"], table["color"], strict=True), strict=True))


def _export_mask(sample: Sample, labels, classes: _Classes, out: Path) -> _Exported:
    write_labels(place_below(out, sample.id, ".tif"), labels, sample.um_per_px)
    return _Exported(sum(1 for _ in cell_regions(labels)), labels.shape)


def _export_geojson(sample: Sample, labels, classes: _Classes, out: Path) -> _Exported:
    path = place_below(out, sample.id, ".geojson")
    with atomic_path(path) as temporary, temporary.open("w", encoding="utf-8") as stream:
        return _Exported(write_geojson_cells(stream, labels, classes, sample.id), labels.shape)


def _export_coco(sample: Sample, labels, classes: _Classes, out: Path) -> _Exported:
    regions = list(cell_regions(labels))
    cells = tuple(cell_annotation(mask, top, left, labels.shape) for _, top, left, mask in regions)
    names = tuple(classes.get(number, ("", ""))[0] or _category(sample) for number, *_ in regions)
    return _Exported(len(cells), labels.shape, cells, names)


#: Name of the format -> how one sample is exported.
_FORMATS = {"masks": _export_mask, "coco": _export_coco, "geojson": _export_geojson}


def _tally(results: Iterator[tuple[Sample, _Exported | Problem]], out: Path) -> ExportReport:
    done, problems = [], []
    for _, result in results:
        (problems if isinstance(result, Problem) else done).append(result)
    return ExportReport(out, len(done), sum(result.n_cells for result in done), 0, problems)


def _write_coco(
    results: Iterator[tuple[Sample, _Exported | Problem]], samples: list[Sample], path: Path
) -> ExportReport:
    """Cells are written as they come; the images that they belong to follow at the end."""
    names = {name for sample in samples for name in sample.class_names or (_category(sample),)}
    categories = {name: n for n, name in enumerate(sorted(names), start=1)}
    numbers = {sample.id: n for n, sample in enumerate(samples, start=1)}
    root = _common_folder(samples)
    images, problems, n_cells = [], [], 0
    with atomic_path(path) as temporary, temporary.open("w", encoding="utf-8") as stream:
        stream.write('{"annotations": [')
        for sample, result in results:
            if isinstance(result, Problem):
                problems.append(result)
                continue
            for name, annotation in zip(result.classes, result.annotations, strict=True):
                category = categories.setdefault(name, len(categories) + 1)
                links = {"image_id": numbers[sample.id], "category_id": category}
                stream.write((",\n" if n_cells else "\n") + json.dumps({"id": n_cells + 1} | links | annotation))
                n_cells += 1
            images.append(_coco_image(sample, result, numbers[sample.id], root))
        _finish_coco(stream, images, categories)
    return ExportReport(path, len(images), n_cells, 0, problems)


def _finish_coco(stream: TextIO, images: list[dict], categories: dict[str, int]) -> None:
    images.sort(key=lambda image: image["id"])
    named = [{"id": number, "name": name} for name, number in categories.items()]
    stream.write(f'\n],\n"images": {json.dumps(images)},\n"categories": {json.dumps(named)}}}\n')


def _coco_image(sample: Sample, result: _Exported, number: int, root: Path) -> dict:
    file_name = PurePosixPath(sample.image_path.relative_to(root).as_posix())
    height_px, width_px = result.size_px
    return {"id": number, "file_name": str(file_name), "height": height_px, "width": width_px}


def _category(sample: Sample) -> str:
    return sample.organ or _UNKNOWN_CATEGORY


def _common_folder(samples: list[Sample]) -> Path:
    return Path(commonpath([sample.image_path.parent for sample in samples]))
