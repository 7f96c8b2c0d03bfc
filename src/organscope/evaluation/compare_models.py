"""Models on one part of an index, compared.

A comparison on disk: CSV for people and programs, Markdown for pages.

What a model costs: size, operations, and time on the images that are scored, measured in turns.
"""

import re
import statistics
import time
from collections.abc import Callable, Collection, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Literal

import numpy as np
import onnx
import onnxruntime
import pandas as pd

from organscope.data.index import Index, Sample
from organscope.errors import UsageError
from organscope.evaluation import classification, segmentation
from organscope.evaluation.comparison import (
    MEASURES,
    SMALLER_IS_BETTER,
    Comparison,
    Measures,
    Model,
    image_table,
    organ_differences,
    paired_tests,
)
from organscope.evaluation.evaluate import score_bundle
from organscope.evaluation.results import Predictions
from organscope.inference import classify_image, segment_image
from organscope.io.paths import atomic_path
from organscope.models import Bundle

_MARKDOWN = "tables.md"
_TABLES = ("scores", "tests", "costs", "organs", "pictures")
SHOWN = {
    "dice": "Dice", "aji": "AJI", "pq": "PQ", "ap_50": "AP .5", "mean_ap": "mean AP", "missed_rate": "missed",
    "false_rate": "false", "balanced_accuracy": "balanced accuracy", "macro_f1": "macro-F1", "macro_auc": "macro-AUC",
    "nll": "NLL", "ece": "ECE", "accepted_fraction": "accepted", "accepted_accuracy": "right of accepted",
    "s_per_megapixel": "s a megapixel", "ms_per_image": "ms an image",
}  # fmt: skip


def write_comparison(comparison: Comparison, folder: str | Path) -> list[Path]:
    """Write `scores.csv`, `tests.csv`, `costs.csv`, `organs.csv`, `pictures.csv`, `tables.md` to a folder that exists.

    Raises:
        OutputError: The folder cannot be written.
    """
    folder = Path(folder)
    written = []
    for name in _TABLES:
        with atomic_path(folder / f"{name}.csv") as path:
            getattr(comparison, name).to_csv(path, index=False)
        written.append(folder / f"{name}.csv")
    with atomic_path(folder / _MARKDOWN) as path:
        path.write_text(_comparison_markdown(comparison), encoding="utf-8")
    return [*written, folder / _MARKDOWN]


def _comparison_markdown(comparison: Comparison) -> str:
    """Costs, then scores and tests of each data set, as Markdown."""
    lines = _costs(comparison)
    for dataset in comparison.datasets:
        n_images = comparison.score(comparison.names[0], dataset, comparison.measures.main)["n_images"]
        lines += ["", f"{dataset}, {comparison.subset}, {n_images} images:", "", *_score_lines(comparison, dataset)]
    return "\n".join(lines) + "\n"


def _costs(comparison: Comparison) -> list[str]:
    speed = SHOWN[comparison.measures.speed]
    gflop = "GFLOP a megapixel" if comparison.task == "segmentation" else "GFLOP a field"
    lines = _head("model", "million parameters", "MB", gflop, speed, "epochs, minutes of training")
    for row in comparison.costs.itertuples():
        seconds = "" if pd.isna(row.speed) else f"{row.speed:.3g} ({row.speed_low:.3g} to {row.speed_high:.3g})"
        trained = "" if pd.isna(row.epochs) else f"{row.epochs:.0f}, {row.minutes:.1f}"
        counted = f"{row.million_parameters:.2f}", f"{row.size_mb:.1f}", f"{row.gflop:.2f}"
        lines.append(_line(row.model, *counted, seconds, trained))
    return lines


