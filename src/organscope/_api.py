"""The public face: what `import organscope as osc` offers, loaded when first used.

One function for each thing that a person asks for; what they return can be looked at, decided again and saved. Arrays,
paths, addresses and `Image` are accepted wherever an image is.
"""

import json
import os
from collections.abc import Callable, Collection, Mapping, Sequence
from functools import lru_cache
from inspect import signature
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

import numpy as np
import pandas as pd

from organscope.data.index import Index, read_index
from organscope.decision.costs import CostsLike
from organscope.errors import UsageError
from organscope.evaluation import Evaluation, evaluate_bundle, write_evaluation
from organscope.evaluation.compare_models import compare_models, write_comparison
from organscope.evaluation.comparison import Comparison, find_models, seen_images
from organscope.inference import Sizing, require_diameter
from organscope.io import Image, open_image
from organscope.io.geojson import write_geojson
from organscope.io.image import image_from_array
from organscope.models import Bundle, list_bundles, load_bundle
from organscope.models.bundle import find_bundle
from organscope.pipeline import (
    Listener,
    Models,
    ReadOptions,
    Redecision,
    RunResult,
    Streaming,
    WorkerConfig,
    at_operating_point,
    decide_again,
    load_models,
    memory_from_text,
    plan_run,
    prepare_output,
    run_plan,
    with_cell_kinds,
    with_rules,
)
from organscope.pipeline.analysis import Analysis, Answered, OrganPrediction, Segmentation, answer_now
from organscope.pipeline.extras import write_extras
from organscope.pipeline.given_labels import require_labels
from organscope.pipeline.ihc import DabSettings, dab_settings
from organscope.pipeline.measures import require_measures
from organscope.pipeline.models import CLASSIFICATION, SEGMENTATION
from organscope.pipeline.rois import require_rois
from organscope.pipeline.spatial import require_spatial

if TYPE_CHECKING:
    from organscope.training.teaching import Taught

Model = Bundle
Dataset = Index

_ImageLike = str | os.PathLike | np.ndarray | Image
_ModelLike = str | os.PathLike | Bundle

_TASKS = {"analyze": (SEGMENTATION, CLASSIFICATION), "segment": (SEGMENTATION,), "classify": (CLASSIFICATION,)}


def read_image(source: _ImageLike, **options: Any) -> Image:
    """Open an image of any kind; pixels are read later, by region.

    Args:
        source: A path or an address (https, s3, gs), an array as for `Image.from_array`, or an `Image`.
        **options: `um_per_px`, `channel`, ...: those of `Image.from_array` for an array, else those of
            `organscope.io.open_image`.

    Raises:
        UsageError: It is no image, or an option is unknown.
        ImageReadError: The file is missing, damaged or no image.
        ShapeError: The array has another shape than (y, x) or (y, x, channels).

    Examples:
        >>> read_image(np.zeros((64, 48), np.uint8), um_per_px=0.5).um_per_px is not None
        True
    """
    if isinstance(source, Image):
        if options:
            raise UsageError(
                f"Expected no options for an image that is open, found {', '.join(options)}. Give them to read_image."
            )
        return source
    if isinstance(source, str | os.PathLike):
        _require_known(options, open_image, "a file")
        return open_image(source if isinstance(source, str) else Path(source), **options)
    if _is_array(source):
        _require_known(options, image_from_array, "an array")
        return image_from_array(source, **options)
    raise UsageError(_no_image(source))


def segment(
    image: _ImageLike,
    *,
    model: _ModelLike | None = None,
    cell_kinds: _ModelLike | None = None,
    diameter_px: float | None = None,
    min_cell_recall: float | None = None,
    measures: Sequence[str] | str = (),
    dab_threshold: float | None = None,
    dab_in: str | None = None,
    **options: Any,
) -> Segmentation:
    """Find every cell.

    Args:
        image: See `read_image`.
        model: Name, path or `Model` for segmentation; `nuclei` of the package where None.
        cell_kinds: Name, path or `Model` that names the kind of each cell: `cell-kinds`, or what `teach` made.
        diameter_px: Typical diameter of the cells; estimated where None.
        min_cell_recall: Share of the cells to find, such as .98: fainter ones are kept too, the price is in `notes`.
        measures: More than shape and intensity: `texture`, `stain`, `neighbors`; see docs/measures.md.
        dab_threshold: Optical density of DAB from which a cell is positive (usual: .2); see `Segmentation.dab`.
        dab_in: Where it is measured: `nucleus` or `ring`.
        **options: Of `read_image`.

    Returns:
        Label image, table and outlines of the cells.

    Raises:
        UsageError: An argument is wrong; nothing was started.
        InputError: The image cannot be used.
        BundleError: The model cannot be used.
    """
    models = with_cell_kinds(_models((SEGMENTATION,), model), cell_kinds, load=load_model)
    models = at_operating_point(models, _share("min_cell_recall", min_cell_recall))
    return Segmentation(
        _answered(image, models, diameter_px, options, measures=measures, dab=dab_settings(dab_threshold, dab_in))
    )


