"""A graph in eight-bit integers brought back to floating point, for programs where the seventh digit must not decide.

Taken is what the static quantisation of onnxruntime writes in QDQ form: integers stand only between a QuantizeLinear
and a DequantizeLinear, and as constants before a DequantizeLinear. Formulas: these operators in the ONNX standard.
"""

from dataclasses import dataclass

import numpy as np
import onnx
from onnx import helper, numpy_helper

from organscope.errors import BundleError

QUANTISE, DEQUANTISE = "QuantizeLinear", "DequantizeLinear"
INTEGERS = ("int8", "uint8", "int16", "uint16", "int32")

Constants = dict[str, np.ndarray]


@dataclass(frozen=True)
class _Steps:
    """The numbers that integers stand for: (integer - zero) scale, with a scale for each channel or one for all."""

    scale: np.ndarray
    zero: np.ndarray
    axis: int

    def numbers(self, integers: np.ndarray) -> np.ndarray:
        """In the type of the scale, of the shape of the integers."""
        shape = [1] * integers.ndim
        if self.scale.size > 1:
            shape[self.axis] = -1
        scale, zero = self.scale.reshape(shape), self.zero.reshape(shape)
        # The difference of two bytes is no byte.
        return (integers.astype(np.int64) - zero.astype(np.int64)).astype(scale.dtype) * scale

    def limits(self) -> tuple[np.ndarray, np.ndarray]:
        """The least and the largest number that an integer stands for."""
        kind = np.iinfo(self.zero.dtype)
        return self.numbers(np.array(kind.min)), self.numbers(np.array(kind.max))


def float_form(graph: bytes) -> bytes:
    """The same network in floating point, with the weights that its integers stand for.

    Of the rounding of activations their limits remain, as Clip: the quantiser takes a ReLU away where the integers
    begin at zero anyhow, so that without limits it would be another network.

    Args:
        graph: ONNX, opset 11 or later.

    Raises:
        BundleError: It has integers in another form, or another scale for each channel of an activation.
    """
    model = onnx.load_model_from_string(graph)
    constants = {entry.name: numpy_helper.to_array(entry) for entry in model.graph.initializer}
    quantised = {node.output[0]: node for node in model.graph.node if node.op_type == QUANTISE}
    kept: list[onnx.NodeProto] = []
    made: Constants = {}
    for node in model.graph.node:
        if node.op_type == DEQUANTISE and node.input[0] in constants:
            made[node.output[0]] = _steps(node, constants).numbers(constants[node.input[0]])
        elif node.op_type == DEQUANTISE:
            limits = _limits(node, quantised.get(node.input[0]), constants)
            names = [f"{node.output[0]}/{end}" for end in ("least", "most")]
            made.update(zip(names, limits, strict=True))
            kept.append(helper.make_node("Clip", [quantised[node.input[0]].input[0], *names], node.output))
        elif node.op_type != QUANTISE:
            kept.append(node)
    _replace(model.graph, kept, made, set(quantised))
    return model.SerializeToString()


def _steps(node: onnx.NodeProto, constants: Constants) -> _Steps:
    """Scale and zero point of a node; constants, of a type that is left out where the standard has a default."""
    scale, zero = (*node.input, "")[1:3]
    attributes = {entry.name: helper.get_attribute_value(entry) for entry in node.attribute}
    if scale not in constants or (zero and zero not in constants) or attributes.get("block_size"):
        raise _refused(f"{node.op_type} '{node.name}' with a computed scale, or one for blocks")
    default = np.zeros_like(constants[scale], constants.get(node.input[0], np.empty(0, np.uint8)).dtype)
    steps = _Steps(constants[scale], constants.get(zero, default), attributes.get("axis", 1))
    if steps.zero.dtype.name not in INTEGERS:
        raise _refused(f"{node.op_type} '{node.name}' of {steps.zero.dtype.name}")
    return steps


def _limits(node: onnx.NodeProto, before: onnx.NodeProto | None, constants: Constants) -> tuple[np.ndarray, np.ndarray]:
    """What an activation is held to between its quantisation and the node that takes it back."""
    if before is None:
        raise _refused(f"{node.op_type} '{node.name}' without {QUANTISE} before it")
    here, there = _steps(node, constants), _steps(before, constants)
    if here.scale.size != 1 or there.scale.size != 1 or here.limits() != there.limits():
        raise _refused(f"{node.op_type} '{node.name}' with several scales, or another than its {QUANTISE}")
    return here.limits()


def _replace(graph: onnx.GraphProto, kept: list[onnx.NodeProto], made: Constants, integers: set[str]) -> None:
    """Put nodes and constants in, and take out what nothing reads any more."""
    read = {name for node in kept for name in node.input} | {entry.name for entry in graph.output}
    if read & integers:
        raise _refused(f"integers in '{min(read & integers)}' that go on as integers")
    unread = {name for node in graph.node if node.op_type in (QUANTISE, DEQUANTISE) for name in node.input} - read
    constants = [entry for entry in graph.initializer if entry.name not in unread]
    constants += [numpy_helper.from_array(np.asarray(values), name) for name, values in made.items()]
    # Of the integers too; it is not needed to run a graph.
    del graph.node[:], graph.initializer[:], graph.value_info[:]
    graph.node.extend(kept)
    graph.initializer.extend(constants)


def _refused(found: str) -> BundleError:
    return BundleError(
        f"Expected a graph in floating point, or one whose eight-bit integers are in QDQ form, found {found}. "
        "Train with int8 = never for another."
    )
