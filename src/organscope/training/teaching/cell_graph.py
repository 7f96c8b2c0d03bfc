"""ONNX graphs of what is learned of cells: maps of the early stages of the encoder, and a linear head on them.

Every stage is averaged over about 12 pixels (the nucleus) and over 48 (its surroundings), and brought to one entry for
each 4 x 4 pixels. Averaging, interpolation and the head are linear, so that the head is applied before the maps are
enlarged: naming 10,000 cells costs little more than running the network once over the image.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import onnx
from jaxtyping import Float, Float32
from onnx import TensorProto, helper, numpy_helper

from organscope.errors import UsageError
from organscope.training.teaching.encoder import FEATURES, INPUT

LOGITS = "logits"
STRIDE_PX = 4
MULTIPLE_PX = 32
HALO_PX = 64
N_COLORS = 6
"""Columns of color alone, for the baseline: red, green and blue of nucleus and surroundings, after the features."""

_STRIDES = (2, 4, 8, 16, 16)
"""Of the stages that are read; later ones add .004 to macro-F1 and as much time again (docs/teach.md)."""

_COARSEST = 16
_AVERAGED = 3


@dataclass(frozen=True)
class _Maps:
    """Maps in the graph: their name, and the pixels that an entry stands for."""

    name: str
    stride_px: int


def feature_graph(encoder: onnx.ModelProto) -> bytes:
    """The graph whose output `features` (n v u d) is learned from; the last `N_COLORS` columns are color alone.

    Raises:
        UsageError: The encoder does not say which of its nodes are its stages.
    """
    maps, built = _pooled_maps(encoder)
    colors = [built.averaged(_Maps("channels_first", 1), stride) for stride in (STRIDE_PX, _COARSEST)]
    enlarged = [built.enlarged(one) for one in (*maps, *colors)]
    built.node("Concat", enlarged, "all_maps", axis=1)
    built.node("Transpose", ["all_maps"], FEATURES, perm=[0, 2, 3, 1])
    return built.finished({FEATURES: None})


def kinds_graph(
    encoder: onnx.ModelProto,
    logits: tuple[Float[np.ndarray, "d c"], Float[np.ndarray, " c"]],
    features: tuple[Float[np.ndarray, "d p"], Float[np.ndarray, " p"]],
) -> bytes:
    """The graph of a taught bundle, with the outputs `logits` (n v u c) and `features` (n v u p).

    Args:
        encoder: As in `feature_graph`.
        logits: Weights and bias, from the features to the logits.
        features: Weights and bias, from the features to those in which distances are measured.
    """
    maps, built = _pooled_maps(encoder)
    weights = np.concatenate([logits[0], features[0]], axis=1)
    bias = np.concatenate([logits[1], features[1]])
    first, parts = 0, []
    for one in maps:
        stop = first + built.widths[one.name]
        kernel = built.constant(f"{one.name}_weights", weights[first:stop].T[:, :, None, None])
        mixed = built.node("Conv", [one.name, kernel], f"{one.name}_mixed", kernel_shape=[1, 1])
        parts.append(built.enlarged(_Maps(mixed, one.stride_px)))
        first = stop
    total = built.node("Sum", parts, "mixed_maps")
    biased = built.node("Add", [total, built.constant("mixed_bias", bias[:, None, None])], "mixed_biased")
    built.node("Transpose", [biased], "mixed_last", perm=[0, 2, 3, 1])
    widths = np.array([len(logits[1]), len(features[1])], np.int64)
    sizes = built.constant("output_widths", widths)
    built.nodes.append(helper.make_node("Split", ["mixed_last", sizes], [LOGITS, FEATURES], axis=3))
    return built.finished({LOGITS: int(widths[0]), FEATURES: int(widths[1])})


def _pooled_maps(encoder: onnx.ModelProto) -> tuple[list[_Maps], "_Built"]:
    """Every stage averaged over the nucleus and over its surroundings."""
    built = _Built(encoder)
    maps = []
    for number, stride in enumerate(_STRIDES):
        stage = _Maps(built.stage(number), stride)
        maps += [built.averaged(stage, STRIDE_PX), built.averaged(stage, _COARSEST)]
    return maps, built


class _Built:
    """The encoder's nodes with others after them."""

    def __init__(self, encoder: onnx.ModelProto) -> None:
        self._encoder = encoder
        self.nodes: list[onnx.NodeProto] = [node for node in encoder.graph.node if FEATURES not in node.output]
        self._constants: list[onnx.TensorProto] = list(encoder.graph.initializer)
        self.widths: dict[str, int] = {"channels_first": 3}

    def stage(self, number: int) -> str:
        """The maps of a stage, which are those whose mean the encoder calls `mean_N`."""
        mean = f"mean_{number}"
        found = [node.input[0] for node in self._encoder.graph.node if mean in node.output]
        if not found:
            raise UsageError(
                "Expected the encoder 'imagenet', or one that `bench/imagenet_encoder.py` wrote, to learn kinds of "
                "cells from: others do not say which of their nodes are stages."
            )
        self.widths[found[0]] = self._width(found[0])
        return found[0]

    def averaged(self, maps: _Maps, stride_px: int) -> _Maps:
        """Averaged over 3 x 3 entries of `stride_px`; maps that are coarser than that stay as they are."""
        if maps.stride_px > stride_px:
            return maps
        name, step = maps.name, stride_px // maps.stride_px
        if step > 1:
            shape = {"kernel_shape": [step, step], "strides": [step, step]}
            name = self.node("AveragePool", [name], f"{maps.name}_at_{stride_px}", **shape)
        shape = {"kernel_shape": [_AVERAGED, _AVERAGED], "pads": [_AVERAGED // 2] * 4}
        name = self.node("AveragePool", [name], f"{maps.name}_around_{stride_px}", **shape)
        self.widths[name] = self.widths[maps.name]
        return _Maps(name, stride_px)

    def enlarged(self, maps: _Maps) -> str:
        """One entry for each `STRIDE_PX` pixels, interpolated."""
        if maps.stride_px == STRIDE_PX:
            return maps.name
        factor = maps.stride_px / STRIDE_PX
        scales = self.constant(f"{maps.name}_scales", np.array([1, 1, factor, factor], np.float32))
        return self.node(
            "Resize",
            [maps.name, "", scales],
            f"{maps.name}_enlarged",
            mode="linear",
            coordinate_transformation_mode="half_pixel",
        )

    def constant(self, name: str, value: np.ndarray) -> str:
        kept = value.astype(np.float32) if value.dtype.kind == "f" else value
        self._constants.append(numpy_helper.from_array(np.ascontiguousarray(kept), name))
        return name

    def node(self, kind: str, inputs: Sequence[str], name: str, **attributes: object) -> str:
        self.nodes.append(helper.make_node(kind, inputs, [name], **attributes))
        return name

    def finished(self, outputs: dict[str, int | None]) -> bytes:
        """The graph with what leads to the outputs, which are given with their widths."""
        needed, kept = set(outputs), []
        for node in reversed(self.nodes):
            if needed & set(node.output):
                needed |= set(node.input)
                kept.append(node)
        graph = helper.make_graph(
            kept[::-1],
            "cells",
            [helper.make_tensor_value_info(INPUT, TensorProto.FLOAT, ["n", "y", "x", 3])],
            [
                helper.make_tensor_value_info(name, TensorProto.FLOAT, ["n", "v", "u", width])
                for name, width in outputs.items()
            ],
            [constant for constant in self._constants if constant.name in needed],
        )
        opset = [entry for entry in self._encoder.opset_import if not entry.domain]
        model = helper.make_model(graph, opset_imports=opset, ir_version=self._encoder.ir_version)
        onnx.checker.check_model(model)
        return model.SerializeToString(deterministic=True)

    def _width(self, maps: str) -> int:
        """Channels of some maps: those of the convolution that they, or what is added to them, come from."""
        makers = {name: node for node in self._encoder.graph.node for name in node.output}
        shapes = {constant.name: constant.dims for constant in self._encoder.graph.initializer}
        node = makers[maps]
        while node.op_type != "Conv":
            node = makers[node.input[0]]
        weights = node.input[1]
        return int(shapes[weights][0] if weights in shapes else shapes[makers[weights].input[0]][0])


def cut_colors(
    found: Float32[np.ndarray, "n d"],
) -> tuple[Float32[np.ndarray, "n features"], Float32[np.ndarray, "n colors"]]:
    """What `feature_graph` gives, taken apart into what is learned from and color alone."""
    return found[:, :-N_COLORS], found[:, -N_COLORS:]