def classify(
    image: _ImageLike,
    *,
    model: _ModelLike | None = None,
    costs: CostsLike | None = None,
    target_class: str | None = None,
    min_recall: float | None = None,
    **options: Any,
) -> OrganPrediction:
    """Name the organ, or abstain and say why.

    Args:
        image: See `read_image`.
        model: Name, path or `Model` for classification; `organs` of the package where None.
        costs: See `decide`; so are `target_class` and `min_recall`.
        target_class: Organ that must not be missed.
        min_recall: Recall to promise for it, in (0, 1).
        **options: Of `read_image`.

    Raises:
        UsageError: An argument is wrong; nothing was started.
        InputError: The image cannot be used.
        BundleError: The model cannot be used.
    """
    models = with_rules(_models((CLASSIFICATION,), model), positive=target_class, min_recall=min_recall, costs=costs)
    return OrganPrediction(_answered(image, models, None, options))


def analyze(
    image: _ImageLike,
    *,
    models: _ModelLike | Sequence[_ModelLike] = (),
    labels: Any = None,
    cell_kinds: _ModelLike | None = None,
    measures: Sequence[str] | str = (),
    dab_threshold: float | None = None,
    dab_in: str | None = None,
    diameter_px: float | None = None,
    min_cell_recall: float | None = None,
    costs: CostsLike | None = None,
    target_class: str | None = None,
    min_recall: float | None = None,
    **options: Any,
) -> Analysis:
    """Find every cell and name the organ, jointly, in memory; nothing is written before `Analysis.save`.

    Args:
        image: See `read_image`.
        models: Names, paths or `Model`s in place of `nuclei`, `organs` and `cell-organs` of the package.
        labels: The cells, as for `measure`, where they are not to be searched for.
        measures: See `segment`.
        cell_kinds: See `segment`.
        dab_threshold: See `segment`; so is `dab_in`.
        dab_in: `nucleus` or `ring`.
        diameter_px: See `segment`; so is `min_cell_recall`.
        min_cell_recall: Share of the cells to find.
        costs: See `decide`; so are `target_class` and `min_recall`.
        target_class: Organ that must not be missed.
        min_recall: Recall to promise for it, in (0, 1).
        **options: Of `read_image`.

    Raises:
        UsageError: An argument is wrong; nothing was started.
        InputError: The image cannot be used.
        BundleError: A model cannot be used.
    """
    _require_search(labels, diameter_px, min_cell_recall)
    loaded = _models((SEGMENTATION, CLASSIFICATION), models, cells_given=labels is not None)
    loaded = with_cell_kinds(loaded, cell_kinds, load=load_model)
    loaded = with_rules(loaded, positive=target_class, min_recall=min_recall, costs=costs)
    loaded = at_operating_point(loaded, _share("min_cell_recall", min_cell_recall))
    return Analysis(
        _answered(image, loaded, diameter_px, options, labels, measures, dab_settings(dab_threshold, dab_in))
    )