def _score_lines(comparison: Comparison, dataset: str) -> list[str]:
    measures = comparison.measures
    gap = f"{SHOWN.get(measures.main, measures.main)} minus that of {comparison.reference}"
    lines = _head("model", *(SHOWN.get(metric, metric) for metric in measures.shown), gap, "p (Holm)")
    tests = comparison.tests
    tests = tests[(tests["dataset"] == dataset) & (tests["metric"] == measures.main)].set_index("model")
    for name in comparison.names:
        cells = [interval(comparison.score(name, dataset, metric)) for metric in measures.shown]
        tested = ["", ""]
        if name in tests.index:
            row = tests.loc[name]
            tested = [interval(row, value="difference", sign="+"), p_text(row["p_holm"])]
        lines.append(_line(name, *cells, *tested))
    return lines


def interval(row: pd.Series, *, value: str = "value", sign: str = "") -> str:
    """A figure with its interval, three digits each."""
    if pd.isna(row[value]):
        return ""
    ends = "" if pd.isna(row["low"]) else f" ({row['low']:{sign}.3f} to {row['high']:{sign}.3f})"
    return f"{row[value]:{sign}.3f}{ends}"


def p_text(p_value: float) -> str:
    """A p-value in the digits that mean something."""
    return "< .001" if p_value < 0.001 else f"{p_value:.3f}" if p_value < 0.1 else f"{p_value:.2f}"


def _head(*cells: str) -> list[str]:
    return [_line(*cells), _line(*["---"] * len(cells))]


def _line(*cells: str) -> str:
    return "| " + " | ".join(cells) + " |"


_N_TIMED = 6
"""Images of the timing, evenly spaced over those that are scored."""

_SIDE_PX = 256
"""Side of the image on which the operations of a segmentation are counted."""

_WEIGHT_TYPES = (onnx.TensorProto.FLOAT, onnx.TensorProto.FLOAT16, onnx.TensorProto.INT8, onnx.TensorProto.UINT8)

_Progress = Callable[[int, int], None]


