"""A graph of another program with input and outputs as bundles have them: n y x 3 in, n y x maps or n classes out."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

from organscope.errors import BundleError

INPUT = "image"
PREFIX = "theirs/"
LEAST = 1e-7
"""Below it a probability has no logarithm in float32."""

Activation = Literal["none", "sigmoid", "softmax", "log"]


@dataclass(frozen=True)
class Layout:
    """Where the axes of a tensor lie.

    Attributes:
        axes: Names in the order of the tensor: batch, channel, y, x; of class logits batch and channel.
    """

    axes: tuple[str, ...]

    def to(self, wanted: Sequence[str]) -> list[int]:
        """The permutation that brings the axes into another order."""
        return [self.axes.index(axis) for axis in wanted]


class GraphAdapter:
    """Puts nodes before and after a graph.

    Args:
        graph: ONNX, one input.
        output: Number of the output that counts.

    Raises:
        BundleError: It has several inputs, or takes no float32.
    """

    def __init__(self, graph: bytes, output: int) -> None:
        model = onnx.compose.add_prefix(onnx.load_model_from_string(graph), PREFIX)
        constants = {entry.name for entry in model.graph.initializer}
        inputs = [entry for entry in model.graph.input if entry.name not in constants]
        if len(inputs) != 1 or inputs[0].type.tensor_type.elem_type != TensorProto.FLOAT:
            raise BundleError(
                f"Expected a graph with one input of float32, found {len(inputs)} inputs or another type of number."
            )
        self._model = model
        self._nodes: list[onnx.NodeProto] = []
        self._before: list[onnx.NodeProto] = []
        self._theirs = inputs[0].name
        self._last = model.graph.output[output].name
        del model.graph.input[:], model.graph.output[:], model.graph.value_info[:]

    @property
    def opset(self) -> int:
        """Version of the standard operators."""
        return next(entry.version for entry in self._model.opset_import if entry.domain in ("", "ai.onnx"))

    def take_rgb(self, layout: Layout, n_channels: int) -> None:
        """Take n y x 3, as their graph wants it: one channel is the mean of the colours."""
        source = INPUT
        if n_channels == 1:
            self._before.append(self._mean_of_colours(source, "ours/gray"))
            source = "ours/gray"
        order = Layout(("batch", "y", "x", "channel")).to(layout.axes)
        self._before.append(helper.make_node("Transpose", [source], [self._theirs], perm=order))
        self._model.graph.input.append(
            helper.make_tensor_value_info(INPUT, TensorProto.FLOAT, ["n", "height", "width", 3])
        )

    def give_maps(self, layout: Layout, channels: Sequence[int], activation: Activation) -> None:
        """Give some channels as probabilities, n y x k, in output `maps`."""
        self._activate(activation, layout.axes.index("channel"))
        self._add("Transpose", perm=layout.to(("batch", "y", "x", "channel")))
        self._constant("ours/channels", np.array(channels, np.int64))
        self._add("Gather", "ours/channels", axis=3)
        self._end("maps", ["n", "height", "width", len(channels)])

    def give_logits(self, layout: Layout, n_classes: int, activation: Activation) -> None:
        """Give logits, n classes, in output `logits`, and the same as `features`, for want of an embedding."""
        self._activate(activation, layout.axes.index("channel"))
        self._add("Transpose", perm=layout.to(("batch", "channel")))
        logits = self._last
        for name in ("logits", "features"):
            self._last = logits
            self._end(name, ["n", n_classes])

    def finished(self) -> bytes:
        """The whole graph."""
        theirs = list(self._model.graph.node)
        del self._model.graph.node[:]
        self._model.graph.node.extend([*self._before, *theirs, *self._nodes])
        onnx.checker.check_model(self._model)
        return self._model.SerializeToString()

    def _mean_of_colours(self, source: str, name: str) -> onnx.NodeProto:
        if self.opset < 18:
            return helper.make_node("ReduceMean", [source], [name], axes=[3], keepdims=1)
        self._constant("ours/colours", np.array([3], np.int64))
        return helper.make_node("ReduceMean", [source, "ours/colours"], [name], keepdims=1)

    def _activate(self, activation: Activation, axis: int) -> None:
        if activation == "sigmoid":
            self._add("Sigmoid")
        elif activation == "softmax":
            self._add("Softmax", axis=axis)
        elif activation == "log":
            self._constant("ours/least", np.array(LEAST, np.float32))
            self._add("Max", "ours/least")
            self._add("Log")

    def _add(self, operator: str, *more: str, **attributes: object) -> None:
        name = f"ours/{operator.lower()}"
        self._nodes.append(helper.make_node(operator, [self._last, *more], [name], **attributes))
        self._last = name

    def _end(self, name: str, shape: list) -> None:
        self._nodes.append(helper.make_node("Identity", [self._last], [name]))
        self._model.graph.output.append(helper.make_tensor_value_info(name, TensorProto.FLOAT, shape))

    def _constant(self, name: str, values: np.ndarray) -> None:
        self._model.graph.initializer.append(numpy_helper.from_array(values, name))