def measure(image: _ImageLike, labels: Any, *, measures: Sequence[str] | str = (), **options: Any) -> Segmentation:
    """Measure cells that another tool or a person outlined, without a network.

    Args:
        image: See `read_image`.
        labels: Label image (y, x) of the image's size: 0 is background, every other number a cell; numbers stay as
            they are. From Cellpose, StarDist, napari, `read_labels`, ...
        measures: See `segment`.
        **options: Of `read_image`.

    Returns:
        Table and outlines of the cells, as from `segment`, without a probability.

    Raises:
        UsageError: The labels are a mask of true and false, or no numbers.
        ShapeError: They have another size than the image.
        ValueRangeError: They are negative or no whole numbers.
        InputError: The image cannot be used.

    Examples:
        >>> cells = np.zeros((8, 8), np.uint16)
        >>> cells[2:5, 3:6] = 7
        >>> measure(np.zeros((8, 8), np.uint8), cells).table["area_px"].tolist()
        [9]
    """
    return Segmentation(_answered(image, Models(cells_given=True), None, options, labels, measures))


def decide(
    result: "Analysis | OrganPrediction | str | os.PathLike",
    *,
    costs: CostsLike | None = None,
    target_class: str | None = None,
    min_recall: float | None = None,
) -> "Analysis | OrganPrediction | Redecision":
    """Decide again at other costs, without running a network.

    Args:
        result: What `analyze` or `classify` returned, or the output folder of a run, whose `decisions.csv` is written.
        costs: `{"melanoma": 20}` makes missing a melanoma 20 times worse than any other mistake; also the keys
            `mistake`, `abstain`, `miss`, `pair`, or a file with them (TOML) or with a matrix (CSV).
        target_class: Organ that must not be missed; images that may show it are flagged.
        min_recall: Recall to promise for it, in (0, 1); .95 where None.

    Returns:
        A new result of the same kind; for a folder the table of decisions and the promise.

    Raises:
        UsageError: An organ is unknown, the costs have a fault, or nothing can be promised.
        DatasetError: The folder holds no predictions.
    """
    if isinstance(result, Analysis | OrganPrediction):
        return result.decide(costs=costs, target_class=target_class, min_recall=min_recall)
    if isinstance(result, str | os.PathLike):
        return decide_again(Path(result), positive=target_class, min_recall=min_recall, costs=costs)
    raise UsageError(
        f"Expected a result of analyze or classify, or the folder of a run, found {type(result).__name__}."
    )


def run(
    inputs: str | os.PathLike | Sequence[str | os.PathLike],
    out: str | os.PathLike,
    *,
    task: str = "analyze",
    models: _ModelLike | Sequence[_ModelLike] = (),
    cell_kinds: _ModelLike | None = None,
    diameter_px: float | None = None,
    min_cell_recall: float | None = None,
    costs: CostsLike | None = None,
    target_class: str | None = None,
    min_recall: float | None = None,
    workers: int = 1,
    cluster: str | None = None,
    memory: str | None = None,
    zarr: bool = False,
    labels: str | os.PathLike | None = None,
    measures: Sequence[str] | str = (),
    dab_threshold: float | None = None,
    dab_in: str | None = None,
    roi: str | os.PathLike | None = None,
    maps: bool = False,
    anndata: bool = False,
    spatialdata: bool = False,
    listener: Listener | None = None,
    **options: Any,
) -> RunResult:
    """Work on many images of any size, and write what the command line writes; run again, it resumes.

    Args:
        inputs: Images and folders of images.
        out: Folder for the results.
        task: "analyze", "segment" or "classify".
        models: See `analyze`; so are the arguments up to `min_recall`.
        cell_kinds: Names the kind of each cell.
        diameter_px: Typical diameter of the cells.
        min_cell_recall: Share of the cells to find.
        costs: See `decide`.
        target_class: Organ that must not be missed.
        min_recall: Recall to promise for it.
        workers: Processes that share the images.
        cluster: Dask scheduler, or a file that says how to start one.
        memory: Most memory to use, such as "2GB".
        zarr: Also write the labels of slides as OME-Zarr.
        labels: Folder of label images that are measured in place of a search for cells; see
            `organscope.pipeline.given_labels`.
        measures: See `segment`.
        dab_threshold: See `segment`; so is `dab_in`.
        dab_in: `nucleus` or `ring`.
        roi: GeoJSON of regions of interest, a folder of such files, or "tissue": count cells in them, see
            `organscope.pipeline.rois`.
        maps: Also write what the network says of every pixel, see `organscope.pipeline.maps`.
        anndata: Also write the cells of each image as AnnData.
        spatialdata: Also write image, labels, outlines and cells of each image as SpatialData.
        listener: Told of progress.
        **options: Of `organscope.pipeline.ReadOptions`: `um_per_px`, `channel`, ...

    Returns:
        What was finished, what failed and why, and the files that were written.

    Raises:
        UsageError: An argument is wrong; nothing was started.
        OutputError: The output folder cannot be written.
    """
    if task not in _TASKS:
        raise UsageError(f"Expected the task {', '.join(_TASKS)}, found {task!r}.")
    _require_known(options, ReadOptions, "a run")
    workforce = WorkerConfig(workers, cluster)
    streaming = Streaming(None if memory is None else memory_from_text(memory), zarr_labels=zarr)
    plan = plan_run(_paths(inputs), Path(out))
    _require_search(labels, diameter_px, min_cell_recall)
    wanted, dab = require_measures(measures), dab_settings(dab_threshold, dab_in)
    place = None if labels is None else require_labels(_path("a folder of labels", labels), len(plan.targets))
    loaded = _models(_TASKS[task], models, cells_given=place is not None)
    loaded = with_cell_kinds(loaded, cell_kinds, load=load_model)
    loaded = with_rules(loaded, positive=target_class, min_recall=min_recall, costs=costs)
    loaded = at_operating_point(loaded, _share("min_cell_recall", min_cell_recall))
    reading = ReadOptions(**options, sizing=_sizing(loaded, diameter_px), labels=place, measures=wanted, dab=dab)
    regions = None if roi is None else require_rois(str(_path("regions", roi)), len(plan.targets))
    require_spatial(anndata=anndata, spatialdata=spatialdata)
    result = run_plan(plan, loaded, reading, listener, workforce, streaming)
    return write_extras(result, reading, loaded, regions, maps=maps, anndata=anndata, spatialdata=spatialdata)