def _cost_table(
    models: Sequence[Model], samples: Sequence[Sample], *, rounds: int, progress: _Progress
) -> pd.DataFrame:
    """One row a model.

    Args:
        models: All of one task.
        samples: Scored images; some of them are timed, from the file to the answer.
        rounds: How often each image is timed; one more round only warms up. 0: nothing is timed.
        progress: Called with the rounds done and to do.

    Returns:
        `model`, `bundle` (name, version and hash), `size_mb` (all files of the bundle, 10^6 bytes),
        `million_parameters`, `gflop` (of a megapixel for segmentation, of one field for organs; a multiply-add
        is two), `speed` (seconds a megapixel or milliseconds an image: the median round), `speed_low` and
        `speed_high` (the fastest and the slowest round), `epochs` and `minutes` (of the training,
        where its folder was given).
    """
    timed = list(samples)[:: max(1, len(samples) // _N_TIMED)][:_N_TIMED]
    seconds = _time_in_turns(models, timed, rounds, progress)
    return pd.DataFrame([_row(model, seconds[model.name]) for model in models])


def _row(model: Model, speeds: list[float]) -> dict:
    bundle, epochs = model.bundle, model.epochs()
    known = {"epochs": len(epochs), "minutes": epochs["seconds"].sum() / 60} if "seconds" in epochs else {}
    return {
        "model": model.name,
        "bundle": f"{bundle.manifest.title} ({bundle.sha256[:8]})",
        "size_mb": sum(entry.size_bytes for entry in bundle.manifest.files.values()) / 1e6,
        "million_parameters": n_parameters(bundle) / 1e6,
        "gflop": n_operations(bundle) / 1e9,
        "speed": statistics.median(speeds) if speeds else np.nan,
        "speed_low": min(speeds, default=np.nan),
        "speed_high": max(speeds, default=np.nan),
        "epochs": known.get("epochs", np.nan),
        "minutes": known.get("minutes", np.nan),
    }


def _time_in_turns(
    models: Sequence[Model], samples: Sequence[Sample], rounds: int, progress: _Progress
) -> dict[str, list[float]]:
    """One figure a round: what else the computer does hits all models alike."""
    found: dict[str, list[float]] = {model.name: [] for model in models}
    for turn in range(rounds + 1 if rounds else 0):
        progress(turn, rounds + 1)
        for model in models:
            figure = _time_model(model, samples)
            if turn > 0:
                found[model.name].append(figure)
    return found


def _time_model(model: Model, samples: Sequence[Sample]) -> float:
    is_cells = model.bundle.manifest.spec.task == "segmentation"
    answer = segment_image if is_cells else classify_image
    pixels = 0
    started = time.perf_counter()
    for sample in samples:
        with sample.open() as image:
            answer(image, model.bundle)
            pixels += image.height_px * image.width_px
    seconds = time.perf_counter() - started
    return seconds / (pixels / 1e6) if is_cells else 1000 * seconds / len(samples)


def n_parameters(bundle: Bundle) -> int:
    """Numbers that the graph was given by training; constants that only steer it are whole numbers and not counted."""
    graph = onnx.load_from_string(bundle.read(bundle.manifest.graph.file)).graph
    return sum(int(np.prod(weights.dims)) for weights in graph.initializer if weights.data_type in _WEIGHT_TYPES)


def n_operations(bundle: Bundle) -> float:
    """Floating-point operations of all convolutions and matrix products; a multiply-add is two.

    Counted on the shapes that the graph has when it runs, for one field (classification) or by megapixel.
    """
    manifest = bundle.manifest
    model = onnx.load_from_string(bundle.read(manifest.graph.file))
    nodes = [node for node in model.graph.node if node.op_type in ("Conv", "ConvTranspose", "Gemm", "MatMul")]
    if not nodes:
        return 0.0
    stored = {weights.name: tuple(weights.dims) for weights in model.graph.initializer}
    read = {name for node in nodes for name in (node.output[0], *node.input[:2])}
    watched = sorted(read - set(stored) - {manifest.graph.input})
    del model.graph.output[:]
    model.graph.output.extend(onnx.helper.make_empty_tensor_value_info(name) for name in watched)
    spec = manifest.spec
    side = spec.input_px if spec.task == "classification" else -(-_SIDE_PX // spec.stride_px) * spec.stride_px
    options = onnxruntime.SessionOptions()
    # Merged nodes would lose the outputs that are watched.
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL
    options.intra_op_num_threads = 1
    session = onnxruntime.InferenceSession(model.SerializeToString(), options, providers=["CPUExecutionProvider"])
    image = np.zeros((1, side, side, 3), np.float32)
    values = session.run(watched, {manifest.graph.input: image})
    shapes = stored | {name: value.shape for name, value in zip(watched, values, strict=True)}
    shapes[manifest.graph.input] = image.shape
    total = sum(2.0 * _multiplications(node, shapes) for node in nodes)
    return total if spec.task == "classification" else total / (side * side / 1e6)


def _multiplications(node: onnx.NodeProto, shapes: dict[str, tuple[int, ...]]) -> int:
    # Every number of the output, or of the input where that is spread, meets the weights of one channel.
    first, second = (shapes[name] for name in node.input[:2])
    n_output = int(np.prod(shapes[node.output[0]]))
    if node.op_type == "ConvTranspose":
        return int(np.prod(first)) * int(np.prod(second[1:]))
    if node.op_type == "Conv":
        return n_output * int(np.prod(second[1:]))
    transposed = any(a.name == "transA" and a.i for a in node.attribute)
    return n_output * first[-2 if transposed else -1]


_CompareProgress = Callable[[str, int, int], None]
_ROUNDS = 5


def compare_models(
    models: Sequence[Model],
    index: Index,
    *,
    fold: int | Collection[int] | None = None,
    reference: str | None = None,
    rounds: int = _ROUNDS,
    progress: _CompareProgress | None = None,
) -> Comparison:
    """Score all models on the same images and say how they differ.

    Args:
        models: Of one task, see `find_models`.
        index: Images with labels (segmentation) or organs.
        fold: Score only these folds; all images without.
        reference: Name of the model that the others are tested against; without, the best by the main score.
        rounds: Of the timing; 0 for none.
        progress: Called with what is being done, and how much of it is done and to do.

    Raises:
        UsageError: The index has no such fold, or no model has the name of the reference.
        DatasetError: Images have no labels, or organs that a model does not know.
        InputError: An image cannot be read.
    """
    names = [model.name for model in models]
    if reference is not None and reference not in names:
        raise UsageError(f"Expected one of {', '.join(names)} as reference, found {reference!r}.")
    report = progress or (lambda what, done, total: None)
    scored = [_score(model, index, fold, report) for model in models]
    task: Literal["segmentation", "classification"] = "classification"
    if models[0].bundle.manifest.spec.task == "segmentation":
        task = "segmentation"
    measures = MEASURES[task]
    order = _best_first(scored, measures)
    models, scored = [models[place] for place in order], [scored[place] for place in order]
    images = {model.name: part.pictures for model, part in zip(models, scored, strict=True)}
    reference = reference or models[0].name
    used = set(scored[0].pictures["id"])
    samples = [sample for sample in index.samples(fold) if sample.id in used]
    tables = [_scores(model.name, part) for model, part in zip(models, scored, strict=True)]
    return Comparison(
        task=task,
        subset=scored[0].subset,
        fingerprint=scored[0].fingerprint,
        models=tuple(models),
        reference=reference,
        scores=pd.concat([table for table, _ in tables], ignore_index=True),
        tests=paired_tests(images, reference, measures),
        costs=_cost_table(models, samples, rounds=rounds, progress=lambda done, n: report("timing", done, n)),
        organs=organ_differences(images, reference, "correct" if measures.main == "accuracy" else measures.main),
        pictures=image_table(images, measures),
        notes=(*tables[0][1], *scored[0].notes, *_seen_in_training(models, scored[0])),
    )


def _score(model: Model, index: Index, fold: int | Collection[int] | None, report: _CompareProgress) -> Predictions:
    found = score_bundle(
        model.bundle, index, fold=fold, progress=lambda done, total: report(f"scoring {model.name}", done, total)
    )
    order = found.pictures["id"].argsort(kind="stable")
    return replace(found, pictures=found.pictures.iloc[order].reset_index(drop=True))


def _best_first(scored: Sequence[Predictions], measures: Measures) -> list[int]:
    """Positions of the models, by the mean over data sets of the main score."""
    column = "correct" if measures.main == "accuracy" else measures.main
    means = [part.pictures.groupby("dataset")[column].mean().mean() for part in scored]
    sign = 1 if measures.main in SMALLER_IS_BETTER else -1
    return list(np.argsort(sign * np.array(means), kind="stable"))


def _scores(name: str, scored: Predictions) -> tuple[pd.DataFrame, list[str]]:
    """The scores of a model with their intervals, and what was drawn for these."""
    tables, notes = [], []
    for dataset, part in scored.pictures.groupby("dataset", sort=True):
        if scored.kind == "segmentation":
            cells = scored.cells[scored.cells["id"].isin(part["id"])]
            table, note = segmentation.summarize(part, cells)
        else:
            table, note = classification.summarize(part, scored.classes)
        facts = {"model": name, "dataset": dataset, "n_images": len(part)}
        tables.append(table.assign(**facts))
        notes.append(f"{dataset}: {note}")
    columns = ["model", "dataset", "n_images", "metric", "value", "low", "high", "unit"]
    return pd.concat(tables, ignore_index=True)[columns], notes


def _seen_in_training(models: Sequence[Model], scored: Predictions) -> list[str]:
    """A sentence for each model that may have learnt from images of these folds."""
    folds, datasets = set(scored.pictures["fold"]), set(scored.pictures["dataset"])
    notes = []
    for model in models:
        subsets = {score.subset for score in model.bundle.manifest.scores if score.dataset in datasets}
        held = {int(number) for subset in subsets for number in re.findall(r"\d+", subset)}
        if held and not folds <= held:
            listed = ", ".join(str(number) for number in sorted(held))
            notes.append(
                f"{model.name} was held back from fold {listed} alone: images of other folds may have trained it."
            )
    return notes
