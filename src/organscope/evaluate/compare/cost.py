"""What a model costs: size, operations, and time on the pictures that are scored, measured in turns."""

import statistics
import time
from collections.abc import Callable, Sequence

import numpy as np
import onnx
import onnxruntime
import pandas as pd

from organscope.bundle import Bundle
from organscope.dataset.index import Sample
from organscope.evaluate.compare.models import Model
from organscope.predict import classify_image, segment_image

N_TIMED = 6
"""Pictures of the timing, evenly spaced over those that are scored."""

SIDE_PX = 256
"""Side of the picture on which the operations of a segmentation are counted."""

WEIGHT_TYPES = (onnx.TensorProto.FLOAT, onnx.TensorProto.FLOAT16, onnx.TensorProto.INT8, onnx.TensorProto.UINT8)

Progress = Callable[[int, int], None]


def cost_table(models: Sequence[Model], samples: Sequence[Sample], *, rounds: int, progress: Progress) -> pd.DataFrame:
    """One row a model.

    Args:
        models: All of one task.
        samples: Scored pictures; some of them are timed, from the file to the answer.
        rounds: How often each picture is timed; one more round only warms up. 0: nothing is timed.
        progress: Called with the rounds done and to do.

    Returns:
        `model`, `bundle` (name, version and hash), `size_mb` (all files of the bundle, 10^6 bytes),
        `million_parameters`, `gflop` (of a megapixel for segmentation, of one field for organs; a multiply-add
        is two), `speed` (seconds a megapixel or milliseconds an image: the median round), `speed_low` and
        `speed_high` (the fastest and the slowest round), `epochs` and `minutes` (of the training,
        where its folder was given).
    """
    timed = list(samples)[:: max(1, len(samples) // N_TIMED)][:N_TIMED]
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
    models: Sequence[Model], samples: Sequence[Sample], rounds: int, progress: Progress
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
    return sum(int(np.prod(weights.dims)) for weights in graph.initializer if weights.data_type in WEIGHT_TYPES)


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
    side = spec.input_px if spec.task == "classification" else -(-SIDE_PX // spec.stride_px) * spec.stride_px
    options = onnxruntime.SessionOptions()
    # Merged nodes would lose the outputs that are watched.
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL
    options.intra_op_num_threads = 1
    session = onnxruntime.InferenceSession(model.SerializeToString(), options, providers=["CPUExecutionProvider"])
    picture = np.zeros((1, side, side, 3), np.float32)
    values = session.run(watched, {manifest.graph.input: picture})
    shapes = stored | {name: value.shape for name, value in zip(watched, values, strict=True)}
    shapes[manifest.graph.input] = picture.shape
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