def list_models() -> pd.DataFrame:
    """The models of the package, one row each: name, version, task, size_mb, scores, summary."""
    rows = [
        {
            "name": entry.name,
            "version": entry.version,
            "task": entry.task,
            "size_mb": round(entry.size_bytes / 1e6, 1),
            "scores": "; ".join(f"{score.metric} {score.value:.3f} ({score.dataset})" for score in entry.scores),
            "summary": entry.summary,
        }
        for entry in list_bundles()
    ]
    return pd.DataFrame(rows).set_index("name", drop=False)


def load_model(name_or_path: _ModelLike, *, threads: int | None = None) -> Model:
    """Open a model once; asked again it is the one already open, unless its file has changed.

    Args:
        name_or_path: A name of `list_models`, or the path of a folder or zip file.
        threads: For the network; one a core where None.

    Raises:
        UnknownNameError: There is no such model.
        BundleError: It is damaged or unsafe.
    """
    if isinstance(name_or_path, Bundle):
        return name_or_path
    if not isinstance(name_or_path, str | os.PathLike):
        raise UsageError(f"Expected the name or the path of a model, found {type(name_or_path).__name__}.")
    source = find_bundle(name_or_path if isinstance(name_or_path, str) else Path(name_or_path)).resolve()
    changed = source / "manifest.json" if source.is_dir() else source
    return _opened(source, changed.stat().st_mtime_ns if changed.exists() else 0, threads)


@lru_cache(maxsize=8)
def _opened(source: Path, changed_ns: int, threads: int | None) -> Bundle:
    return load_bundle(source, threads=threads)


def read_dataset(folder: str | os.PathLike) -> Dataset:
    """Read the index that `organscope data import` made.

    Raises:
        DatasetError: There is none, or it is damaged.
    """
    return read_index(_path("a data set", folder))


def evaluate(
    model: _ModelLike,
    dataset: str | os.PathLike | Dataset,
    *,
    fold: int | Collection[int] | None = None,
    out: str | os.PathLike | None = None,
    progress: Callable[[int, int], None] | None = None,
    **options: Any,
) -> Evaluation:
    """Score a model on the images of a data set, with 95 % intervals.

    Args:
        model: Name, path or `Model`.
        dataset: From `read_dataset`, or its folder.
        fold: Score only these folds; all images where None.
        out: Also write page and tables there.
        progress: Called with the images done and the images to do.
        **options: Of `organscope.evaluation.evaluate_bundle`: `baseline`, `checks`, `cells_per_picture`.

    Raises:
        UsageError: The data set has no such fold, or knows other organs.
        DatasetError: No image has labels.
        InputError: An image cannot be read.
    """
    _require_known(options, evaluate_bundle, "an evaluation")
    index = _dataset(dataset)
    if out is not None:
        prepare_output(Path(out))
    found = evaluate_bundle(load_model(model), index, fold=fold, progress=progress, **options)
    if out is not None:
        from organscope.reporting.evaluation_report import write_evaluation_page

        write_evaluation_page(found, Path(out))
        write_evaluation(found, Path(out))
    return found


