"""Eight-bit integers in place of floating point: static quantization in QDQ form, alike for both tasks.

Weights are signed and symmetric by output channel, activations unsigned, both ranges found on training data (Jacob et
al., Quantization and Training of Neural Networks for Efficient Integer-Arithmetic-Only Inference, CVPR 2018).

Questions about ONNX graphs that both trainings ask.
"""

import logging
import tempfile
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path

import numpy as np
import onnx
from jaxtyping import Float32
from onnx import helper
from onnxruntime.quantization import CalibrationDataReader, CalibrationMethod, QuantFormat, QuantType, quantize_static
from onnxruntime.quantization.shape_inference import quant_pre_process
from safetensors.numpy import save

from organscope.models import Graph
from organscope.models.runtime import Session

Batch = Float32[np.ndarray, "n y x 3"]


class _Batches(CalibrationDataReader):
    def __init__(self, name: str, batches: Iterable[Batch]) -> None:
        self._name = name
        self._batches: Iterator[Batch] = iter(batches)

    def get_next(self) -> dict[str, np.ndarray] | None:
        batch = next(self._batches, None)
        return None if batch is None else {self._name: batch}


def quantize(
    graph: bytes,
    batches: Iterable[Batch],
    *,
    operators: Sequence[str],
    left_out: Callable[[onnx.ModelProto], list[str]],
) -> bytes:
    """The same graph with some operators in eight-bit integers.

    Args:
        graph: With one input.
        batches: Prepared training data; the range of every activation is the mean over the batches of their extremes,
            so that one odd pixel does not make all others coarse.
        operators: Kinds that become integers.
        left_out: Names of the nodes that stay in floating point all the same.
    """
    level = logging.getLogger().level
    logging.getLogger().setLevel(logging.ERROR)
    try:
        with tempfile.TemporaryDirectory() as folder:
            plain, ready, done = (Path(folder) / name for name in ("plain.onnx", "ready.onnx", "done.onnx"))
            plain.write_bytes(graph)
            quant_pre_process(plain, ready, skip_symbolic_shape=True)
            model = onnx.load(ready)
            quantize_static(
                ready,
                done,
                _Batches(model.graph.input[0].name, batches),
                quant_format=QuantFormat.QDQ,
                op_types_to_quantize=list(operators),
                nodes_to_exclude=left_out(model),
                per_channel=True,
                # Seven bits of weight, so that no sum of products overflows 16 bits: processors without dot-product
                # instructions then give the very same integers.
                reduce_range=True,
                activation_type=QuantType.QUInt8,
                weight_type=QuantType.QInt8,
                calibrate_method=CalibrationMethod.MinMax,
                extra_options={"CalibMovingAverage": True, "CalibMovingAverageConstant": 0.05},
            )
            return done.read_bytes()
    finally:
        logging.getLogger().setLevel(level)


def expected_outputs(graph: bytes, declared: Graph, batch: Batch) -> bytes:
    """A test input with what a graph gives for it here, as safetensors.

    Args:
        graph: ONNX.
        declared: Its input and outputs.
        batch: Prepared.
    """
    session = Session(graph, declared.input, declared.outputs, threads=None, where="the new graph")
    return save({"input": batch, **session.run(batch)})


def before_convolutions(model: onnx.ModelProto) -> set[str]:
    """Names of all values that a convolution comes after."""
    values: set[str] = set()
    for node in reversed(model.graph.node):
        if node.op_type == "Conv" or values & set(node.output):
            values |= set(node.input)
    return values


def works_on_blocks(node: onnx.NodeProto) -> bool:
    """Whether an operator with a kernel takes, or gives, squares of 2 x 2 pixels side by side, without margins."""
    told = {attribute.name: helper.get_attribute_value(attribute) for attribute in node.attribute}
    plain = not any(told.get("pads", [])) and set(told.get("dilations", [1])) == {1} and told.get("group", 1) == 1
    return told["kernel_shape"] == [2, 2] == told.get("strides") and plain
