"""A real, if untrained, U-Net of two levels in ONNX, to see whether tiles change what a network answers."""

from dataclasses import dataclass

import numpy as np
import onnx
import onnxruntime
from onnx import TensorProto, helper, numpy_helper

from organscope.models import Manifest

STRIDE_PX = 4
HALO_PX = 28
"""Reach of two 3 x 3 convolutions at full, half, quarter, half and full resolution: 2 + 4 + 8 + 4 + 2 px; of both
enlargements: 4 + 2 px, less half a pixel of the finer level; and where pooling starts a block: up to 3 px."""


@dataclass
class SmallUnet:
    """What `predict` needs of a bundle: a manifest and a network that runs."""

    manifest: Manifest

    def __post_init__(self):
        graph = small_unet_graph().SerializeToString()
        self._session = onnxruntime.InferenceSession(graph, providers=["CPUExecutionProvider"])

    def run(self, batch: np.ndarray) -> dict[str, np.ndarray]:
        return {"maps": self._session.run(["maps"], {"image": batch})[0]}


class _Builder:
    def __init__(self):
        self.rng = np.random.default_rng(0)
        self.nodes = []
        self.constants = []

    def add(self, operator: str, inputs: list[str], **attributes) -> str:
        name = f"{operator}_{len(self.nodes)}"
        self.nodes.append(helper.make_node(operator, inputs, [name], name=name, **attributes))
        return name

    def constant(self, value: np.ndarray) -> str:
        name = f"constant_{len(self.constants)}"
        self.constants.append(numpy_helper.from_array(value.astype(np.float32), name))
        return name

    def convolution(self, x: str, n_in: int, n_out: int, size: int = 3) -> str:
        weights = self.rng.standard_normal((n_out, n_in, size, size)) * np.sqrt(2 / (n_in * size**2))
        inputs = [x, self.constant(weights), self.constant(self.rng.standard_normal(n_out) / 10)]
        return self.add("Conv", inputs, pads=[size // 2] * 4)

    def block(self, x: str, n_in: int, n_out: int) -> str:
        first = self.add("Relu", [self.convolution(x, n_in, n_out)])
        return self.add("Relu", [self.convolution(first, n_out, n_out)])

    def up(self, x: str, n_in: int, skip: str, n_out: int) -> str:
        """Bilinear enlargement, as probability maps of lower resolution are brought up."""
        larger = self.add("Resize", [x, "", self.constant(np.array([1, 1, 2, 2]))], mode="linear")
        both = self.add("Concat", [larger, skip], axis=1)
        return self.block(both, n_in + n_out, n_out)


def small_unet_graph() -> onnx.ModelProto:
    build = _Builder()
    x = build.add("Transpose", ["image"], perm=[0, 3, 1, 2])
    full = build.block(x, 3, 12)
    half = build.block(build.add("MaxPool", [full], kernel_shape=[2, 2], strides=[2, 2]), 12, 16)
    quarter = build.block(build.add("MaxPool", [half], kernel_shape=[2, 2], strides=[2, 2]), 16, 24)
    up = build.up(build.up(quarter, 24, half, 16), 16, full, 12)
    probability = build.add("Sigmoid", [build.convolution(up, 12, 2, size=1)])
    build.nodes.append(helper.make_node("Transpose", [probability], ["maps"], perm=[0, 2, 3, 1]))
    graph = helper.make_graph(
        build.nodes,
        "small_unet",
        [helper.make_tensor_value_info("image", TensorProto.FLOAT, ["n", "y", "x", 3])],
        [helper.make_tensor_value_info("maps", TensorProto.FLOAT, ["n", "y", "x", 2])],
        build.constants,
    )
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