def compare(
    models: Sequence[str | os.PathLike],
    dataset: str | os.PathLike | Dataset,
    *,
    fold: int | Collection[int] | None = None,
    reference: str | None = None,
    rounds: int = 5,
    out: str | os.PathLike | None = None,
    progress: Callable[[str, int, int], None] | None = None,
) -> Comparison:
    """Score several models on the same images, and say which differences are real.

    Args:
        models: Names, paths of models, run directories.
        dataset: From `read_dataset`, or its folder.
        fold: Score only these folds.
        reference: Name of the model that the others are tested against; the best where None.
        rounds: How often each is timed; 0 for not at all.
        out: Also write page and tables there.
        progress: Called with what is being done, how much of it is done and to do.

    Raises:
        UsageError: There are fewer than two models, or they are for different tasks.
        DatasetError: No image has labels.
        InputError: An image cannot be read.
    """
    index = _dataset(dataset)
    names = [str(name) for name in _several(models)]
    if out is not None:
        prepare_output(Path(out))
    found = compare_models(find_models(names), index, fold=fold, reference=reference, rounds=rounds, progress=progress)
    if out is not None:
        from organscope.reporting.comparison_report import write_comparison_page

        write_comparison_page(found, seen_images(found, index, 8), Path(out))
        write_comparison(found, Path(out))
    return found


def train_segmentation(
    config: str | os.PathLike,
    out: str | os.PathLike,
    *,
    settings: Mapping[str, Any] | None = None,
    resume: bool = False,
    report: Callable[[str], None] = print,
) -> Model:
    """Train a network that finds cells (Keras on TensorFlow), up to a verified model in `out/bundle`.

    Args:
        config: TOML file, such as `configs/nuclei.toml`.
        out: Folder of the run.
        settings: Values that go before those of the file, by dotted key: `{"fit.epochs": 3}`.
        resume: Go on with an interrupted run.
        report: Gets a line for the person who watches.

    Raises:
        MissingExtraError: The extra [train] is not installed.
        UsageError: PyTorch is loaded in this process, or a setting is wrong.
        DatasetError: There are too few images with labels.
    """
    from organscope.training.loading import extra_installed, require_apart

    require_apart("tensorflow")
    with extra_installed():
        from organscope.training.segmentation.train import train_segmentation as train
    path = _path("a configuration", config)
    # Only the other processes of a distributed training return none.
    return cast(Model, train(path, Path(out), overrides=_overrides(settings), resume=resume, report=report))


def train_classification(
    config: str | os.PathLike,
    out: str | os.PathLike,
    *,
    settings: Mapping[str, Any] | None = None,
    resume: bool = False,
    report: Callable[[str], None] = print,
) -> Model:
    """Train a network that names organs (PyTorch), up to a verified model in `out/bundle`.

    Args:
        config: TOML file, such as `configs/organs.toml`.
        out: Folder of the run.
        settings: See `train_segmentation`; so are `resume` and `report`.
        resume: Go on with an interrupted run.
        report: Gets a line for the person who watches.

    Raises:
        MissingExtraError: The extra [train] is not installed.
        UsageError: TensorFlow is loaded in this process, or a setting is wrong.
        DatasetError: There are too few images with an organ.
    """
    from organscope.training.loading import extra_installed, require_apart

    require_apart("torch")
    with extra_installed():
        from organscope.training.classification.train import train_classification as train
    path = _path("a configuration", config)
    # Only the other processes of a distributed training return none.
    return cast(Model, train(path, Path(out), overrides=_overrides(settings), resume=resume, report=report))


def finetune(
    model: _ModelLike,
    out: str | os.PathLike,
    *,
    dataset: str | os.PathLike | Dataset | None = None,
    config: str | os.PathLike | None = None,
    reference: str | os.PathLike | Dataset | None = None,
    settings: Mapping[str, Any] | None = None,
    resume: bool = False,
    report: Callable[[str], None] = print,
) -> Any:
    """Let a model for segmentation learn from a few annotated images of yours.

    Args:
        model: Where to begin.
        out: Folder of the run; the new model is in `out/bundle`.
        dataset: At least 3 images with labels; either this or `config`.
        config: TOML file as for `train_segmentation`.
        reference: Data set to see on what was lost.
        settings: See `train_segmentation`; so are `resume` and `report`.
        resume: Go on with an interrupted run.
        report: Gets a line for the person who watches.

    Returns:
        `bundle`, `comparison` (a table of scores before and after) and `notes`.

    Raises:
        MissingExtraError: The extra [train] is not installed.
        UsageError: PyTorch is loaded in this process, or not exactly one of `dataset` and `config` was given.
        DatasetError: There are too few images with labels.
    """
    from organscope.training.loading import extra_installed, require_apart

    if (dataset is None) == (config is None):
        raise UsageError("Expected either a data set or a configuration to fine-tune on. Give one of them.")
    require_apart("tensorflow")
    base = load_model(model)
    with extra_installed():
        from organscope.training.segmentation.finetune import finetune_segmentation
    return finetune_segmentation(
        base,
        Path(out),
        config_file=None if config is None else _path("a configuration", config),
        data=None if dataset is None else _dataset(dataset).folder,
        reference=None if reference is None else _dataset(reference).folder,
        overrides=_overrides(settings),
        resume=resume,
        report=report,
    )


def teach(
    dataset: str | os.PathLike | Dataset,
    out: str | os.PathLike,
    *,
    what: str = "organs",
    encoder: str | os.PathLike = "imagenet",
    name: str | None = None,
    progress: Callable[[int, int], None] | None = None,
) -> "Taught":
    """Teach a classifier of organs, or of kinds of cells, on your own images, without a deep-learning framework.

    Args:
        dataset: From `read_dataset`, or its folder; its images (or its cells) have classes and, better, a group
            (patient, slide).
        out: Folder of the new model.
        what: "organs": classes of whole images; "cells": kinds of cells, for `segment(..., cell_kinds=out)`.
        encoder: `imagenet`, an encoder's ONNX file, or (for organs) a model that names organs.
        name: Of the new model; taught-organs or taught-cells where None.
        progress: Called with the images done and the images to do.

    Returns:
        `.bundle` is the model; `.scores`, `.classes`, `.confusions`, `.predictions` (DataFrames) and `.notes` say what
        it is worth on groups that it has not seen.

    Raises:
        DatasetError: There are fewer than two classes, or a single image or cell of one.
        UsageError: There is no such encoder, or `what` is something else.
        ImageReadError: An image cannot be read.
    """
    from organscope.training.teaching import teach_cells, teach_organs

    teachers: dict[str, Callable[..., Any]] = {"organs": teach_organs, "cells": teach_cells}
    if what not in teachers:
        raise UsageError(f"Expected {' or '.join(teachers)} to teach, found {what!r}.")
    extra: dict[str, Any] = {} if progress is None else {"progress": progress}
    named = name or f"taught-{what}"
    chosen = encoder if isinstance(encoder, str) else Path(encoder)
    return teachers[what](_dataset(dataset), _path("a folder", out), encoder=chosen, name=named, **extra)


def to_geojson(cells: Segmentation, path: str | os.PathLike) -> Path:
    """Write the outlines of cells with their measurements for QuPath; returns the path.

    Raises:
        UsageError: It is no segmentation.
        OutputError: The file cannot be written.
    """
    if isinstance(cells, Analysis):
        cells = cells.cells
    if not isinstance(cells, Segmentation):
        raise UsageError(f"Expected a result of segment or analyze, found {type(cells).__name__}.")
    target = _path("a file", path)
    write_geojson(target, cells.polygons, cells.table, cells.name)
    return target


def _answered(
    image: _ImageLike,
    models: Models,
    diameter_px: float | None,
    options: dict[str, Any],
    labels: Any = None,
    measures: Sequence[str] | str = (),
    dab: DabSettings | None = None,
) -> Answered:
    sizing = _sizing(models, diameter_px)
    opened = read_image(image, **options)
    try:
        return answer_now(opened, models, sizing, labels, measures, dab)
    finally:
        if opened is not image:
            opened.close()


def _sizing(models: Models, diameter_px: float | None) -> Sizing:
    if diameter_px is None or models.cells is None:
        return Sizing()
    if not (isinstance(diameter_px, int | float | np.number) and 1 <= diameter_px <= 10_000):
        raise UsageError(f"Expected diameter_px from 1 to 10,000 pixels, found {diameter_px!r}.")
    require_diameter(models.cells)
    return Sizing(diameter_px=float(diameter_px))


def _models(
    tasks: Sequence[str], given: _ModelLike | Sequence[_ModelLike] | None, *, cells_given: bool = False
) -> Models:
    names = [] if given is None else _several(given)
    return load_models(tasks, names, load=load_model, cells_given=cells_given)


def _require_search(labels: Any, diameter_px: float | None, min_cell_recall: float | None) -> None:
    if labels is not None and (diameter_px is not None or min_cell_recall is not None):
        raise UsageError(
            "Expected labels, or how to search for cells (diameter_px, min_cell_recall), found both. With labels no "
            "cell is searched for."
        )


def _several(given: Any) -> list[Any]:
    if isinstance(given, str | os.PathLike | Bundle):
        return [given]
    if not isinstance(given, Sequence):
        raise UsageError(f"Expected the name or the path of a model, or a list of them, found {type(given).__name__}.")
    return list(given)


def _share(name: str, value: float | None) -> float | None:
    if value is None or (isinstance(value, int | float | np.number) and 0 < value < 1):
        return value
    raise UsageError(f"Expected {name} above 0 and below 1, found {value!r}.")


def _dataset(given: str | os.PathLike | Dataset) -> Dataset:
    return given if isinstance(given, Index) else read_dataset(given)


def _paths(given: Any) -> list[str | Path]:
    several = [given] if isinstance(given, str | os.PathLike) else given
    if not isinstance(several, Sequence) or not all(isinstance(path, str | os.PathLike) for path in several):
        raise UsageError(
            "Expected paths of images or folders, after which the results are named; found others. An array or an open "
            "image goes through organscope.analyze(image).save(folder)."
        )
    return [path if isinstance(path, str) else Path(path) for path in several]


def _path(what: str, given: Any) -> Path:
    if isinstance(given, str | os.PathLike):
        return Path(given)
    raise UsageError(f"Expected the path of {what}, found {type(given).__name__}.")


def _overrides(settings: Mapping[str, Any] | None) -> tuple[str, ...]:
    """Settings as the trainers take them: `key=value`, the value as in TOML."""
    if settings is not None and not isinstance(settings, Mapping):
        raise UsageError(f"Expected settings as a dictionary {{'fit.epochs': 3}}, found {type(settings).__name__}.")
    return tuple(f"{key}={json.dumps(value)}" for key, value in (settings or {}).items())


def _require_known(options: Mapping[str, Any], function: Callable[..., Any], what: str) -> None:
    known = _options_of(function)
    if unknown := [name for name in options if name not in known]:
        raise UsageError(f"Expected options of {what} ({', '.join(known)}), found {', '.join(unknown)}.")


def _options_of(function: Callable[..., Any]) -> list[str]:
    """What may be given by name, and is not given by this module."""
    ours = ("source", "pixels", "bundle", "index", "fold", "progress", "sizing", "labels", "measures", "dab")
    return [name for name in signature(function).parameters if name not in ours]


def _is_array(value: Any) -> bool:
    is_table = isinstance(value, pd.DataFrame | pd.Series)
    return not is_table and any(hasattr(value, name) for name in ("__array__", "__array_interface__"))


def _no_image(value: Any) -> str:
    found = "Expected an image as a path, an address, an array (y, x) or (y, x, channels) or an Image, found "
    if isinstance(value, list | tuple):
        return f"{found}a {type(value).__name__} of {len(value)}. Several images go through organscope.run(paths, out)."
    if isinstance(value, pd.DataFrame | pd.Series):
        return f"{found}a table. Give its pixels: table.to_numpy()."
    if isinstance(value, bytes | bytearray):
        return f"{found}bytes. Write them to a file first, or decode them to an array."
    return f"{found}{'nothing (None)' if value is None else type(value).__name__}."
